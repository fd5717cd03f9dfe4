package intent_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// inEpoch commits everything in one epoch.
type inEpoch struct {
	*intent.Store
	epoch uint64
}

func (s inEpoch) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	return s.CommitIn(ctx, s.epoch, b)
}

// retry commits b in its epoch until the outcome is known. A conflict without
// records is one.
func (s inEpoch) retry(ctx context.Context, b store.Batch) (res store.Result, err error) {
	for {
		res, err = s.Commit(ctx, b)
		if ctx.Err() != nil || err == nil && res.Outcome != store.Unknown {
			return res, err
		}
	}
}

func named(inner store.Store, owner string) *intent.Store {
	return intent.Wrap(inner, intent.Config{Owner: owner})
}

// turnNow is the turn as the store below has it.
func turnNow(t *testing.T, inner store.Store) intent.Turn {
	t.Helper()
	s := intent.Wrap(inner, intent.Config{})
	for _, err := range s.Load(t.Context(), new(uint64)) {
		require.NoError(t, err)
	}
	return s.Turn()
}

// began is the revision at which an epoch began.
func began(t *testing.T, inner store.Store, epoch uint64) uint64 {
	t.Helper()
	s := intent.Wrap(inner, intent.Config{})
	for ev, err := range s.Follow(t.Context(), 0) {
		require.NoError(t, err)
		if s.Turn().Epoch == epoch {
			return ev.Revision
		}
	}
	return 0
}

func take(t *testing.T, s *intent.Store, epoch uint64) {
	t.Helper()
	ok, err := s.TakeTurn(t.Context(), epoch)
	require.NoError(t, err)
	require.True(t, ok)
}

// one writes one record, expecting nothing.
func one(who byte, n int) store.Batch {
	return store.Batch{ID: batchID(who, n), Version: 20, Puts: []store.Put{{Key: key(500 + n), Value: []byte{who}}}}
}

// TestConformanceInAnEpoch runs the suite with every commit bound to an epoch.
func TestConformanceInAnEpoch(t *testing.T) {
	t.Parallel()
	for _, changes := range []int{0, 2} {
		t.Run(fmt.Sprint("intents from ", changes), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store {
				return inEpoch{intent.WrapEager(mem.New(mem.Config{Limits: limits(8), History: 1 << 14}), intent.Config{}, changes), 0}
			})
		})
	}
}

func TestTakeAndFree(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	a, b := named(inner, "a"), named(inner, "b")
	require.Equal(t, "a", a.Owner())
	require.NotEmpty(t, intent.Wrap(inner, intent.Config{}).Owner())
	refused := func(s *intent.Store, epoch uint64) {
		t.Helper()
		before, rev := load(t, inner)
		ok, err := s.TakeTurn(t.Context(), epoch)
		require.NoError(t, err)
		require.False(t, ok)
		got, now := load(t, inner)
		require.Equal(t, before.text(), got.text())
		require.Equal(t, rev, now)
	}
	notFreed := func(epoch uint64) {
		t.Helper()
		_, rev := load(t, inner)
		require.NoError(t, b.FreeTurn(t.Context(), epoch))
		_, now := load(t, inner)
		require.Equal(t, rev, now)
	}
	notFreed(0)
	refused(a, 1)
	take(t, a, 0)
	require.Equal(t, intent.Turn{Epoch: 1, Holder: "a"}, turnNow(t, inner))
	for _, s := range []*intent.Store{a, b, named(inner, "late")} {
		refused(s, 0)
		refused(s, 1)
	}
	notFreed(0)
	notFreed(2)
	require.NoError(t, b.FreeTurn(t.Context(), 1))
	require.Equal(t, intent.Turn{Epoch: 2}, turnNow(t, inner))
	notFreed(1)
	notFreed(2)
	refused(a, 0)
	refused(a, 1)
	take(t, b, 2)
	require.Equal(t, intent.Turn{Epoch: 3, Holder: "b"}, turnNow(t, inner))
	require.NoError(t, named(inner, "new").FreeTurn(t.Context(), 3))
	take(t, named(inner, "new"), 4)
	require.Equal(t, intent.Turn{Epoch: 5, Holder: "new"}, turnNow(t, inner))
}

// TestTurnsUnderWay has answers lost and ctx end: the calls may be repeated.
func TestTurnsUnderWay(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	h := &hooked{Store: inner, after: func(n int) bool { return n%3 != 2 }}
	s := named(h, "s")
	take(t, s, 0)
	require.NoError(t, s.FreeTurn(t.Context(), 1))
	require.Equal(t, intent.Turn{Epoch: 2}, turnNow(t, inner))

	mute := named(&hooked{Store: inner, after: func(int) bool { return false }}, "mute")
	ended, cancel := deadline(t)
	defer cancel()
	_, err := mute.TakeTurn(ended, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, mute.FreeTurn(ended, 2), context.DeadlineExceeded)
	require.Equal(t, intent.Turn{Epoch: 2}, turnNow(t, inner))

	n := 0
	half := named(&hooked{Store: inner, after: func(int) bool { n++; return n == 1 }}, "half")
	ended, cancel = deadline(t)
	defer cancel()
	_, err = half.TakeTurn(ended, 2)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, intent.Turn{Epoch: 3, Holder: "half"}, turnNow(t, inner), "it took the turn and did not hear of it")
}

// TestTurnIsTheFeeds has Turn change with what Load and Follow yield and not
// with what a store learns on the way.
func TestTurnIsTheFeeds(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	a, b := named(inner, "a"), named(inner, "b")
	base(t, a, 4)
	take(t, a, 0)
	base(t, b, 6) // learns of the turn
	require.NoError(t, b.FreeTurn(t.Context(), 1))
	base(t, a, 8)
	require.Zero(t, a.Turn())
	require.Zero(t, b.Turn())
	_, end := load(t, inner)
	first, second := began(t, inner, 1), began(t, inner, 2)
	require.Equal(t, uint64(5), first)
	require.Equal(t, uint64(8), second)
	for ev, err := range b.Follow(t.Context(), 0) {
		require.NoError(t, err)
		want := intent.Turn{}
		switch {
		case ev.Revision >= second:
			want = intent.Turn{Epoch: 2}
		case ev.Revision >= first:
			want = intent.Turn{Epoch: 1, Holder: "a"}
		}
		require.Equal(t, want, b.Turn(), "revision %d", ev.Revision)
		if ev.Revision == first || ev.Revision == second {
			require.Equal(t, store.Event{Revision: ev.Revision}, ev)
		}
		if ev.Revision == end {
			break
		}
	}
	for ev, err := range b.Follow(t.Context(), 0) { // an older part of the feed
		require.NoError(t, err)
		require.Equal(t, intent.Turn{Epoch: 2}, b.Turn(), "it does not go back")
		if ev.Revision == first {
			break
		}
	}
	require.Zero(t, a.Turn())
	for range a.Load(t.Context(), new(uint64)) {
		require.Zero(t, a.Turn())
	}
	require.Equal(t, intent.Turn{Epoch: 2}, a.Turn())
}

// TestPlannedInAnotherEpoch sends batches in epochs that have passed and that
// have not come, from stores that know of the turn and that do not, alone and
// beside an intent.
func TestPlannedInAnotherEpoch(t *testing.T) {
	t.Parallel()
	for _, beside := range []bool{false, true} {
		inner, now := mem.New(small(5)), &clock{}
		wrap := func() *intent.Store { return intent.Wrap(inner, intent.Config{Now: now.Now}) }
		knows, stale := wrap(), wrap()
		base(t, stale, 20)
		take(t, knows, 0)
		if beside {
			_, died := killed(t, inner, now, mixed(20), death{k: 14})
			require.True(t, died)
		}
		before, rev := load(t, inner)
		large := store.Batch{ID: batchID('l', 0), Version: 20}
		for i := range 20 {
			large.Puts = append(large.Puts, store.Put{Key: key(600 + i), Value: []byte("large")})
		}
		for i, epoch := range []uint64{0, 2} {
			for j, s := range []*intent.Store{knows, stale, wrap()} {
				b := one('p', 10*i+j)
				b.Expect = []store.Expectation{{Key: key(900), Version: 7}} // does not hold
				res, err := s.CommitIn(t.Context(), epoch, b)
				require.NoError(t, err)
				require.Equal(t, store.Result{Outcome: store.Conflict, Revision: rev}, res)
				res, err = s.CommitIn(t.Context(), epoch, large)
				require.NoError(t, err)
				require.Equal(t, store.Result{Outcome: store.Conflict, Revision: rev}, res)
			}
		}
		got, end := load(t, inner)
		require.Equal(t, before.text(), got.text())
		require.Equal(t, rev, end)
		stale = wrap()
		for i, s := range []*intent.Store{knows, stale, wrap()} {
			for _, b := range []store.Batch{one('q', i), large} {
				b.ID[1] = byte(i)
				res, err := s.CommitIn(t.Context(), 1, b)
				require.NoError(t, err)
				require.Equal(t, store.Committed, res.Outcome)
			}
		}
		res, err := wrap().Commit(t.Context(), one('r', 0))
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome, "Commit does not look at the turn")
	}
}

// TestPassedBesideIntents has intents under way in the epoch that a store knows
// and in the one that has come since.
func TestPassedBesideIntents(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(5)), &clock{}
	s, other := named(inner, "s"), named(inner, "other")
	base(t, other, 20)
	take(t, other, 0)
	killed(t, inner, now, mixed(20), death{k: 14})
	load(t, s)
	require.NoError(t, other.FreeTurn(t.Context(), 1))
	b := mixed(20)
	b.ID, b.Expect = batchID('M', 0), nil
	killed(t, inner, now, b, death{k: 14})
	raw, rev := load(t, inner)
	require.Equal(t, 1, listed(raw))
	res, err := s.CommitIn(t.Context(), 1, one('s', 0))
	require.NoError(t, err)
	require.Equal(t, store.Result{Outcome: store.Conflict, Revision: rev}, res)
	res, err = s.CommitIn(t.Context(), 2, one('s', 1))
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
}

// TestFreedAtEveryCommit frees the turn before each inner commit of a batch of
// its holder: the batch took effect before that, whole, or never.
func TestFreedAtEveryCommit(t *testing.T) {
	t.Parallel()
	large := mixed(20)
	large.Expect = nil
	lone := one('s', 0)
	for name, c := range map[string]struct {
		b      store.Batch
		beside bool
	}{"small": {lone, false}, "small beside an intent": {lone, true}, "large": {large, false}, "large beside an intent": {large, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes := map[store.Outcome]int{}
			for k, more := 1, true; more; k++ {
				more = freedAt(t, k, c.b, c.beside, outcomes)
			}
			require.Positive(t, outcomes[store.Committed])
			require.Positive(t, outcomes[store.Conflict])
			require.Len(t, outcomes, 2)
		})
	}
}

// freedAt reports whether there was a k-th commit.
func freedAt(t *testing.T, k int, b store.Batch, beside bool, outcomes map[store.Outcome]int) bool {
	t.Helper()
	inner, now := mem.New(small(5)), &clock{}
	other := intent.Wrap(inner, intent.Config{Now: now.Now})
	base(t, other, 20)
	absent, _ := load(t, other)
	h := &hooked{Store: inner, before: func(n int) bool {
		if n == k {
			require.NoError(t, other.FreeTurn(t.Context(), 1))
		}
		return true
	}}
	s := intent.Wrap(h, intent.Config{Now: now.Now})
	take(t, other, 0)
	if beside { // an intent of others, which the turn does not keep off
		far := store.Batch{ID: batchID('f', 0), Version: 10}
		for i := range 20 {
			far.Puts = append(far.Puts, store.Put{Key: key(700 + i)})
		}
		_, died := killed(t, inner, now, far, death{k: 8})
		require.True(t, died)
	}
	load(t, s)
	require.Equal(t, uint64(1), s.Turn().Epoch)
	res, err := s.CommitIn(t.Context(), 1, b)
	require.NoError(t, err)
	outcomes[res.Outcome]++
	made := h.n >= k
	if made {
		require.Equal(t, intent.Turn{Epoch: 2}, turnNow(t, inner))
	}
	now.pass(time.Hour)
	_, err = other.Reap(t.Context())
	require.NoError(t, err)
	nothingHeld(t, s, inner)
	got, end := load(t, s)
	events := follow(t, s, 0, end)
	switch res.Outcome {
	case store.Committed:
		require.Equal(t, values(after(absent, b)), values(got), "freed before commit %d", k)
		require.Equal(t, 1, count(events, b.ID))
		if made {
			require.Less(t, res.Revision, began(t, inner, 2), "freed before commit %d", k)
		}
	default:
		require.Empty(t, res.Conflicts)
		require.Equal(t, values(absent), values(got), "freed before commit %d", k)
		require.Zero(t, count(events, b.ID))
	}
	return made
}

// TestFreeRollsBack frees the turn of a holder that is alive and half through a
// large batch.
func TestFreeRollsBack(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(5))
	other := named(inner, "other")
	base(t, other, 20)
	absent, _ := load(t, other)
	b := mixed(20)
	b.Expect = nil
	freed := false
	h := &hooked{Store: inner, before: func(int) bool {
		if raw, _ := load(t, inner); !freed && len(raw) > 25 {
			require.Equal(t, 1, listed(raw), "it is under way")
			require.NoError(t, other.FreeTurn(t.Context(), 1))
			freed = true
			nothingHeld(t, other, inner)
			got, _ := load(t, other)
			require.Equal(t, values(absent), values(got))
			require.Equal(t, intent.Turn{Epoch: 2}, other.Turn())
		}
		return true
	}}
	holder := named(h, "holder")
	take(t, holder, 0)
	res, err := holder.CommitIn(t.Context(), 1, b)
	require.NoError(t, err)
	require.True(t, freed)
	require.Equal(t, store.Conflict, res.Outcome)
	require.Empty(t, res.Conflicts)
	require.GreaterOrEqual(t, res.Revision, began(t, inner, 2))
	got, _ := load(t, other)
	require.Equal(t, values(absent), values(got))
	nothingHeld(t, other, inner)
}

// TestResentInTheNextEpoch frees the turn after each point at which the try of
// a batch may die. Sent again, by whoever, it is told what came of it.
func TestResentInTheNextEpoch(t *testing.T) {
	t.Parallel()
	large := mixed(20)
	large.Expect = nil
	for _, b := range []store.Batch{one('s', 0), large} {
		outcomes := map[store.Outcome]int{}
		died := true
		for k := 1; died; k++ {
			for _, informed := range []bool{false, true} {
				inner := mem.New(small(5))
				other := named(inner, "other")
				base(t, other, 20)
				absent, _ := load(t, other)
				take(t, other, 0)
				ctx, cancel := context.WithCancel(t.Context())
				died = false
				h := &hooked{Store: inner}
				h.before = func(n int) bool { return n <= k || !died }
				h.after = func(n int) bool {
					if n == k {
						died = true
						cancel()
					}
					return n != k
				}
				s := named(h, "s")
				first, err := s.CommitIn(ctx, 1, b)
				require.NoError(t, err)
				cancel()
				h.before, h.after = nil, nil
				require.NoError(t, other.FreeTurn(t.Context(), 1))
				if informed {
					load(t, s)
				}
				got, _ := load(t, other)
				for _, again := range []*intent.Store{s, other, named(inner, "new")} {
					res, err := again.CommitIn(t.Context(), 1, b)
					require.NoError(t, err)
					require.Empty(t, res.Conflicts)
					if first.Outcome != store.Unknown {
						require.Equal(t, first, res)
					}
					want := absent
					if res.Outcome == store.Committed {
						want = after(absent, b)
						require.Less(t, res.Revision, began(t, inner, 2))
					}
					require.Equal(t, values(want), values(got), "died after %d", k)
					outcomes[res.Outcome]++
				}
				now, _ := load(t, other)
				require.Equal(t, values(got), values(now))
			}
		}
		require.Positive(t, outcomes[store.Committed])
		require.Positive(t, outcomes[store.Conflict])
		require.Len(t, outcomes, 2)
	}
}

// TestNoTurnBesideAnIntent has a writer die after each of its inner commits:
// nobody takes the turn as long as its batch is listed.
func TestNoTurnBesideAnIntent(t *testing.T) {
	t.Parallel()
	refusals := 0
	for k, died := 1, true; died; k++ {
		inner, now := mem.New(small(5)), &clock{}
		s := intent.Wrap(inner, intent.Config{Now: now.Now})
		base(t, s, 20)
		_, died = killed(t, inner, now, mixed(20), death{k: k})
		raw, rev := load(t, inner)
		ok, err := s.TakeTurn(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, listed(raw) == 0, ok, "died after %d", k)
		if !ok {
			refusals++
			_, end := load(t, inner)
			require.Equal(t, rev, end, "nothing was changed")
			now.pass(time.Hour)
			_, err := s.Reap(t.Context())
			require.NoError(t, err)
			take(t, s, 0)
		}
	}
	require.Greater(t, refusals, 20)
}
