package placement_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// gate is a store that hangs while it is shut: it lets commits through, after
// it is opened, or forgets them when their context ends.
type gate struct {
	store.Store
	mu      sync.Mutex
	pass    chan struct{} // closed while open
	arrived chan struct{} // gets one for each commit that hangs
}

func newGate() *gate {
	return &gate{Store: mem.New(mem.Config{}), pass: make(chan struct{}), arrived: make(chan struct{}, 1000)}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.pass)
}

func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = make(chan struct{})
}

func (g *gate) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	g.mu.Lock()
	pass := g.pass
	g.mu.Unlock()
	select {
	case <-pass:
		return g.Store.Commit(ctx, b)
	default:
	}
	g.arrived <- struct{}{}
	select {
	case <-pass:
		return g.Store.Commit(ctx, b)
	case <-ctx.Done():
		return store.Result{Outcome: store.Unknown, Cause: ctx.Err()}, nil
	}
}

// hanging returns an engine with a host, on a store that hangs from now on.
func hanging(t *testing.T) (*gate, *placement.Engine, placement.UUID) {
	t.Helper()
	g := newGate()
	g.open()
	e := open(t, placement.Config{Store: g})
	host := newHost(t, e, 1, placement.UUID{}, 100)
	g.shut()
	return g, e, host
}

// TestDeadlineWhileTheStoreHangs ends the contexts of a write that the store
// has, of one that waits for the next batch, and of one that waits for its
// turn: only the last is known to have failed.
func TestDeadlineWhileTheStoreHangs(t *testing.T) {
	t.Parallel()
	g, e, host := hanging(t)
	ctx, cancel := context.WithCancel(t.Context())
	errs := make([]chan error, 3)
	claimLater := func(n, consumer int) {
		errs[n] = make(chan error, 1)
		go func() {
			errs[n] <- e.SetAllocations(ctx, claimOf(id('c', consumer), placement.AnyGeneration, vcpus(host, 10)))
		}()
	}
	claimLater(0, 0)
	<-g.arrived
	claimLater(1, 1) // on top of the first
	claimLater(2, 0) // the first holds the consumer
	used, _, err := e.Usages(host)
	require.NoError(t, err)
	require.Zero(t, used["VCPU"], "nothing is committed yet")
	require.ErrorIs(t, e.SetAllocations(t.Context(), claimOf(id('c', 9), placement.AnyGeneration, vcpus(host, 91))), placement.ErrCapacity,
		"the claim under way counts")
	cancel()
	for n := range 2 {
		err := <-errs[n]
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, placement.ErrUnknownOutcome)
	}
	turn := <-errs[2]
	require.ErrorIs(t, turn, context.Canceled)
	require.NotErrorIs(t, turn, placement.ErrUnknownOutcome)

	g.open()
	waitFor(t, func() bool {
		c, _, err := e.Consumer(id('c', 0))
		return err == nil && c.Generation == 1
	})
	require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 5), placement.NewConsumer, vcpus(host, 1))))
	c, _, err := e.Consumer(id('c', 0))
	require.NoError(t, err)
	require.EqualValues(t, 1, c.Generation, "the write that waited for its turn never happened")
	require.NoError(t, e.Err())
	sound(t, e)
}

// TestCloseWhileWritersWait closes an engine below writers. What is known to
// have failed must not be in the store, whatever it does with the rest.
func TestCloseWhileWritersWait(t *testing.T) {
	t.Parallel()
	g, e, host := hanging(t)
	const writers = 32
	errs := make([]error, writers)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			consumer := id('c', n/2) // two in each other's way
			errs[n] = e.SetAllocations(t.Context(), claimOf(consumer, placement.NewConsumer, vcpus(host, 1)))
		})
	}
	<-g.arrived
	require.NoError(t, e.Close())
	wg.Wait()
	g.open()
	again := open(t, placement.Config{Store: g})
	for n, err := range errs {
		require.ErrorIs(t, err, placement.ErrClosed)
		_, _, there := again.Consumer(id('c', n/2))
		if !errors.Is(err, placement.ErrUnknownOutcome) && !errors.Is(errs[n^1], placement.ErrUnknownOutcome) {
			require.ErrorIs(t, there, placement.ErrNotFound)
		}
	}
	sound(t, again)

	require.ErrorIs(t, e.SetAllocations(t.Context(), claimOf(id('c', 99), placement.NewConsumer, vcpus(host, 1))), placement.ErrClosed)
	require.ErrorIs(t, e.Err(), placement.ErrClosed)
	_, err := e.Provider(host)
	require.NoError(t, err, "reading goes on")
	require.NoError(t, e.Close(), "closing twice")
}

// TestClosedInMemory is the same without a store.
func TestClosedInMemory(t *testing.T) {
	t.Parallel()
	e := open(t, placement.Config{})
	host := newHost(t, e, 1, placement.UUID{}, 1)
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.DeleteProvider(t.Context(), host), placement.ErrClosed)
	require.ErrorIs(t, e.Err(), placement.ErrClosed)
	_, err := e.Provider(host)
	require.NoError(t, err)
}

// TestStoreFailsForGood closes the store below an engine.
func TestStoreFailsForGood(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Config{})
	e := open(t, placement.Config{Store: s})
	host := newHost(t, e, 1, placement.UUID{}, 1)
	require.NoError(t, e.Err())
	require.NoError(t, s.Close())
	waitFor(t, func() bool { return e.Err() != nil })
	require.ErrorIs(t, e.Err(), placement.ErrClosed)
	require.ErrorIs(t, e.Err(), store.ErrClosed)
	require.ErrorIs(t, e.DeleteProvider(t.Context(), host), placement.ErrClosed)
	_, err := e.Provider(host)
	require.NoError(t, err, "reading goes on")
	sound(t, e)
}

// filling is a store whose medium is full now and then.
type filling struct {
	store.Store
	full   atomic.Bool
	faulty store.Store
}

func (f *filling) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if f.full.Load() {
		return f.faulty.Commit(ctx, b)
	}
	return f.Store.Commit(ctx, b)
}

// TestFullStore fills the medium: writes fail and say so, nothing changes,
// readers go on, and it works again when there is space.
func TestFullStore(t *testing.T) {
	t.Parallel()
	inner := mem.New(mem.Config{})
	s := &filling{Store: inner, faulty: storetest.Faulty(inner, storetest.Faults{PNoSpace: 1})}
	e := open(t, placement.Config{Store: s})
	host := newHost(t, e, 1, placement.UUID{}, 100)
	for round := range 3 {
		s.full.Store(true)
		before, last := dump(e), e.LastChange()
		together(16, func(k int) {
			err := e.SetAllocations(t.Context(), claimOf(id('c', 100*round+k), placement.NewConsumer, vcpus(host, 1)))
			assert.ErrorIs(t, err, store.ErrNoSpace)
			assert.NotErrorIs(t, err, placement.ErrUnknownOutcome)
			_, _, err = e.Usages(host)
			assert.NoError(t, err)
		})
		same(t, before, dump(e), fmt.Sprint("round ", round))
		require.Equal(t, last, e.LastChange())
		require.ErrorIs(t, e.Err(), placement.ErrNoSpace)
		s.full.Store(false)
		if round == 1 {
			waitFor(t, func() bool { return e.Err() == nil }) // nobody writes
		}
		together(16, func(k int) {
			assert.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 100*round+k), placement.NewConsumer, vcpus(host, 1))))
		})
		require.NoError(t, e.Err())
	}
	used, _, err := e.Usages(host)
	require.NoError(t, err)
	require.EqualValues(t, 48, used["VCPU"])
	sound(t, e)
	same(t, dump(e), dump(open(t, placement.Config{Store: inner})), "after it was opened again")
}
