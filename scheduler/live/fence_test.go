package live_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

const fenceKey = "conductor/cell1"

// pausing is a filter that lets something happen while a host is chosen.
type pausing struct{ then func() }

func (pausing) Name() string { return "Pausing" }

func (pausing) Reads() scheduler.Reads { return scheduler.ReadsRequest }

func (f pausing) Pass(*scheduler.Request, *scheduler.HostState) (scheduler.Reason, error) {
	f.then()
	return scheduler.Reason{}, nil
}

func fencedRequest(first int, fence placement.Guard) *live.Request {
	r := request(first, 1, 1, 1)
	r.Guards = []placement.Guard{fence}
	return r
}

// TestFence has a conductor go on after another took its place: before it
// asks, and while its host is chosen.
func TestFence(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			t.Parallel()
			s := mem.New(mem.Config{Limits: store.Limits{Shared: shared}})
			w := newWorld(t, s, 2)
			other := w.engine
			if shared {
				var err error
				other, err = placement.Open(t.Context(), placement.Config{Store: s})
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, other.Close()) })
			}
			old, err := live.TakeOver(t.Context(), w.engine, fenceKey, "first")
			require.NoError(t, err)
			sched := w.scheduler(t, 1)
			var claims sync.WaitGroup
			for n := range 8 {
				claims.Go(func() {
					if _, err := sched.Schedule(t.Context(), fencedRequest(n, old)); err != nil {
						t.Error(err)
					}
				})
			}
			claims.Wait()
			require.Equal(t, old.Version, w.engine.Guard(fenceKey), "claims leave it as it is")

			present := old
			w.cfg.Filters = append(w.cfg.Filters, pausing{func() {
				if present == old {
					present, err = live.TakeOver(context.Background(), other, fenceKey, "second")
				}
			}})
			paused := w.scheduler(t, 2)
			r := fencedRequest(8, old)
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
			_, refused := paused.Schedule(t.Context(), r)
			require.NoError(t, err)
			require.NotEqual(t, old.Version, present.Version)
			require.ErrorIs(t, refused, live.ErrFenced)
			_, err = sched.Schedule(t.Context(), fencedRequest(9, old))
			require.ErrorIs(t, err, live.ErrFenced)
			require.ErrorContains(t, err, fenceKey)
			for n := 8; n < 10; n++ {
				_, _, err = other.Consumer(id('i', n))
				require.ErrorIs(t, err, placement.ErrNotFound)
			}
			_, err = sched.Schedule(t.Context(), fencedRequest(10, present)) // read on another engine, which may be ahead
			require.NoError(t, err)
		})
	}
}

// TestForeignFence has a server refused that knows no guards.
func TestForeignFence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 1)
	var input *placement.InputError
	_, err := foreign(t, w, serve(t, w), nil).Schedule(t.Context(), fencedRequest(0, placement.Guard{Key: fenceKey, Keep: true}))
	require.ErrorAs(t, err, &input)
	require.ErrorContains(t, err, "Guards")
}

// TestTakeOver lets many take over at once: those who are told that they own
// the fence do not share a version.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mem.New(mem.Config{}), 1)
	var mu sync.Mutex
	owners := map[uint64]string{}
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() {
			name := fmt.Sprint("life ", n)
			fence, err := live.TakeOver(t.Context(), w.engine, fenceKey, name)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, live.ErrFenced):
			case err != nil || !fence.Keep || owners[fence.Version] != "":
				t.Errorf("%s got %+v of %q, %v", name, fence, owners[fence.Version], err)
			default:
				owners[fence.Version] = name
			}
		})
	}
	all.Wait()
	require.NotEmpty(t, owners)
	require.Equal(t, owners[w.engine.Guard(fenceKey)], string(w.engine.Attachment(fenceKey)), "the last one owns it")
}
