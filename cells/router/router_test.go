package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var all = []string{"north", "east", "south", "west"}

// TestTwoCellsAway takes the database of one cell and the broker of another
// away for minutes: one is silent, the other refuses.
func TestTwoCellsAway(t *testing.T) {
	t.Parallel()
	for name, silent := range map[string]mode{"silent until the deadline": hung, "silent for ever": deaf} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { twoCellsAway(t, silent) })
		})
	}
}

func twoCellsAway(t *testing.T, silent mode) {
	t.Helper()
	w := newWorld(t, Config[*client]{})
	ctx := t.Context()
	answered, missing, _ := w.list(ctx)
	require.Equal(t, all, answered)
	require.Empty(t, missing)
	time.Sleep(time.Minute)

	w.of("east").set(silent)
	w.of("west").set(refusing)
	answered, missing, took := w.list(ctx)
	require.Equal(t, []string{"north", "south"}, answered)
	require.Equal(t, []string{"east", "west"}, missing)
	require.LessOrEqual(t, took, 2*time.Second, "the first list")

	away := time.Now()
	for time.Since(away) < 5*time.Minute {
		answered, missing, took = w.list(ctx)
		require.Equal(t, []string{"north", "south"}, answered)
		require.Equal(t, []string{"east", "west"}, missing)
		require.Zero(t, took, "once they are known to be away, they cost nothing")
		require.NoError(t, w.call(ctx, "south"))
		var why *AwayError
		require.ErrorAs(t, w.call(ctx, "east"), &why)
		require.Equal(t, "east", why.Cell.Name)
		require.ErrorIs(t, w.call(ctx, "west"), errRefused)
		time.Sleep(100 * time.Millisecond)
	}
	require.Equal(t, int64(2), w.of("west").asked.Load(), "calls that reached the one that refuses: one before, one that noticed")

	w.of("east").set(fine)
	close(w.of("east").wake)
	w.of("west").set(fine)
	time.Sleep(DefaultLongestWait + DefaultTimeout)
	answered, missing, _ = w.list(ctx)
	require.Equal(t, all, answered, "recovery without restart")
	require.Empty(t, missing)
	require.NoError(t, w.call(ctx, "east"))
	require.Equal(t, int64(1), w.of("east").dials.Load())
	require.NoError(t, w.router.Close())
}

// TestAwayFromTheStart begins with a cell that cannot be connected.
func TestAwayFromTheStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		w.of("north").set(hung)
		answered, missing, took := w.list(t.Context())
		require.Equal(t, all[1:], answered)
		require.Equal(t, []string{"north"}, missing)
		require.LessOrEqual(t, took, 2*time.Second)
		synctest.Wait() // the dial and the list end at the same moment
		require.True(t, w.router.Status()[0].Away)
		require.ErrorIs(t, w.call(t.Context(), "north"), ErrAway)
		w.of("north").set(fine)
		time.Sleep(DefaultLongestWait + DefaultTimeout)
		require.NoError(t, w.call(t.Context(), "north"))
		require.False(t, w.router.Status()[0].Away)
		require.NoError(t, w.router.Close())
	})
}

// TestCall tells errors apart.
func TestCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		defer func() { require.NoError(t, w.router.Close()) }()
		ctx := t.Context()
		refuse := func(context.Context, *client) error { return errNo }
		require.ErrorIs(t, w.router.Call(ctx, "uuid-east", refuse), errNo)
		require.NoError(t, w.call(ctx, "east"), "an answer that says no is an answer")
		require.ErrorIs(t, w.router.Call(ctx, "nowhere", refuse), ErrUnknownCell)

		w.of("east").set(hung)
		soon, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, w.call(soon, "east"), ErrAway, "that is what this caller saw")
		require.False(t, w.router.Status()[1].Away, "but it did not wait for long")
		gone, hangUp := context.WithCancel(ctx)
		hangUp()
		require.ErrorIs(t, w.call(gone, "east"), context.Canceled)
		require.NotErrorIs(t, w.call(gone, "east"), ErrAway)
	})
}

// TestNearlyInTime has calls that are made a moment after their time began.
func TestNearlyInTime(t *testing.T) {
	t.Parallel()
	for _, silent := range []mode{hung, deaf} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, Config[*client]{})
			east := w.of("east")
			defer func() { close(east.wake); require.NoError(t, w.router.Close()) }()
			synctest.Wait()
			east.set(silent)
			ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
			defer cancel()
			time.Sleep(time.Millisecond)
			_, missing, _ := w.list(ctx)
			require.Equal(t, []string{"east"}, missing)
			_, missing, took := w.list(t.Context())
			require.Equal(t, []string{"east"}, missing)
			require.Zero(t, took, "the second does not wait")
		})
	}
}

// TestProbesButNoCalls has a cell that answers probes and no calls: calls pay
// for it less and less often.
func TestProbesButNoCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		defer func() { require.NoError(t, w.router.Close()) }()
		var asked int
		for start := time.Now(); time.Since(start) < time.Minute; time.Sleep(10 * time.Millisecond) {
			w.router.Call(t.Context(), "uuid-east", func(context.Context, *client) error {
				asked++
				return errRefused
			})
		}
		require.Greater(t, asked, 10)
		require.Less(t, asked, 50)
	})
}

// TestSet changes cells while they are in use.
func TestSet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		ctx := t.Context()
		inside, leave := make(chan struct{}), make(chan struct{})
		ended := make(chan error)
		var held *client
		go func() {
			ended <- w.router.Call(ctx, "uuid-north", func(_ context.Context, c *client) error {
				held = c
				close(inside)
				<-leave
				return nil
			})
		}()
		<-inside

		w.cells[0].Database = "db2"
		require.NoError(t, w.router.Set(t.Context(), w.cells))
		synctest.Wait()
		require.NoError(t, w.router.Call(ctx, "uuid-north", func(_ context.Context, c *client) error {
			if c.at != "db2" {
				return fmt.Errorf("call went to %s", c.at)
			}
			return nil
		}))
		require.Zero(t, held.hungUp.Load(), "a call under way keeps its client")
		close(leave)
		require.NoError(t, <-ended)
		require.Equal(t, int64(1), held.hungUp.Load())

		require.NoError(t, w.router.Set(t.Context(), w.cells[1:]))
		require.ErrorIs(t, w.call(ctx, "north"), ErrUnknownCell)
		require.Equal(t, w.cells[1:], w.router.Cells())
		w.cells[1].Disabled = true
		require.NoError(t, w.router.Set(t.Context(), w.cells))
		require.NoError(t, w.call(ctx, "north"))
		require.NoError(t, w.call(ctx, "east"), "disabled cells answer as before")
		require.Equal(t, int64(1), w.of("east").dials.Load())
		require.NoError(t, w.router.Close())
		require.Zero(t, w.early.Load())
		for _, c := range w.clients {
			require.Equal(t, int64(1), c.hungUp.Load(), "hung up in the end")
		}
		require.ErrorIs(t, w.router.Set(t.Context(), nil), ErrClosed)
		require.ErrorIs(t, w.router.Close(), ErrClosed)
	})
}

// TestMoveInVain gives a cell an address where nobody answers: the old one
// serves on.
func TestMoveInVain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		defer func() { require.NoError(t, w.router.Close()) }()
		synctest.Wait()
		w.of("south").set(refusing)
		w.cells[2].Transport = "mq2"
		require.NoError(t, w.router.Set(t.Context(), w.cells))
		time.Sleep(time.Minute)
		require.Greater(t, w.of("south").dials.Load(), int64(10))
		require.NoError(t, w.router.Call(t.Context(), "uuid-south", func(context.Context, *client) error { return nil }))
		w.of("south").set(fine)
		time.Sleep(DefaultLongestWait)
		dials := w.of("south").dials.Load()
		time.Sleep(time.Minute)
		require.Equal(t, dials, w.of("south").dials.Load())
	})
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		defer func() { require.NoError(t, w.router.Close()) }()
		require.ErrorContains(t, w.router.Set(t.Context(), []Cell{{Name: "a"}}), `UUID of cell "a" is empty`)
		require.ErrorContains(t, w.router.Set(t.Context(), []Cell{{UUID: "1", Name: "a"}, {UUID: "1", Name: "b"}}), `cells "a" and "b"`)
		require.Equal(t, w.cells, w.router.Cells())
	})
	_, err := New(Config[int]{})
	require.ErrorContains(t, err, "Dial")
	_, err = New(Config[int]{Dial: func(context.Context, Cell) (int, error) { return 0, nil }})
	require.ErrorContains(t, err, "Probe")
}

// notebook is a Source.
type notebook struct {
	mu      sync.Mutex
	cells   []Cell
	err     error
	changed chan struct{} // closed by a change that is told
}

func (n *notebook) Cells(context.Context) ([]Cell, uint64, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cells, 0, n.err
}

func (n *notebook) Changed(ctx context.Context, _ uint64) error {
	n.mu.Lock()
	changed := n.changed
	n.mu.Unlock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write changes what the notebook says; it tells so when tell is set.
func (n *notebook) write(cells []Cell, err error, tell bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cells, n.err = cells, err
	if tell {
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config[*client]{})
		ctx, cancel := context.WithCancel(t.Context())
		src := &notebook{cells: w.cells[:1], changed: make(chan struct{})}
		ended := make(chan error)
		go func() { ended <- w.router.Follow(ctx, src) }()
		synctest.Wait()
		require.Equal(t, w.cells[:1], w.router.Cells())

		src.write(nil, errors.New("database is away"), true)
		time.Sleep(time.Minute)
		require.Equal(t, w.cells[:1], w.router.Cells(), "kept while the source fails")
		src.write(w.cells, nil, false)
		time.Sleep(DefaultLongestWait)
		synctest.Wait()
		require.Equal(t, w.cells, w.router.Cells())
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, w.router.Close())
		require.ErrorIs(t, w.router.Follow(t.Context(), src), ErrClosed)
	})
}

// TestNoAddressIsShown prints a cell in every way.
func TestNoAddressIsShown(t *testing.T) {
	t.Parallel()
	c := Cell{UUID: "u", Name: "n", Database: "etcd://secret", Transport: "rabbit://secret"}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, c), "secret", verb)
	}
	require.NotContains(t, c.LogValue().String(), "secret")
}

// BenchmarkCall is what the router adds to a call.
func BenchmarkCall(b *testing.B) {
	w := newWorld(b, Config[*client]{})
	defer w.router.Close()
	ask := func(context.Context, *client) error { return nil }
	require.NoError(b, w.router.Call(b.Context(), "uuid-east", ask))
	b.ReportAllocs()
	for b.Loop() {
		if err := w.router.Call(b.Context(), "uuid-east", ask); err != nil {
			b.Fatal(err)
		}
	}
}
