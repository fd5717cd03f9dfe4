package intent_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// crowd is a set of counters that large batches count up together and small
// ones one by one: every record holds both numbers.
type crowd struct {
	*testing.T
	ctx      context.Context //nolint:containedctx // it is one test's whole life
	counters int
	clock    atomic.Uint64
	ids      atomic.Int64
	small    []atomic.Int64 // small counts committed, by counter
	larges   atomic.Int64
	mu       sync.Mutex
	done     []store.BatchID // of the large batches committed
}

func pair(r store.Record) (large, small int64) {
	_, _ = fmt.Sscanf(string(r.Value), "%d/%d", &large, &small)
	return large, small
}

// read loads the counters and demands that every large batch is in all of them
// or in none.
func (c *crowd) read(s store.Store) (state, bool) {
	var rev uint64
	got := state{}
	for r, err := range s.Load(c.ctx, &rev) {
		if !assert.NoError(c, err) {
			return nil, false
		}
		if r.Key.Kind == 1 {
			got[r.Key] = r
		}
	}
	want, _ := pair(got[key(0)])
	for i := range c.counters {
		if large, _ := pair(got[key(i)]); !assert.Equal(c, want, large, "revision %d: counter %d", rev, i) {
			return nil, false
		}
	}
	return got, len(got) == 0 || assert.Len(c, got, c.counters)
}

func (c *crowd) countLarge(s store.Store) bool {
	for c.ctx.Err() == nil {
		seen, ok := c.read(s)
		if !ok {
			return false
		}
		b := store.Batch{ID: batchID('L', int(c.ids.Add(1))), Version: c.clock.Add(1)}
		for i := range c.counters {
			r := seen[key(i)]
			large, small := pair(r)
			b.Expect = append(b.Expect, store.Expectation{Key: key(i), Version: r.Version})
			b.Puts = append(b.Puts, store.Put{Key: key(i), Value: fmt.Appendf(nil, "%d/%d", large+1, small)})
		}
		c.ahead(seen)
		b.Version = c.clock.Add(1)
		res, err := storetest.CommitRetry(c.ctx, s, b)
		if !assert.NoError(c, err) {
			return false
		}
		if res.Outcome == store.Committed {
			c.larges.Add(1)
			c.mu.Lock()
			c.done = append(c.done, b.ID)
			c.mu.Unlock()
			return true
		}
	}
	return assert.NoError(c, c.ctx.Err(), "large batch starved")
}

// ahead moves the clock beyond every version of st, as the port demands.
func (c *crowd) ahead(st state) {
	for _, r := range st {
		for {
			now := c.clock.Load()
			if now >= r.Version || c.clock.CompareAndSwap(now, r.Version) {
				break
			}
		}
	}
}

func (c *crowd) countSmall(s store.Store, i int) bool {
	r := store.Record{Key: key(i)}
	for c.ctx.Err() == nil {
		large, small := pair(r)
		c.ahead(state{r.Key: r})
		res, err := storetest.CommitRetry(c.ctx, s, store.Batch{
			ID: batchID('s', int(c.ids.Add(1))), Version: c.clock.Add(1),
			Expect: []store.Expectation{{Key: key(i), Version: r.Version}},
			Puts:   []store.Put{{Key: key(i), Value: fmt.Appendf(nil, "%d/%d", large, small+1)}},
		})
		if !assert.NoError(c, err) {
			return false
		}
		if res.Outcome == store.Committed {
			c.small[i].Add(1)
			return true
		}
		if len(res.Conflicts) > 0 {
			r = res.Conflicts[0]
		}
	}
	return assert.NoError(c, c.ctx.Err(), "small batch starved")
}

func TestCrowd(t *testing.T) {
	t.Parallel()
	for name, faulty := range map[string]bool{"calm": false, "faulty": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runCrowd(t, faulty)
		})
	}
}

func runCrowd(t *testing.T, faulty bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := &crowd{T: t, ctx: ctx, counters: 1000}
	c.small = make([]atomic.Int64, c.counters)
	cfg := small(12)
	cfg.History = 1 << 20
	inner := mem.New(cfg)
	process := func(seed int64) store.Store {
		if !faulty {
			return intent.Wrap(inner, intent.Config{})
		}
		f := storetest.Noise(seed)
		f.ForeignWrite, f.PForeign = nil, 0
		return intent.Wrap(storetest.Faulty(inner, f), intent.Config{})
	}
	require.True(t, c.countLarge(process(100)), "the counters are made")
	var wg sync.WaitGroup
	for w := range 2 {
		s := process(int64(w))
		wg.Go(func() {
			for range 2 {
				c.countLarge(s)
			}
		})
		for k := range 2 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(w), uint64(k)))
				for range 40 {
					c.countSmall(s, rng.IntN(c.counters))
				}
			})
		}
	}
	var stop atomic.Bool
	onlooker := process(7)
	wait := make(chan struct{})
	go func() {
		defer close(wait)
		for !stop.Load() {
			c.read(onlooker)
		}
	}()
	wg.Wait()
	stop.Store(true)
	<-wait
	c.audit(inner, onlooker)
}

// audit compares what is there with what was told, and with the feed.
func (c *crowd) audit(inner, s store.Store) {
	c.Helper()
	for { // what dead tries have left
		n, err := s.(*intent.Store).Reap(c.ctx)
		if err == nil && n == 0 {
			break
		}
	}
	got, ok := c.read(s)
	require.True(c, ok)
	for i := range c.counters {
		large, small := pair(got[key(i)])
		require.Equal(c, c.larges.Load(), large)
		require.Equal(c, c.small[i].Load(), small, "counter %d", i)
	}
	nothingHeld(c.T, s, inner)
	_, end := load(c.T, s)
	events := follow(c.T, s, 0, end)
	require.Equal(c, events, follow(c.T, intent.Wrap(inner, intent.Config{}), 0, end))
	replayed := state{}
	for _, ev := range events {
		replayed.apply(ev)
		if slices.Contains(c.done, ev.ID) { // others put back what a rolled back batch had written
			require.Len(c, ev.Puts, c.counters)
		}
	}
	require.Equal(c, got.text(), replayed.text())
	for _, id := range c.done {
		require.Equal(c, 1, count(events, id))
	}
}

// TestBlindCrowd has large and small batches write the same records without
// expecting anything. No small one may slip into an unfinished large one: the
// feed, replayed, is what the store holds, and each batch is in it once.
func TestBlindCrowd(t *testing.T) {
	t.Parallel()
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			blindCrowd(t, seed)
		})
	}
}

func blindCrowd(t *testing.T, seed int64) {
	t.Helper()
	const records, processes = 60, 3
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	inner := mem.New(small(8))
	var clock, larges, smalls atomic.Int64
	write := func(s store.Store, who byte, keys []int, gone bool) {
		n := clock.Add(1)
		b := store.Batch{ID: batchID(who, int(n)), Version: uint64(n)}
		for i, k := range keys {
			if gone && i%2 == 1 {
				b.Deletes = append(b.Deletes, key(k))
			} else {
				b.Puts = append(b.Puts, store.Put{Key: key(k), Value: fmt.Append(nil, n)})
			}
		}
		res, err := storetest.CommitRetry(ctx, s, b)
		assert.NoError(t, err)
		assert.Equal(t, store.Committed, res.Outcome)
	}
	var wg sync.WaitGroup
	for p := range processes {
		f := storetest.Noise(seed*processes + int64(p))
		f.ForeignWrite, f.PForeign = nil, 0
		s := intent.Wrap(storetest.Faulty(inner, f), intent.Config{})
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(p)))
			for i := range 12 {
				write(s, 'L', rng.Perm(records)[:records/2], i%2 == 0)
				larges.Add(1)
			}
		})
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(100+p)))
			for larges.Load() < 12*processes {
				if smalls.Load() > 300*(larges.Load()+1) { // the history is bounded
					time.Sleep(time.Millisecond)
					continue
				}
				write(s, 's', rng.Perm(records)[:1+rng.IntN(6)], rng.IntN(3) == 0)
				smalls.Add(1)
			}
		})
	}
	wg.Wait()
	s := intent.Wrap(inner, intent.Config{Now: func() time.Time { return time.Unix(1e9, 0) }})
	_, err := s.Reap(ctx)
	require.NoError(t, err)
	nothingHeld(t, s, inner)
	got, end := load(t, s)
	replayed, seen := state{}, map[store.BatchID]int{}
	for _, ev := range follow(t, s, 0, end) {
		replayed.apply(ev)
		if n := int(binary.BigEndian.Uint64(ev.ID[8:])); ev.ID == batchID('L', n-1) || ev.ID == batchID('s', n-1) {
			seen[ev.ID]++
		}
	}
	require.Equal(t, got.text(), replayed.text(), "seed %d", seed)
	require.Len(t, seen, int(larges.Load()+smalls.Load()))
	for id, n := range seen {
		require.Equal(t, 1, n, "batch %x", id)
	}
}

// TestConcurrentTries sends one large batch from many goroutines at once: all
// of them hear the same.
func TestConcurrentTries(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	slow := func(int) bool { time.Sleep(50 * time.Microsecond); return true }
	s := intent.Wrap(&hooked{Store: inner, before: slow}, intent.Config{})
	base(t, intent.Wrap(inner, intent.Config{}), 100)
	b := mixed(100)
	var results [8]store.Result
	var wg sync.WaitGroup
	for i := range results {
		wg.Go(func() {
			res, err := s.Commit(t.Context(), b)
			assert.NoError(t, err)
			results[i] = res
		})
	}
	wg.Wait()
	for _, res := range results {
		require.Equal(t, store.Committed, res.Outcome)
		require.Equal(t, results[0].Revision, res.Revision)
	}
	nothingHeld(t, s, inner)
}
