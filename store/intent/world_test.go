package intent_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

func small(records int) mem.Config {
	return mem.Config{Limits: store.Limits{Records: records, Bytes: 4 << 10, KeyBytes: 64}, History: 1 << 18}
}

func key(n int) store.Key { return store.Key{Kind: 1, ID: fmt.Sprintf("key %04d", n)} }

func batchID(who byte, n int) (id store.BatchID) {
	id[0] = who
	binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
	return id
}

// clock is a clock that tests move.
type clock struct {
	mu     sync.Mutex
	passed time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Unix(1e9, 0).Add(c.passed)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
}

// hooked calls before before every commit and after after every one, with
// their number from 1 on.
type hooked struct {
	store.Store
	mu     sync.Mutex
	n      int
	before func(n int) bool // false: the commit is lost
	after  func(n int) bool // false: the answer is lost
}

func (h *hooked) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	h.mu.Lock()
	h.n++
	n := h.n
	h.mu.Unlock()
	if h.before != nil && !h.before(n) {
		return store.Result{Cause: context.Canceled}, nil
	}
	res, err := h.Store.Commit(ctx, b)
	if h.after != nil && !h.after(n) {
		return store.Result{Cause: context.Canceled}, nil
	}
	return res, err
}

// death is when a process dies: after its k-th inner commit, whose answer it
// still gets unless deaf.
type death struct {
	k    int
	deaf bool
}

// killed commits b through a process of its own that dies. It reports whether
// it came to that.
func killed(t *testing.T, inner store.Store, now *clock, b store.Batch, at death) (store.Result, bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	died := false
	h := &hooked{Store: inner}
	h.before = func(n int) bool { return n <= at.k }
	h.after = func(n int) bool {
		if n >= at.k {
			died = true
			cancel()
			return !at.deaf
		}
		return true
	}
	res, err := intent.Wrap(h, intent.Config{Now: now.Now}).Commit(ctx, b)
	require.NoError(t, err)
	return res, died
}

type state map[store.Key]store.Record

func load(t *testing.T, s store.Store) (state, uint64) {
	t.Helper()
	var rev uint64
	got := state{}
	for r, err := range s.Load(t.Context(), &rev) {
		require.NoError(t, err)
		require.NotContains(t, got, r.Key)
		got[r.Key] = r
	}
	return got, rev
}

// text renders a state without telling nil from empty.
func (st state) text() map[store.Key]string {
	out := map[store.Key]string{}
	for k, r := range st {
		out[k] = fmt.Sprintf("%d %q", r.Version, r.Value)
	}
	return out
}

func (st state) apply(ev store.Event) {
	for _, p := range ev.Puts {
		st[p.Key] = store.Record{Key: p.Key, Version: ev.Version, Value: p.Value}
	}
	for _, k := range ev.Deletes {
		delete(st, k)
	}
}

// follow returns the events after revision after up to revision until,
// without marks.
func follow(t *testing.T, s store.Store, after, until uint64) []store.Event {
	t.Helper()
	var got []store.Event
	for ev, err := range s.Follow(t.Context(), after) {
		require.NoError(t, err)
		require.GreaterOrEqual(t, ev.Revision, after)
		if ev.ID != (store.BatchID{}) {
			require.Greater(t, ev.Revision, after)
			got = append(got, ev)
		}
		if after = ev.Revision; after >= until {
			break
		}
	}
	return got
}

func count(events []store.Event, id store.BatchID) (n int) {
	for _, ev := range events {
		if ev.ID == id {
			n++
		}
	}
	return n
}

// listed is how many intents the directory lists.
func listed(raw state) int {
	if d := raw[store.Key{Kind: 200}]; d.Version > 0 {
		return int(d.Value[18])
	}
	return 0
}

// nothingHeld demands that the store below shows no trace of intents but an
// empty directory: it holds exactly what s shows.
func nothingHeld(t *testing.T, s, inner store.Store) {
	t.Helper()
	shown, _ := load(t, s)
	raw, _ := load(t, inner)
	for k := range raw {
		if k.Kind == 200 {
			require.Zero(t, listed(raw), "the directory is not empty")
			delete(raw, k)
		}
	}
	require.Equal(t, shown.text(), raw.text())
}

// full is a store whose medium is full for commits from from to until that
// would change something.
type full struct {
	store.Store
	n, from, until int
}

func (f *full) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	f.n++
	if f.n >= f.from && f.n < f.until && len(b.Puts)+len(b.Deletes) > 0 {
		return store.Result{}, fmt.Errorf("commit: %w", store.ErrNoSpace)
	}
	return f.Store.Commit(ctx, b)
}

// deadline ends a commit that cannot.
func deadline(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), 50*time.Millisecond)
}
