package placement_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// wire is a shared store whose feed can be cut, and whose commits hang while
// its gate is shut.
type wire struct {
	*gate
	mu   sync.Mutex
	down error                   // what a new feed ends with; nil: it works
	cut  context.CancelCauseFunc // ends the feed under way
	dumb error                   // what questions for the latest revision end with
	asks atomic.Int64            // how many there were
	held chan struct{}           // they wait until it is closed
}

// newWires returns two open ends of one store.
func newWires() (a, b *wire) {
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
	ends := [2]*wire{}
	for k := range ends {
		ends[k] = &wire{gate: newGate()}
		ends[k].Store = shared
		ends[k].open()
	}
	return ends[0], ends[1]
}

// fail ends the feed with err, and every new one until it is nil.
func (w *wire) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down = err; err != nil && w.cut != nil {
		w.cut(err)
	}
}

// compact makes e load again.
func (w *wire) compact(t *testing.T, e *placement.Engine) {
	t.Helper()
	last := e.LastChange()
	w.fail(store.ErrCompacted)
	require.NoError(t, e.WaitChange(t.Context(), last))
	w.fail(nil)
}

// mute has questions for the latest revision end with err.
func (w *wire) mute(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dumb = err
}

// hold has questions wait until release is called.
func (w *wire) hold() (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = make(chan struct{})
	return sync.OnceFunc(func() { close(w.held) })
}

func (w *wire) Latest(ctx context.Context) (uint64, error) {
	w.mu.Lock()
	dumb, held := w.dumb, w.held
	w.mu.Unlock()
	w.asks.Add(1)
	if held != nil {
		<-held
	}
	shared, _ := w.Store.(store.Shared)
	revision, err := shared.Latest(ctx)
	return revision, errors.Join(err, dumb)
}

func (w *wire) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		feed, cut := context.WithCancelCause(ctx)
		defer cut(nil)
		w.mu.Lock()
		down := w.down
		w.cut = cut
		w.mu.Unlock()
		if down != nil {
			yield(store.Event{}, down)
			return
		}
		for ev, err := range w.Store.Follow(feed, after) {
			if cause := context.Cause(feed); err != nil && cause != nil {
				err = cause
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// errLost is trouble on the way to a store.
var errLost = errors.New("no leader")

// TestFollowsAgain cuts the feed of an engine while another writes: it shows
// what it had, and catches up by itself.
func TestFollowsAgain(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{errLost, store.ErrCompacted} {
		t.Run(cause.Error(), func(t *testing.T) {
			t.Parallel()
			near, far := newWires()
			here, there := open(t, placement.Config{Store: near}), open(t, placement.Config{Store: far})
			host := newHost(t, there, 1, placement.UUID{}, 4)
			settled(t, [2]*placement.Engine{there, here})
			near.fail(errLost)
			for n := range 3 {
				require.NoError(t, there.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(host, 1))))
			}
			require.NoError(t, there.DeleteAllocations(t.Context(), id('c', 0)))
			used, _, err := here.Usages(host)
			require.NoError(t, err)
			require.Zero(t, used["VCPU"])
			if errors.Is(cause, store.ErrCompacted) {
				near.compact(t, here)
			} else {
				near.fail(nil)
			}
			settled(t, [2]*placement.Engine{there, here})
		})
	}
}

// TestReloadTellsReaders loads again below those who read in several steps:
// they go on with what they began with, and followers of the feed are told.
func TestReloadTellsReaders(t *testing.T) {
	t.Parallel()
	near, far := newWires()
	here, there := open(t, placement.Config{Store: near}), open(t, placement.Config{Store: far})
	const hosts = 300
	for n := range hosts {
		newHost(t, there, n, placement.UUID{}, 4)
	}
	settled(t, [2]*placement.Engine{there, here})
	v := &view{e: here}
	v.restart()
	want, snap := dump(here), here.Snapshot()
	next, stop := iter.Pull2(here.Candidates(t.Context(), placement.CandidateRequest{Groups: []placement.RequestGroup{{
		Resources: []placement.Resource{{Class: "VCPU", Amount: 1}},
	}}}))
	defer stop()
	_, err, ok := next()
	require.NoError(t, err)
	require.True(t, ok)

	near.fail(errLost)
	for n := range hosts / 2 {
		require.NoError(t, there.DeleteProvider(t.Context(), id('h', n)))
		newHost(t, there, hosts+n, placement.UUID{}, 4)
	}
	last := here.LastChange()
	near.compact(t, here)
	_, err = here.Changes(last, make([]placement.Change, 1))
	require.ErrorIs(t, err, placement.ErrTooFarBehind)
	same(t, want, dumpOf(snap), "a snapshot from before")
	snap.Close()
	found := 1
	for {
		_, err, ok := next()
		require.NoError(t, err)
		if !ok {
			break
		}
		found++
	}
	require.Equal(t, hosts, found)

	settled(t, [2]*placement.Engine{there, here})
	require.NoError(t, v.catchUp(make([]placement.Change, 8)))
	fresh := &view{e: here}
	fresh.restart()
	require.Equal(t, fresh.usages, v.usages)
	require.Equal(t, 2, v.starts)
}

// TestReloadBelowWriters loads an engine again while writes are under way:
// each ends as the store says, whether its effect is in the snapshot, comes
// later, or never.
func TestReloadBelowWriters(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		applied bool // before the snapshot
		rival   bool // another engine takes the units meanwhile
		want    error
	}{
		{"in the snapshot", true, false, nil},
		{"after the snapshot", false, false, nil},
		{"lost", false, true, placement.ErrCapacity},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			near, far := newWires()
			here, there := open(t, placement.Config{Store: near}), open(t, placement.Config{Store: far})
			host := newHost(t, there, 1, placement.UUID{}, 4)
			settled(t, [2]*placement.Engine{there, here})
			near.fail(errLost) // the effect of the write is not seen in the feed
			near.shut()
			answer := make(chan error, 1)
			go func() {
				answer <- here.SetAllocations(t.Context(), claimOf(id('c', 1), placement.NewConsumer, vcpus(host, 3)))
			}()
			<-near.arrived
			if c.rival {
				require.NoError(t, there.SetAllocations(t.Context(), claimOf(id('c', 2), placement.NewConsumer, vcpus(host, 2))))
			}
			if c.applied {
				near.open()
				waitFor(t, func() bool { _, _, err := there.Consumer(id('c', 1)); return err == nil })
			}
			near.compact(t, here)
			if !c.applied {
				require.Empty(t, answer)
				near.open()
			}
			require.ErrorIs(t, <-answer, c.want)
			settled(t, [2]*placement.Engine{here, there})
			require.NoError(t, here.DeleteProvider(t.Context(), newHost(t, here, 2, placement.UUID{}, 1)))
		})
	}
}

// TestFeedFails lets two engines trade places while their feeds fail and lose
// their history all the time, and commits too: both end with the same.
func TestFeedFails(t *testing.T) {
	t.Parallel()
	for seed := range rounds(4, 8, 200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
			var engines [2]*placement.Engine
			for k := range engines {
				f := faults(10*int64(seed) + int64(k))
				f.PFeed, f.PCompacted = 0.05, 0.5
				engines[k] = open(t, placement.Config{Store: storetest.Faulty(shared, f)})
			}
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(w)))
					for range 60 {
						expected(t, again(func() error { return tradePlaces(ctx, rng, engines[w%2]) }))
					}
				})
			}
			wg.Wait()
			settled(t, engines)
			same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")
		})
	}
}

// TestFresh reads at one engine what another has just acknowledged, while many
// do so.
func TestFresh(t *testing.T) {
	t.Parallel()
	near, far := newWires()
	here, there := open(t, placement.Config{Store: near}), open(t, placement.Config{Store: far})
	require.True(t, here.Shared())
	newHost(t, there, 1, placement.UUID{}, 1<<20)
	together(8, func(w int) {
		for n := range 100 {
			c := id(byte(w), n)
			if !assert.NoError(t, there.SetAllocations(t.Context(), claimOf(c, placement.NewConsumer, vcpus(id('h', 1), 1)))) ||
				!assert.NoError(t, here.Fresh(t.Context())) {
				return
			}
			_, _, err := here.Consumer(c)
			assert.NoError(t, err)
		}
	})
	release := near.hold()
	asks := near.asks.Load()
	time.AfterFunc(100*time.Millisecond, release)
	together(100, func(int) { assert.NoError(t, here.Fresh(t.Context())) })
	require.Less(t, near.asks.Load()-asks, int64(20), "those who wait share a question")
}

// TestRefusalsAreFresh has an engine that is behind asked for what would have
// been refused, or was there already, a moment ago.
func TestRefusalsAreFresh(t *testing.T) {
	t.Parallel()
	near, far := newWires()
	here, there := open(t, placement.Config{Store: near}), open(t, placement.Config{Store: far})
	host := newHost(t, there, 1, placement.UUID{}, 4)
	old := []placement.UUID{id('a', 1)}
	_, err := there.SetAggregates(t.Context(), host, old, placement.AnyGeneration)
	require.NoError(t, err)
	settled(t, [2]*placement.Engine{there, here})
	near.fail(errLost)
	newHost(t, there, 2, placement.UUID{}, 4)
	_, err = there.SetAggregates(t.Context(), host, nil, placement.AnyGeneration)
	require.NoError(t, err)

	answer := make(chan error, 2)
	go func() {
		answer <- here.SetAllocations(t.Context(), claimOf(id('c', 1), placement.NewConsumer, vcpus(id('h', 2), 1)))
	}()
	go func() {
		_, err := here.SetAggregates(t.Context(), host, old, placement.AnyGeneration)
		answer <- err
	}()
	ended, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err = here.DeleteProvider(ended, id('h', 3))
	require.ErrorIs(t, err, placement.ErrStale)
	require.NotErrorIs(t, err, placement.ErrUnknownOutcome)
	require.Empty(t, answer)
	near.fail(nil)
	require.NoError(t, <-answer)
	require.NoError(t, <-answer)
	require.NoError(t, there.Fresh(t.Context()))
	aggs, _, err := there.Aggregates(host)
	require.NoError(t, err)
	require.Equal(t, old, aggs)
	require.ErrorIs(t, here.DeleteProvider(t.Context(), id('h', 3)), placement.ErrNotFound)
}

// TestStale cuts an engine off its store: it says so in time and why, a fresh
// read ends with its context, and all is well by itself afterwards.
func TestStale(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*wire, error){
		"feed":     (*wire).fail,
		"question": (*wire).mute,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, far := newWires()
			here := open(t, placement.Config{Store: near, Now: time.Now, StaleAfter: 200 * time.Millisecond})
			there := open(t, placement.Config{Store: far, Now: time.Now})
			host := newHost(t, here, 1, placement.UUID{}, 4)
			require.NoError(t, here.Err())
			cut(near, errLost)
			require.NoError(t, there.Fresh(t.Context()))
			require.NoError(t, there.SetAllocations(t.Context(), claimOf(id('c', 1), placement.NewConsumer, vcpus(host, 1))))
			began := time.Now()
			waitFor(t, func() bool { return here.Err() != nil })
			require.Less(t, time.Since(began), 2*time.Second)
			age, err := here.Staleness()
			require.ErrorIs(t, err, placement.ErrStale)
			require.ErrorIs(t, err, errLost)
			require.Greater(t, age, 200*time.Millisecond)
			_, _, err = here.Inventories(host)
			require.NoError(t, err, "reading goes on")

			ended, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			err = here.Fresh(ended)
			require.ErrorIs(t, err, placement.ErrStale)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorIs(t, err, errLost)

			cut(near, nil)
			require.NoError(t, here.Fresh(t.Context()))
			_, _, err = here.Consumer(id('c', 1))
			require.NoError(t, err)
			waitFor(t, func() bool { return here.Err() == nil })
			age, err = here.Staleness()
			require.NoError(t, err)
			require.LessOrEqual(t, age, 200*time.Millisecond)
		})
	}
}

// TestFreshEnds closes an engine, and its store, below those who wait.
func TestFreshEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *placement.Engine, *wire){
		"engine": func(t *testing.T, e *placement.Engine, _ *wire) { t.Helper(); require.NoError(t, e.Close()) },
		"store":  func(_ *testing.T, _ *placement.Engine, w *wire) { w.fail(store.ErrClosed) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			near, _ := newWires()
			e := open(t, placement.Config{Store: near})
			near.mute(errLost)
			answer := make(chan error, 10)
			for range cap(answer) {
				go func() { answer <- e.Fresh(t.Context()) }()
			}
			end(t, e, near)
			for range cap(answer) {
				require.ErrorIs(t, <-answer, placement.ErrClosed)
			}
		})
	}
}

// TestFreshAlone: an engine that has its store for itself is never behind.
func TestFreshAlone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.False(t, e.Shared())
		require.NoError(t, e.Fresh(ended))
		age, err := e.Staleness()
		require.NoError(t, err)
		require.Zero(t, age)
	})
}

func BenchmarkFresh(b *testing.B) {
	for _, c := range []struct {
		name  string
		store store.Store
	}{
		{"memory", nil},
		{"own store", mem.New(mem.Config{})},
		{"shared store", mem.New(mem.Config{Limits: store.Limits{Shared: true}})},
	} {
		for _, readers := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", c.name, readers), func(b *testing.B) {
				e, err := placement.Open(b.Context(), placement.Config{Store: c.store, Now: time.Now})
				require.NoError(b, err)
				defer e.Close()
				b.ReportAllocs()
				b.SetParallelism(readers)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := e.Fresh(b.Context()); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
