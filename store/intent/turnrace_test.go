package intent_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// racer is one of those who share a store. It plans on what it has followed.
type racer struct {
	*testing.T
	s *intent.Store

	mu   sync.Mutex
	seen state
	at   uint64
}

// race is what racers have in common.
type race struct {
	ctx      context.Context //nolint:containedctx // it is one test's whole life
	counters int
	clock    atomic.Int64
	counts   []atomic.Int64 // increments committed
	alone    atomic.Int64   // batches committed by a holder
	larges   atomic.Int64
	missed   atomic.Int64 // batches whose epoch had passed
}

func (r *racer) follow(c *race) {
	for ev, err := range r.s.Follow(c.ctx, 0) {
		if err != nil {
			assert.ErrorIs(r, err, context.Canceled)
			return
		}
		r.mu.Lock()
		r.seen.apply(ev)
		r.at = ev.Revision
		r.mu.Unlock()
		for now, done := c.clock.Load(), false; now < int64(ev.Version) && !done; now = c.clock.Load() {
			done = c.clock.CompareAndSwap(now, int64(ev.Version))
		}
	}
}

// await waits until the feed has come to a revision.
func (r *racer) await(c *race, revision uint64) {
	for c.ctx.Err() == nil {
		r.mu.Lock()
		there := r.at >= revision
		r.mu.Unlock()
		if there {
			return
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// count counts counters up in one batch. It expects nothing when it has the
// turn.
func (r *racer) count(c *race, turn intent.Turn, counters []int) {
	b := store.Batch{}
	r.mu.Lock()
	for _, i := range counters {
		rec := r.seen[key(i)]
		n := 0
		_, _ = fmt.Sscan(string(rec.Value), &n)
		b.Puts = append(b.Puts, store.Put{Key: key(i), Value: fmt.Append(nil, n+1)})
		if turn.Holder == "" {
			b.Expect = append(b.Expect, store.Expectation{Key: key(i), Version: rec.Version})
		}
	}
	r.mu.Unlock()
	b.Version = uint64(c.clock.Add(1))
	b.ID = batchID('R', int(b.Version))
	res, err := inEpoch{r.s, turn.Epoch}.retry(c.ctx, b)
	if !assert.NoError(r, err) {
		return
	}
	switch {
	case res.Outcome == store.Committed:
		for _, i := range counters {
			c.counts[i].Add(1)
		}
		if turn.Holder != "" {
			c.alone.Add(1)
		}
		if len(counters) > 5 {
			c.larges.Add(1)
		}
	case len(res.Conflicts) == 0:
		c.missed.Add(1)
	default:
		assert.Empty(r, turn.Holder, "a batch that expects nothing meets no conflict")
	}
	r.await(c, res.Revision)
}

// run counts the counters from first on until rounds batches of this call have
// been tried, and takes and frees turns.
func (r *racer) run(c *race, rng *rand.Rand, first, n, rounds int) {
	for i := 0; i < rounds && c.ctx.Err() == nil; i++ {
		turn := r.s.Turn() // before the records are read
		switch x := rng.IntN(12); {
		case x == 0 && turn.Holder != "":
			assert.NoError(r, r.s.FreeTurn(c.ctx, turn.Epoch))
		case x < 3 && turn.Holder == "":
			_, err := r.s.TakeTurn(c.ctx, turn.Epoch)
			assert.NoError(r, err)
		case turn.Holder != "" && turn.Holder != r.s.Owner():
			time.Sleep(50 * time.Microsecond)
		default:
			perm := rng.Perm(n)
			if x > 4 {
				perm = perm[:1+rng.IntN(3)]
			}
			for j := range perm {
				perm[j] += first
			}
			r.count(c, turn, perm)
		}
	}
}

// TestRaceForTurns has stores take and free turns while each of them counts in
// small and large batches. Who has the turn expects nothing and relies on what
// its feed has shown in that epoch: no count is lost.
func TestRaceForTurns(t *testing.T) {
	t.Parallel()
	seeds := int64(4)
	if testing.Short() {
		seeds = 1
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			raceForTurns(t, seed)
		})
	}
}

func raceForTurns(t *testing.T, seed int64) {
	t.Helper()
	const planners, each, rounds = 2, 12, 120
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := &race{ctx: ctx, counters: planners * each, counts: make([]atomic.Int64, planners*each)}
	inner := mem.New(small(6))
	var wg, feeds sync.WaitGroup
	for p := range 2 {
		f := storetest.Noise(10*seed + int64(p))
		f.ForeignWrite, f.PForeign, f.PNoSpace = nil, 0, 0
		r := &racer{T: t, seen: state{}}
		r.s = named(storetest.Faulty(inner, f), fmt.Sprint("racer ", p))
		feeds.Go(func() { r.follow(c) })
		for q := range planners {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(10*p+q)))
			wg.Go(func() { r.run(c, rng, q*each, each, rounds) })
		}
	}
	wg.Wait()
	require.NoError(t, ctx.Err())
	s := intent.Wrap(inner, intent.Config{Now: func() time.Time { return time.Unix(1e9, 0) }})
	_, err := s.Reap(ctx)
	require.NoError(t, err)
	nothingHeld(t, s, inner)
	got, end := load(t, s)
	replayed := state{}
	for _, ev := range follow(t, s, 0, end) {
		replayed.apply(ev)
	}
	require.Equal(t, got.text(), replayed.text())
	for i := range c.counts {
		n := int64(0)
		_, _ = fmt.Sscan(string(got[key(i)].Value), &n)
		require.Equal(t, c.counts[i].Load(), n, "counter %d", i)
	}
	t.Logf("%d epochs, %d batches alone, %d large, %d missed their epoch", s.Turn().Epoch, c.alone.Load(), c.larges.Load(), c.missed.Load())
	require.Greater(t, s.Turn().Epoch, uint64(10))
	require.Positive(t, c.alone.Load())
	require.Positive(t, c.larges.Load())
	cancel()
	feeds.Wait()
}
