package placement_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

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
