//go:build integration

package etcd_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// What follows measures what the simulation of bench/scale is made of, and
// what it is held to. Records have the size of those of claims.
const (
	consumerBytes = 70
	stateBytes    = 12
)

// claimer commits batches that look like claims, on states of its own.
type claimer struct {
	st       store.Store
	versions *atomic.Uint64
	records  int
	own      int
	last     uint64 // version of its states
	rng      *rand.Rand
}

// commit sends a batch: half of its records are new, the others are written
// again and again.
func (c *claimer) commit(ctx context.Context) error {
	b := store.Batch{Version: c.versions.Add(1)}
	binary.LittleEndian.PutUint64(b.ID[:8], c.rng.Uint64())
	binary.LittleEndian.PutUint64(b.ID[8:], c.rng.Uint64()|1)
	for n := range c.records / 2 {
		consumer, state := numbered('c', int(c.rng.Uint64()>>2)), numbered(byte(c.own), n)
		consumerKey, stateKey := store.Key{Kind: 5, ID: string(consumer[:])}, store.Key{Kind: 4, ID: string(state[:])}
		value := make([]byte, stateBytes)
		expect := store.Expectation{Key: stateKey, Version: c.last}
		if c.last != 0 {
			expect.Value = value
		}
		b.Expect = append(b.Expect, store.Expectation{Key: consumerKey}, expect)
		b.Puts = append(b.Puts, store.Put{Key: consumerKey, Value: make([]byte, consumerBytes)}, store.Put{Key: stateKey, Value: value})
	}
	res, err := c.st.Commit(ctx, b)
	if err == nil && res.Outcome != store.Committed {
		err = fmt.Errorf("the batch ended %v: %w", res.Outcome, res.Cause)
	}
	c.last = b.Version
	return err
}

// claimers returns some on one store.
func claimers(st store.Store, n, records int) []*claimer {
	var versions atomic.Uint64
	list := make([]*claimer, n)
	for k := range list {
		list[k] = &claimer{st: st, versions: &versions, records: records, own: 'A' + k, rng: rand.New(rand.NewPCG(1, uint64(k)))}
	}
	return list
}

// report gives quantiles of durations, in milliseconds.
func report(b *testing.B, late []float64) {
	b.Helper()
	for _, q := range []int{1, 10, 25, 50, 75, 90, 99} {
		b.ReportMetric(quantile(late, q), fmt.Sprintf("ms-p%d", q))
	}
	b.ReportMetric(slices.Max(late), "ms-p100")
	b.ReportMetric(0, "ns/op")
}

func sinceMS(began time.Time) float64 { return float64(time.Since(began).Microseconds()) / 1e3 }

// BenchmarkStoreCommits is how long the cluster takes for batches, and what
// processor time it takes, by how many are in flight and how many records each
// has.
func BenchmarkStoreCommits(b *testing.B) {
	for _, flight := range []int{1, 8, 32} {
		for _, records := range []int{2, 16, 62, 124} {
			b.Run(fmt.Sprintf("%d/%d", flight, records), func(b *testing.B) {
				report(b, commits(b, claimers(open(b, config(b)), flight, records)))
			})
		}
	}
}

// BenchmarkStoreFollowers is what more processes that follow cost.
func BenchmarkStoreFollowers(b *testing.B) {
	for _, followers := range []int{0, 4, 16} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
			cfg := config(b)
			list := claimers(open(b, cfg), 8, 62)
			ctx, cancel := context.WithCancel(b.Context())
			var wg sync.WaitGroup
			var seen atomic.Int64
			for range followers {
				s := open(b, cfg)
				at, err := s.Latest(ctx)
				require.NoError(b, err)
				wg.Go(func() { tell(ctx, s, at, func() { seen.Add(1) }) })
			}
			commits(b, list)
			require.Eventually(b, func() bool { return seen.Load() >= int64(b.N*followers) }, time.Minute, time.Millisecond)
			cancel()
			wg.Wait()
		})
	}
}

// commits has b.N batches committed, and returns how long each took.
func commits(b *testing.B, list []*claimer) []float64 {
	b.Helper()
	for _, c := range list { // its states exist
		require.NoError(b, c.commit(b.Context()))
	}
	late := make([]float64, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	began, client, members := time.Now(), cpuTime(b), membersTime(b)
	for _, c := range list {
		wg.Go(func() {
			for k := int(next.Add(1)) - 1; k < b.N; k = int(next.Add(1)) - 1 {
				sent := time.Now()
				if err := c.commit(b.Context()); err != nil {
					b.Error(err)
					return
				}
				late[k] = sinceMS(sent)
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "batches/s")
	b.ReportMetric((cpuTime(b)-client).Seconds()*1e3/float64(b.N), "client-ms")
	b.ReportMetric((membersTime(b)-members).Seconds()*1e3/float64(b.N), "members-ms")
	b.ReportMetric(0, "ns/op")
	return late
}

// membersTime is the processor time that the members of the cluster have used.
func membersTime(b *testing.B) time.Duration {
	b.Helper()
	const tick = 10 * time.Millisecond // USER_HZ of Linux
	var sum time.Duration
	for pid := range strings.FieldsSeq(os.Getenv("KILONOVA_ETCD_PIDS")) {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		require.NoError(b, err)
		_, after, _ := bytes.Cut(stat, []byte(") "))
		fields := strings.Fields(string(after))
		for _, field := range fields[11:13] { // utime, stime
			n, err := strconv.Atoi(field)
			require.NoError(b, err)
			sum += time.Duration(n) * tick
		}
	}
	require.NotZero(b, sum, "KILONOVA_ETCD_PIDS names the members; .ci/etcd.sh sets it")
	return sum
}

// BenchmarkStoreFeed is how much later than its answer a batch is in the feed
// of another process, one small batch in flight.
func BenchmarkStoreFeed(b *testing.B) {
	cfg := config(b)
	c, s := claimers(open(b, cfg), 1, 2)[0], open(b, cfg)
	require.NoError(b, c.commit(b.Context()))
	seen := make(chan time.Time, 1)
	ctx, cancel := context.WithCancel(b.Context())
	at, err := s.Latest(ctx)
	require.NoError(b, err)
	var wg sync.WaitGroup
	wg.Go(func() { tell(ctx, s, at, func() { seen <- time.Now() }) })
	late := make([]float64, b.N)
	for k := range late {
		require.NoError(b, c.commit(b.Context()))
		answered := time.Now()
		late[k] = max(0, float64((<-seen).Sub(answered).Microseconds())/1e3)
	}
	report(b, late)
	cancel()
	wg.Wait()
}

// tell calls seen for each batch that comes.
func tell(ctx context.Context, s *etcd.Store, after uint64, seen func()) {
	for ev, err := range s.Follow(ctx, after) {
		if err != nil {
			return
		}
		if len(ev.Puts) > 0 {
			seen()
		}
	}
}

// counting counts the batches of a store that took effect, and those that did
// not.
type counting struct {
	*etcd.Store
	batches, conflicts *atomic.Int64
}

func (c counting) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	res, err := c.Store.Commit(ctx, b)
	switch {
	case res.Outcome == store.Conflict:
		c.conflicts.Add(1)
	case err == nil && res.Outcome == store.Committed:
		c.batches.Add(1)
	}
	return res, err
}

// BenchmarkSharedClaims is what engines claim together on random hosts, 256
// claims in flight in all: the simulation is held to it. One engine alone has
// the turn.
func BenchmarkSharedClaims(b *testing.B) {
	const claims = 6000
	for _, hosts := range []int{benchHosts, 16} {
		for _, n := range []int{1, 4} {
			b.Run(fmt.Sprintf("%d/%d", hosts, n), func(b *testing.B) {
				cfg := config(b)
				var batches, conflicts atomic.Int64
				engines := make([]*placement.Engine, n)
				for k := range engines {
					engines[k] = engineOn(b, counting{open(b, cfg), &batches, &conflicts})
				}
				fill(b, engines[0], hosts)
				for _, e := range engines {
					require.NoError(b, e.Fresh(b.Context()))
				}
				if n == 1 {
					_, err := engines[0].TakeTurn(b.Context())
					require.NoError(b, err)
				}
				rng, next, rates, share := rand.New(rand.NewPCG(1, 2)), 0, []float64{}, []float64{}
				for b.Loop() {
					on := make([]int, claims)
					for k := range on {
						on[k] = rng.IntN(hosts)
					}
					batches.Store(0)
					conflicts.Store(0)
					began := time.Now()
					parallel(b, flying, claims, func(k int) error { return claim(b.Context(), engines[k%n], next+k, on[k]) })
					rates = append(rates, claims/time.Since(began).Seconds())
					share = append(share, 100*float64(conflicts.Load())/float64(conflicts.Load()+batches.Load()))
					held(b, engines[0], next+(claims-1)/n*n)
					next += claims
				}
				b.ReportMetric(median(rates), "claims/s")
				b.ReportMetric(median(share), "%conflicts")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// BenchmarkSize is what hosts and claims take of the members' databases, with
// the history since the last compaction and without it.
func BenchmarkSize(b *testing.B) {
	const hosts, claims = 2000, 20000
	cfg := config(b)
	e, c := engineOn(b, open(b, cfg)), plain(b, cfg)
	inUse := func() float64 {
		s, err := c.Status(b.Context(), cfg.Endpoints[0])
		require.NoError(b, err)
		return float64(s.DbSizeInUse)
	}
	compacted := func() float64 {
		s, err := c.Status(b.Context(), cfg.Endpoints[0])
		require.NoError(b, err)
		_, err = c.Compact(b.Context(), s.Header.Revision, clientv3.WithCompactPhysical())
		require.NoError(b, err)
		time.Sleep(time.Second) // pages are free after the next commit of the database
		return inUse()
	}
	for b.Loop() {
		empty := compacted()
		fill(b, e, hosts)
		filled := compacted()
		parallel(b, flying, claims, func(k int) error { return claim(b.Context(), e, k, k%hosts) })
		history, kept := inUse(), compacted()
		b.ReportMetric((filled-empty)/hosts, "B/host")
		b.ReportMetric((history-filled)/claims, "B/claim")
		b.ReportMetric((kept-filled)/claims, "B/consumer")
		b.ReportMetric(0, "ns/op")
	}
}
