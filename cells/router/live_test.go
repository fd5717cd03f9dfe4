package router

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLiveChanges calls and lists while cells are moved, disabled, removed and
// added, and while they come and go. Calls to the cells that stay never fail,
// nobody gets a client that was hung up, and every client is hung up once.
func TestLiveChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, Config[*client]{Timeout: time.Minute, LongestWait: 5 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 600*time.Millisecond)
	defer cancel()
	var callers sync.WaitGroup
	var calls, lists atomic.Int64
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				for _, name := range []string{"north", "east"} { // they move, and stay
					if err := w.call(context.WithoutCancel(ctx), name); err != nil {
						t.Errorf("call %s: %v", name, err)
					}
				}
				err := w.call(context.WithoutCancel(ctx), "south") // it is removed and added
				if err != nil && !errors.Is(err, ErrUnknownCell) {
					t.Errorf("call south: %v", err)
				}
				err = w.call(context.WithoutCancel(ctx), "west") // it refuses now and then
				if err != nil && !errors.Is(err, ErrAway) {
					t.Errorf("call west: %v", err)
				}
				calls.Add(1)
			}
		})
	}
	callers.Go(func() {
		for ctx.Err() == nil {
			_, missing, _ := w.list(context.WithoutCancel(ctx))
			for _, name := range missing {
				if name != "west" {
					t.Errorf("%s is missing in a list", name)
				}
			}
			lists.Add(1)
		}
	})
	callers.Go(func() { w.churn(ctx, t) })
	callers.Wait()
	require.NoError(t, w.router.Close())
	require.Zero(t, w.early.Load())
	require.Positive(t, calls.Load()*lists.Load())
	for _, c := range w.clients {
		require.Equal(t, int64(1), c.hungUp.Load())
	}
}

// churn changes the cells until ctx ends.
func (w *world) churn(ctx context.Context, t *testing.T) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; ctx.Err() == nil; n++ {
		cells := []Cell{w.cells[0], w.cells[1], w.cells[3]}
		if n%2 == 0 {
			cells = append(cells, w.cells[2])
		}
		cells[rng.IntN(2)].Database = fmt.Sprint("db", n)
		cells[0].Disabled = rng.IntN(2) == 0
		w.of("west").set([]mode{fine, refusing}[rng.IntN(2)])
		if err := w.router.Set(ctx, cells); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Millisecond)
	}
	w.of("west").set(fine)
}
