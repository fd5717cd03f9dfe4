package badger_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	plain "github.com/dgraph-io/badger/v4"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

const (
	benchWriters = 256
	benchValue   = 150 // bytes; two records of it with their keys make about 330
)

// claim is a batch as a claim of resources makes it: a changed provider and a
// new consumer.
func claim(n uint64, records int) store.Batch {
	b := store.Batch{ID: id(n + 1), Version: n + 1}
	for i := range records {
		k := key("%015d/%d", n%100_000, i)
		b.Puts = append(b.Puts, store.Put{Key: k, Value: bytes.Repeat([]byte{byte(n)}, benchValue)})
	}
	return b
}

// each calls f for 0 to n-1 from writers goroutines and returns how long it
// took.
func each(b *testing.B, writers, n int, f func(i uint64) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	start := time.Now()
	for range writers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				if err := f(uint64(i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	close(errs)
	require.NoError(b, <-errs)
	return took
}

func mustCommit(b *testing.B, s store.Store, batch store.Batch) error {
	b.Helper()
	res, err := s.Commit(b.Context(), batch)
	if err == nil && res.Outcome != store.Committed {
		err = fmt.Errorf("outcome %+v", res)
	}
	return err
}

// BenchmarkCommits compares durable commits from 256 writers with Badger by
// itself, one synced transaction each.
func BenchmarkCommits(b *testing.B) {
	s := open(b, badger.Config{})
	opts := plain.DefaultOptions(b.TempDir()).WithSyncWrites(true).WithLogger(nil)
	db, err := plain.Open(opts)
	require.NoError(b, err)
	defer func() { require.NoError(b, db.Close()) }()

	b.ResetTimer()
	ours := each(b, benchWriters, b.N, func(i uint64) error { return mustCommit(b, s, claim(i, 2)) })
	b.StopTimer()
	n := max(b.N/50, 256)
	theirs := each(b, benchWriters, n, func(i uint64) error {
		return db.Update(func(txn *plain.Txn) error {
			for _, p := range claim(i, 2).Puts {
				if err := txn.Set([]byte(p.Key.ID), p.Value); err != nil {
					return err
				}
			}
			return nil
		})
	})
	require.Equal(b, uint64(b.N), s.Stats().Revision)
	rate, plainRate := float64(b.N)/ours.Seconds(), float64(n)/theirs.Seconds()
	b.ReportMetric(rate, "commits/s")
	b.ReportMetric(plainRate, "plain-badger-commits/s")
	b.ReportMetric(rate/plainRate, "ratio")
}

// BenchmarkAlone compares one commit at a time with a bare write and
// fdatasync of as many bytes, in turns.
func BenchmarkAlone(b *testing.B) {
	dir := b.TempDir()
	s := open(b, badger.Config{Dir: filepath.Join(dir, "store")})
	file, err := os.Create(filepath.Join(dir, "bare"))
	require.NoError(b, err)
	defer func() { _ = file.Close() }()
	require.NoError(b, unix.Fallocate(int(file.Fd()), 0, 0, 64<<20))
	require.NoError(b, mustCommit(b, s, claim(0, 2)))
	frame := s.Stats().LogBytes
	require.NoError(b, mustCommit(b, s, claim(1, 2)))
	frame = s.Stats().LogBytes - frame
	bare := bytes.Repeat([]byte("x"), int(frame))

	var commits, syncs []time.Duration
	for i := range max(b.N, 200) {
		batch := claim(uint64(i+2), 2)
		start := time.Now()
		require.NoError(b, mustCommit(b, s, batch))
		commits = append(commits, time.Since(start))
		start = time.Now()
		_, err := file.WriteAt(bare, int64(i%1000)*frame)
		err = errorsFirst(err, unix.Fdatasync(int(file.Fd())))
		syncs = append(syncs, time.Since(start))
		require.NoError(b, err)
	}
	us := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Nanoseconds()) / 1000
	}
	b.ReportMetric(us(commits), "commit-us")
	b.ReportMetric(us(syncs), "fdatasync-us")
	b.ReportMetric(us(commits)-us(syncs), "difference-us")
}

// cpuTime is what the process has used of the processors so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var use unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func errorsFirst(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// BenchmarkInFlight sends batches of 128 claims with few of them in flight,
// as an engine does.
func BenchmarkInFlight(b *testing.B) {
	const claims = 128
	for _, inFlight := range []int{1, 2, 3, 4} {
		b.Run(strconv.Itoa(inFlight), func(b *testing.B) {
			s := open(b, badger.Config{})
			require.NoError(b, mustCommit(b, s, claim(1<<40, 2)))
			b.ResetTimer()
			took := each(b, inFlight, b.N, func(i uint64) error { return mustCommit(b, s, claim(i, 2*claims)) })
			b.ReportMetric(float64(b.N*claims)/took.Seconds(), "claims/s")
		})
	}
}

// BenchmarkLoad opens a store of KILONOVA_BENCH_RECORDS records, most of them
// in a checkpoint, and loads them.
func BenchmarkLoad(b *testing.B) {
	records := 100_000
	if n, err := strconv.Atoi(os.Getenv("KILONOVA_BENCH_RECORDS")); err == nil {
		records = n
	}
	cfg := badger.Config{Dir: b.TempDir(), NoSync: true, CheckpointBytes: int64(records) * benchValue / 2, SegmentBytes: int64(records) * benchValue / 10}
	s := open(b, cfg)
	const batch = 1000
	each(b, 4, records/batch, func(i uint64) error {
		c := claim(i, batch)
		for j := range c.Puts {
			c.Puts[j].Key = key("%032d", int(i)*batch+j)
		}
		return mustCommit(b, s, c)
	})
	require.Eventually(b, func() bool { return s.Stats().Checkpoints > 0 }, time.Minute, time.Millisecond)
	require.NoError(b, s.Close())
	b.ResetTimer()
	var opened, loaded time.Duration
	cpu := cpuTime(b)
	for range b.N {
		start := time.Now()
		s := open(b, cfg)
		opened += time.Since(start)
		n := 0
		var rev uint64
		for _, err := range s.Load(b.Context(), &rev) {
			require.NoError(b, err)
			n++
		}
		loaded += time.Since(start)
		require.Equal(b, records/batch*batch, n)
		require.NoError(b, s.Close())
	}
	b.ReportMetric((cpuTime(b)-cpu).Seconds()*1000/float64(b.N), "cpu-ms")
	b.ReportMetric(opened.Seconds()*1000/float64(b.N), "open-ms")
	b.ReportMetric(loaded.Seconds()*1000/float64(b.N), "open+load-ms")
	b.ReportMetric(float64(records)*float64(b.N)/loaded.Seconds(), "records/s")
}
