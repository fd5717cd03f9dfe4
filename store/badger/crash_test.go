package badger_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
)

// The test binary starts itself again as another process; childVar says as
// what, childDir where the store is.
const (
	childVar = "KILONOVA_TEST_CHILD"
	childDir = "KILONOVA_TEST_DIR"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVar) {
	case "":
		os.Exit(m.Run())
	case "open":
		childOpen(os.Getenv(childDir))
	case "write":
		if err := childWrite(os.Getenv(childDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func childOpen(dir string) {
	s, err := badger.Open(badger.Config{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("opened", s.Close() == nil)
}

// The crash test's writers each commit a chain of batches: number i puts the
// writer's head with value i, expecting i-1, and a link i, and deletes the
// link before the last crashLinks ones.
const (
	crashWriters = 64
	crashLinks   = 20
)

func crashConfig(dir string) badger.Config {
	return badger.Config{Dir: dir, SegmentBytes: 128 << 10, CheckpointBytes: 512 << 10}
}

func head(w int) store.Key           { return key("head %d", w) }
func link(w int, i uint64) store.Key { return key("link %d/%d", w, i) }

func linkValue(w int, i uint64) []byte {
	return fmt.Appendf(nil, "%d of %d %0*d", i, w, 50+int(i%100), i)
}

// childWrite commits until it is killed, and tells each acknowledged batch.
func childWrite(dir string) error {
	s, err := badger.Open(crashConfig(dir))
	if err != nil {
		return err
	}
	heads := make([]uint64, crashWriters)
	var rev uint64
	for r, err := range s.Load(context.Background(), &rev) {
		if err != nil {
			return err
		}
		for w := range heads {
			if r.Key == head(w) {
				heads[w] = r.Version
			}
		}
	}
	var wg sync.WaitGroup
	errs := make(chan error, crashWriters)
	for w := range crashWriters {
		wg.Go(func() { errs <- writeChain(s, w, heads[w]) })
	}
	wg.Wait()
	return <-errs
}

func writeChain(s *badger.Store, w int, last uint64) error {
	for i := last + 1; ; i++ {
		b := store.Batch{
			ID: id(i<<8 | uint64(w)), Version: i,
			Expect: []store.Expectation{{Key: head(w), Version: i - 1}},
			Puts:   []store.Put{{Key: head(w), Value: strconv.AppendUint(nil, i, 10)}, {Key: link(w, i), Value: linkValue(w, i)}},
		}
		if i > crashLinks {
			b.Deletes = []store.Key{link(w, i-crashLinks)}
		}
		res, err := s.Commit(context.Background(), b)
		if err != nil || res.Outcome != store.Committed {
			return fmt.Errorf("writer %d, batch %d: %+v: %w", w, i, res, err)
		}
		var line [16]byte
		binary.BigEndian.PutUint64(line[:8], uint64(w))
		binary.BigEndian.PutUint64(line[8:], i)
		if _, err := os.Stdout.Write(line[:]); err != nil { // one write: whole in the pipe or not at all
			return err
		}
	}
}

// TestCrash kills a process that commits, again and again on the same store.
func TestCrash(t *testing.T) {
	t.Parallel()
	rounds := 5
	if soak() {
		rounds = 100
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	acked := make([]uint64, crashWriters)
	total := uint64(0)
	for round := 0; round < rounds || total == 0; round++ { // on a busy machine the first may be killed before they commit
		require.Less(t, round, 10*rounds, "no writer lives long enough to commit")
		patience := 1 + round/rounds
		killWriter(t, dir, time.Duration(patience*(20+rng.IntN(400)))*time.Millisecond, acked)
		checkChains(t, dir, acked, fmt.Sprintf("seed %d, round %d", seed, round))
		total = 0
		for _, n := range acked {
			total += n
		}
	}
	s := open(t, crashConfig(dir))
	t.Logf("%d acknowledged commits in %d rounds, last checkpoint at %d of %d", total, rounds, s.Stats().CheckpointRevision, s.Stats().Revision)
}

// killWriter runs a writer, kills it after some time, and enters what it said
// was acknowledged.
func killWriter(t *testing.T, dir string, after time.Duration, acked []uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVar+"=write", childDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	in := bufio.NewReader(out)
	for {
		var line [16]byte
		if _, err := io.ReadFull(in, line[:]); err != nil {
			break
		}
		w, i := binary.BigEndian.Uint64(line[:8]), binary.BigEndian.Uint64(line[8:])
		acked[w] = max(acked[w], i)
	}
	var exit *exec.ExitError
	require.ErrorAs(t, cmd.Wait(), &exit)
	require.Equal(t, -1, exit.ExitCode(), "the writer ended by itself")
}

// checkChains opens the store and demands every acknowledged batch, and no
// batch in part.
func checkChains(t *testing.T, dir string, acked []uint64, msg string) {
	t.Helper()
	s, err := badger.Open(crashConfig(dir))
	require.NoError(t, err, msg)
	defer func() { require.NoError(t, s.Close()) }()
	got := mustRead(t, s)
	want := map[store.Key]string{}
	for w := range crashWriters {
		text, there := got[head(w)]
		if !there {
			require.Zero(t, acked[w], "%s: writer %d", msg, w)
			continue
		}
		var version, i uint64
		_, err := fmt.Sscan(text, &version, &i)
		require.NoError(t, err)
		require.GreaterOrEqual(t, i, acked[w], "%s: an acknowledged batch of writer %d is lost", msg, w)
		want[head(w)] = fmt.Sprintf("%d %d", i, i)
		for n := i; n > 0 && n > i-min(i, crashLinks); n-- {
			want[link(w, n)] = fmt.Sprintf("%d %s", n, linkValue(w, n))
		}
		acked[w] = i
	}
	require.Equal(t, want, got, msg)
}

// TestStopped checks what a store says after the log could not be synced, and
// that opening it again tells which it was.
func TestStopped(t *testing.T) {
	t.Parallel()
	cfg := badger.Config{Dir: t.TempDir()}
	s := open(t, cfg)
	fill(t, s, 0, 10)
	s.BreakLog()
	b := store.Batch{ID: id(100), Version: 100, Puts: []store.Put{{Key: key("x"), Value: []byte("y")}}}
	for range 2 {
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, store.Unknown, res.Outcome)
		require.ErrorIs(t, res.Cause, os.ErrClosed)
	}
	require.ErrorIs(t, s.Healthy(), os.ErrClosed)
	require.NotEmpty(t, mustRead(t, s), "reading goes on")
	require.True(t, errors.Is(s.Close(), os.ErrClosed))

	s = open(t, cfg)
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
}
