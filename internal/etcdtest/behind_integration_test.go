//go:build integration

package etcdtest_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// claims is what one engine acknowledged to a few writers, of which each has
// consumers of its own: where they are, and how many writes that took.
type claims struct {
	hosts int
	done  atomic.Int64

	mu   sync.Mutex
	at   map[placement.UUID]placement.UUID
	errs []error
}

// keepClaiming has writers claim, move and free until ctx ends.
func (c *claims) keepClaiming(ctx context.Context, e *placement.Engine, seed uint64, count int) {
	var wg sync.WaitGroup
	for w := range count {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			var generations []placement.Generation // of consumers, freed ones too
			for ctx.Err() == nil {
				k := rng.IntN(len(generations) + 1)
				if k == len(generations) || rng.IntN(2) == 0 {
					k, generations = len(generations), append(generations, placement.NewConsumer)
				}
				c.write(context.WithoutCancel(ctx), e, id('c', w<<24+k), &generations[k], rng)
			}
		})
	}
	wg.Wait()
}

func (c *claims) write(ctx context.Context, e *placement.Engine, consumer placement.UUID, generation *placement.Generation, rng *rand.Rand) {
	wr := placement.ConsumerAllocations{Consumer: consumer, Project: "p", User: "u", Generation: *generation}
	host, frees := id('h', rng.IntN(c.hosts)), *generation != placement.NewConsumer && rng.IntN(4) == 0
	if !frees {
		wr.Allocations = []placement.Allocation{{Provider: host, Class: "VCPU", Amount: 1}}
	}
	err := e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{wr}})
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.errs = append(c.errs, err)
	case frees:
		delete(c.at, consumer)
		*generation = placement.NewConsumer
	case *generation == placement.NewConsumer:
		c.at[consumer], *generation = host, 1
	default:
		c.at[consumer] = host
		*generation++
	}
	c.done.Add(1)
}

// shown demands that an engine shows exactly what was acknowledged.
func (c *claims) shown(t *testing.T, e *placement.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.Eventually(t, func() bool { return e.Fresh(ctx) == nil }, 30*time.Second, 10*time.Millisecond)
	require.Empty(t, c.errs)
	want := map[placement.UUID]int64{}
	for _, host := range c.at {
		want[host]++
	}
	found := map[placement.UUID]placement.UUID{}
	for h := range c.hosts {
		host := id('h', h)
		used, _, err := e.Usages(host)
		require.NoError(t, err)
		require.Equal(t, want[host], used["VCPU"], "host %d", h)
		held, _, err := e.ProviderAllocations(host)
		require.NoError(t, err)
		for _, a := range held {
			found[a.Consumer.UUID] = host
		}
	}
	require.Equal(t, c.at, found)
	wrong, err := e.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, wrong)
	require.NoError(t, e.Err())
}

// world fills a store with hosts of much room.
func (c *claims) world(t *testing.T, cfg etcd.Config) {
	t.Helper()
	c.at = map[placement.UUID]placement.UUID{}
	fill(t, cfg, recordsOf(t, func(e *placement.Engine) {
		for h := range c.hosts {
			newProvider(t, e, id('h', h), placement.UUID{})
			_, err := e.SetInventories(t.Context(), id('h', h), vcpus(1<<20), placement.AnyGeneration)
			require.NoError(t, err)
		}
	}))
}

// TestStartsWhileOthersWrite starts engines on a store of many hosts while
// writers claim on another.
func TestStartsWhileOthersWrite(t *testing.T) {
	c := claims{hosts: 5000}
	if soak() {
		c.hosts = 100_000
	}
	cfg := etcd.Config{Endpoints: start(t).Endpoints(), Prefix: prefix}
	c.world(t, cfg)
	all := []*placement.Engine{engineOn(t, cfg)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { c.keepClaiming(ctx, all[0], seed(t), 4); close(ended) }()
	for range 3 {
		rest(ctx, 200*time.Millisecond)
		before, began := c.done.Load(), time.Now()
		all = append(all, engineOn(t, cfg))
		meanwhile := c.done.Load() - before
		t.Logf("an engine on %d hosts started in %v; meanwhile %d writes", c.hosts, time.Since(began), meanwhile)
		require.Positive(t, meanwhile)
	}
	rest(ctx, 200*time.Millisecond)
	cancel()
	<-ended
	t.Logf("%d writes, %d consumers are left", c.done.Load(), len(c.at))
	for _, e := range all {
		c.shown(t, e)
	}
}

// recounted is a store that counts what an engine reads.
type recounted struct {
	*etcd.Store
	loads     atomic.Int64
	compacted atomic.Bool
}

// Load implements [store.Store].
func (r *recounted) Load(ctx context.Context, revision *uint64) iter.Seq2[store.Record, error] {
	r.loads.Add(1)
	return r.Store.Load(ctx, revision)
}

// Follow implements [store.Store].
func (r *recounted) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		for ev, err := range r.Store.Follow(ctx, after) {
			if errors.Is(err, store.ErrCompacted) {
				r.compacted.Store(true)
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

// TestFallsBehind stalls the link of one engine while others write thousands
// of claims and the cluster drops that part of its history: the engine says
// that it cannot be fresh, and when it is healed it loads again.
func TestFallsBehind(t *testing.T) {
	cl := claims{hosts: 50}
	c := start(t)
	cfg := etcd.Config{Endpoints: c.Endpoints(), Prefix: prefix}
	cl.world(t, cfg)
	fast := engineOn(t, cfg)
	link, err := etcdtest.NewLink(t.Context(), c.Endpoints())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, link.Close()) })
	linked := cfg
	linked.Endpoints, linked.RequestTimeout = link.Endpoints(), time.Second // after which its feed is silent
	s, err := etcd.Open(t.Context(), linked)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	counted := &recounted{Store: s}
	slow, err := placement.Open(t.Context(), placement.Config{Store: counted, Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, slow.Close()) })

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { cl.keepClaiming(ctx, fast, seed(t), writers); close(ended) }()
	require.Eventually(t, func() bool { return cl.done.Load() > 100 }, 30*time.Second, time.Millisecond)
	require.NoError(t, slow.Fresh(t.Context()))
	loads, before := counted.loads.Load(), cl.done.Load()
	require.False(t, counted.compacted.Load())

	link.Stall()
	from := time.Now()
	rest(ctx, lasting(2*time.Second, 20*time.Second))
	require.Eventually(t, func() bool { return cl.done.Load()-before > 2000 }, time.Minute, time.Millisecond)
	brief, done := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer done()
	require.Error(t, slow.Fresh(brief))
	_, err = c.Compact(t.Context())
	require.NoError(t, err)
	rest(ctx, 100*time.Millisecond)
	missed := cl.done.Load() - before
	link.Heal()
	healed := time.Now()
	require.Eventually(t, func() bool { return counted.loads.Load() > loads && slow.Fresh(t.Context()) == nil }, 30*time.Second, time.Millisecond)
	t.Logf("%d writes in the %v of the stall; %v after it the engine has loaded again", missed, healed.Sub(from), time.Since(healed))
	require.True(t, counted.compacted.Load())
	cancel()
	<-ended
	for _, e := range []*placement.Engine{fast, slow} {
		cl.shown(t, e)
	}
}
