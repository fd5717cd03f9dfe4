package storetest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// history is how many batches every store under test remembers at least.
const history = 1024

// series commits n batches and returns the events they must become.
func (e *env) series(n int) []store.Event {
	e.Helper()
	var want []store.Event
	for i := range n {
		b := store.Batch{ID: e.id(), Version: uint64(1 + i), Puts: []store.Put{put(key("%d", i), "v")}}
		if i > 0 {
			b.Deletes = []store.Key{key("%d", i-1)}
		}
		rev := e.must(b)
		want = append(want, store.Event{Revision: rev, ID: b.ID, Version: b.Version, Puts: b.Puts, Deletes: b.Deletes})
	}
	return want
}

// own drops the events that the suite did not cause.
func own(events []store.Event) []store.Event {
	return slices.DeleteFunc(slices.Clone(events), func(ev store.Event) bool {
		return len(ev.Puts) > 0 && ev.Puts[0].Key.Kind == ForeignKind
	})
}

func testFollowFromStart(e *env) {
	want := e.series(200) // more than any reader takes in one go
	last := want[len(want)-1].ID
	require.Equal(e, want, own(e.follow(0, func(ev store.Event) bool { return ev.ID == last })))
}

func testFollowFromMiddle(e *env) {
	want := e.series(20)
	last := want[19].ID
	for _, from := range []int{0, 9, 18} {
		got := own(e.follow(want[from].Revision, func(ev store.Event) bool { return ev.ID == last }))
		require.Equal(e, want[from+1:], got)
	}
}

// testFollowWaits follows from the newest revision, sees a progress mark, and
// then what is committed later.
func testFollowWaits(e *env) {
	want := e.series(3)
	var marked bool
	id := e.id()
	for ev, err := range e.s.Follow(e.ctx, want[2].Revision) {
		require.NoError(e, err)
		switch {
		case isMark(ev) && !marked:
			marked = true
			require.GreaterOrEqual(e, ev.Revision, want[2].Revision)
			e.must(store.Batch{ID: id, Version: 10, Puts: []store.Put{put(key("later"), "v")}})
		case ev.ID == id:
			require.True(e, marked, "a progress mark while idle")
			return
		}
	}
	e.Fatal("the feed ended by itself")
}

func testFollowEndsWithContext(e *env) {
	want := e.series(3)
	ctx, cancel := context.WithCancel(e.ctx)
	seen := 0
	var end error
	for ev, err := range e.s.Follow(ctx, 0) {
		require.NoError(e, end, "an error ends the feed")
		if err != nil {
			end = err
			continue
		}
		if !isMark(ev) {
			seen++
		}
		if ev.Revision >= want[2].Revision {
			time.AfterFunc(10*time.Millisecond, cancel)
		}
	}
	cancel()
	require.ErrorIs(e, end, context.Canceled)
	require.GreaterOrEqual(e, seen, len(want))
}

func testFollowEndsWithStore(e *env) {
	want := e.series(3)
	var end error
	var seen atomic.Int64
	idle := make(chan struct{}, 1)
	wait := background(func() {
		for ev, err := range e.s.Follow(e.ctx, 0) {
			end = err
			if isMark(ev) && ev.Revision >= want[2].Revision && len(idle) == 0 {
				idle <- struct{}{}
			}
			seen.Add(1)
		}
	})
	<-idle
	assert.NoError(e, e.s.Close())
	wait()
	require.ErrorIs(e, end, store.ErrClosed)
	require.Greater(e, seen.Load(), int64(3))
}

// testFollowCompacted writes more than a store that was opened with a short
// history keeps. A store with a long one must then yield all of it.
func testFollowCompacted(e *env) {
	const writers, each = 64, 2 * history / 64
	parallel(writers, func(w int) {
		for i := range each {
			b := store.Batch{ID: e.id(), Version: uint64(1 + i), Puts: []store.Put{put(key("%d", w), "v")}}
			res, err := CommitRetry(e.ctx, e.s, b)
			if !assert.NoError(e, err) || !assert.Equal(e, store.Committed, res.Outcome) {
				return
			}
		}
	})
	_, now := e.load()
	seen, compacted := e.count(0, now)
	if !compacted {
		require.Equal(e, writers*each, seen)
	}
	seen, compacted = e.count(now-history/2, now)
	require.False(e, compacted, "history of %d batches", history/2)
	require.LessOrEqual(e, seen, history/2)
}

// count returns how many batches of the suite follow revision after up to
// revision until, and whether that history is compacted.
func (e *env) count(after, until uint64) (n int, compacted bool) {
	e.Helper()
	for ev, err := range e.s.Follow(e.ctx, after) {
		if errors.Is(err, store.ErrCompacted) {
			return n, true
		}
		require.NoError(e, err)
		if len(ev.Puts) > 0 && ev.Puts[0].Key.Kind != ForeignKind {
			n++
		}
		if ev.Revision >= until {
			break
		}
	}
	return n, false
}

// testLatest asks stores that are shared how far they are: Follow gets there.
func testLatest(e *env) {
	shared, able := e.s.(store.Shared)
	if !able || !e.s.Limits().Shared {
		e.Skip("the store is not shared")
	}
	wake := make(chan uint64, 1000)
	ctx, cancel := context.WithCancel(e.ctx)
	_, start := e.load()
	wait := background(func() {
		for ev, err := range e.s.Follow(ctx, start) {
			if err != nil {
				assert.ErrorIs(e, err, context.Canceled)
				return
			}
			wake <- ev.Revision
		}
	})
	now := start
	for n := range 20 {
		if n%2 == 0 {
			now = e.must(store.Batch{Version: uint64(1 + n), Puts: []store.Put{put(key("%d", n), "v")}})
		}
		latest, err := shared.Latest(e.ctx)
		require.NoError(e, err)
		require.GreaterOrEqual(e, latest, now)
		now = max(now, latest)
		for seen := uint64(0); n%2 == 0 && seen < latest; {
			seen = <-wake
		}
	}
	cancel()
	wait()
	require.NoError(e, e.s.Close())
	_, err := shared.Latest(e.ctx)
	require.ErrorIs(e, err, store.ErrClosed)
}

// testLoadThenFollow loads in the middle of many writes and follows from
// there: the result must be what a load at the end gives.
func testLoadThenFollow(e *env) {
	const writers, each = 8, 25
	wait := background(func() {
		parallel(writers, func(w int) {
			for i := range each {
				b := store.Batch{ID: e.id(), Version: uint64(1 + i), Puts: []store.Put{put(key("%d/%d", w, i), "v"), put(key("%d", w), "v")}}
				if i%3 == 2 {
					b.Deletes = []store.Key{key("%d/%d", w, i-1)}
				}
				res, err := CommitRetry(e.ctx, e.s, b)
				if !assert.NoError(e, err) || !assert.Equal(e, store.Committed, res.Outcome) {
					return
				}
			}
		})
	})
	type start struct {
		got state
		rev uint64
	}
	var starts []start
	for range 5 {
		got, rev := e.load()
		starts = append(starts, start{got, rev})
	}
	wait()
	last := e.id()
	e.must(store.Batch{ID: last, Version: 1000, Puts: []store.Put{put(key("last"), "v")}})
	want, _ := e.load()
	for _, s := range starts {
		for _, ev := range e.follow(s.rev, func(ev store.Event) bool { return ev.ID == last }) {
			s.got.apply(ev)
		}
		require.Equal(e, len(want), len(s.got), "records loaded at revision %d and followed", s.rev)
		for k, r := range want {
			require.Equal(e, text(r), text(s.got[k]))
		}
	}
}
