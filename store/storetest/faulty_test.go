package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

func always(t *testing.T, f Faults) (*env, *mem.Store) {
	t.Helper()
	inner := mem.New(mem.Config{})
	return &env{T: t, ctx: t.Context(), s: Faulty(inner, f)}, inner
}

func TestFaultySpuriousConflict(t *testing.T) {
	t.Parallel()
	e, inner := always(t, Faults{PConflict: 1})
	_, err := inner.Commit(e.ctx, store.Batch{ID: store.BatchID{9}, Version: 1, Puts: []store.Put{put(key("a"), "1")}})
	require.NoError(t, err)
	b := store.Batch{ID: e.id(), Version: 2, Expect: []store.Expectation{{Key: key("a"), Version: 1}, {Key: key("b")}}}
	res, err := e.s.Commit(e.ctx, b)
	require.NoError(t, err)
	require.Equal(t, store.Conflict, res.Outcome)
	require.Equal(t, []store.Record{record(key("a"), 1, "1"), {Key: key("b")}}, res.Conflicts)

	res, err = e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 3})
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome, "nothing expected, so nothing to conflict")
}

func TestFaultyForeignConflict(t *testing.T) {
	t.Parallel()
	e, _ := always(t, Faults{PConflict: 1, ForeignWrite: func(_ *rand.Rand, next store.Batch) *store.Batch {
		k := next.Expect[0].Key
		return &store.Batch{ID: store.BatchID{7}, Version: 50, Puts: []store.Put{put(k, "foreign")}}
	}})
	res, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 2, Expect: []store.Expectation{{Key: key("a")}}})
	require.NoError(t, err)
	require.Equal(t, store.Conflict, res.Outcome)
	require.Equal(t, []store.Record{record(key("a"), 50, "foreign")}, res.Conflicts)
}

func TestFaultyUnknown(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		faults  Faults
		applied int
	}{
		"applied":     {Faults{PUnknownApplied: 1}, 1},
		"not applied": {Faults{PUnknownNotApplied: 1}, 0},
		"late":        {Faults{PLate: 1}, 0},
	} {
		e, _ := always(t, c.faults)
		b := store.Batch{ID: e.id(), Version: 1, Puts: []store.Put{put(key("a"), "1")}}
		for range 3 {
			res, err := e.s.Commit(e.ctx, b)
			require.NoError(t, err, name)
			require.Equal(t, store.Result{Outcome: store.Unknown, Cause: ErrInjected}, res, name)
			got, rev := e.load()
			require.Len(t, got, c.applied, name)
			require.Equal(t, uint64(c.applied), rev, name)
		}
	}
}

// TestFaultyLate sends other batches until the late one comes through.
func TestFaultyLate(t *testing.T) {
	t.Parallel()
	e, inner := always(t, Faults{PLate: 1})
	b := store.Batch{ID: e.id(), Version: 1, Expect: []store.Expectation{{Key: key("a")}}, Puts: []store.Put{put(key("a"), "1")}}
	_, err := e.s.Commit(e.ctx, b)
	require.NoError(t, err)
	e.holds()
	for range maxDelay {
		_, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: 1})
		require.NoError(t, err)
	}
	e.holds(record(key("a"), 1, "1"))
	res, err := inner.Commit(e.ctx, b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
}

// TestFaultyNeverLies sends each batch until its fate is known and checks that
// what was told is what is in the feed.
func TestFaultyNeverLies(t *testing.T) {
	t.Parallel()
	for seed := range int64(20) {
		e, inner := always(t, Noise(seed))
		committed := map[store.BatchID]bool{}
		for v := uint64(1); v <= 200; v++ {
			k := key("%d", v%7)
			b := store.Batch{ID: e.id(), Version: v, Expect: []store.Expectation{{Key: k}}, Puts: []store.Put{put(k, "x")}}
			if v%5 == 0 {
				b.Expect, b.Puts, b.Deletes = nil, nil, []store.Key{k}
			}
			res := e.send(b)
			committed[b.ID] = res.Outcome == store.Committed
		}
		ctx, cancel := context.WithCancel(e.ctx)
		seen := map[store.BatchID]int{}
		for ev, err := range inner.Follow(ctx, 0) {
			require.NoError(t, err)
			if isMark(ev) {
				break
			}
			seen[ev.ID]++
		}
		cancel()
		for id, was := range committed {
			want := 0
			if was {
				want = 1
			}
			require.Equal(t, want, seen[id], "seed %d: times that batch %x took effect", seed, id)
		}
	}
}

func TestFaultyRepeats(t *testing.T) {
	t.Parallel()
	run := func() (trace []string) {
		e, _ := always(t, Noise(42))
		for v := range uint64(300) {
			k := key("%d", v%5)
			res, err := e.s.Commit(e.ctx, store.Batch{ID: e.id(), Version: v + 1, Expect: []store.Expectation{{Key: k}}, Puts: []store.Put{put(k, "x")}})
			trace = append(trace, fmt.Sprint(res.Outcome, res.Revision, err))
		}
		return trace
	}
	require.Equal(t, run(), run())
}
