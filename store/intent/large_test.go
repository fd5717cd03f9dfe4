package intent_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// base writes records 0 to n-1 at versions 1 to 3.
func base(t *testing.T, s store.Store, n int) {
	t.Helper()
	for i := range n {
		res, err := s.Commit(t.Context(), store.Batch{
			ID: batchID('b', i), Version: uint64(1 + i%3), Puts: []store.Put{{Key: key(i), Value: fmt.Append(nil, "old ", i)}},
		})
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
}

// mixed is a batch at version 10 over base(n): it changes, deletes and creates,
// expecting things and not.
func mixed(n int) store.Batch {
	b := store.Batch{ID: batchID('L', 0), Version: 10}
	for i := range n {
		k := key(i)
		switch i % 5 {
		case 0: // changed blindly
		default:
			b.Expect = append(b.Expect, store.Expectation{Key: k, Version: uint64(1 + i%3)})
		}
		if i%5 == 4 {
			b.Deletes = append(b.Deletes, k)
		} else {
			b.Puts = append(b.Puts, store.Put{Key: k, Value: fmt.Append(nil, "new ", i)})
		}
		if i%5 == 2 {
			made := key(n + i)
			b.Expect = append(b.Expect, store.Expectation{Key: made})
			b.Puts = append(b.Puts, store.Put{Key: made, Value: []byte("made")})
		}
		if i%5 == 3 {
			b.Deletes = append(b.Deletes, key(n+i)) // is not there
		}
	}
	return b
}

func after(st state, b store.Batch) state {
	out := maps.Clone(st)
	out.apply(store.Event{Version: b.Version, Puts: b.Puts, Deletes: b.Deletes})
	return out
}

func values(st state) map[store.Key]string {
	out := map[store.Key]string{}
	for k, r := range st {
		out[k] = string(r.Value)
	}
	return out
}

func TestLargeBatch(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	s := intent.Wrap(inner, intent.Config{})
	base(t, s, 1000)
	before, rev := load(t, s)
	b := mixed(1000)
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	nothingHeld(t, s, inner)
	got, now := load(t, s)
	require.Equal(t, after(before, b).text(), got.text())

	again, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, res, again)
	require.Equal(t, store.Limits{KeyBytes: 64, InFlight: 4}, s.Limits())

	want := []store.Event{{Revision: res.Revision, ID: b.ID, Version: b.Version, Puts: b.Puts, Deletes: b.Deletes}}
	other := intent.Wrap(inner, intent.Config{})
	for _, from := range []uint64{rev, rev + 1, rev + 50, res.Revision - 1} {
		require.Equal(t, want, follow(t, s, from, now), "from revision %d", from)
		require.Equal(t, want, follow(t, other, from, now), "from revision %d", from)
	}
	require.Empty(t, follow(t, other, res.Revision, now))
}

// TestKilledAtEveryCommit lets a writer die after each of its inner commits,
// lets others look on, and reaps what it left.
func TestKilledAtEveryCommit(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		died := false
		for _, deaf := range []bool{false, true} {
			died = died || killAndReap(t, k, deaf)
		}
		if !died {
			require.Greater(t, k, 40, "kill points")
			return
		}
	}
}

func killAndReap(t *testing.T, k int, deaf bool) (died bool) {
	t.Helper()
	const n = 20
	inner, now := mem.New(small(5)), &clock{}
	base(t, intent.Wrap(inner, intent.Config{}), n)
	absent, _ := load(t, inner)
	b := mixed(n)
	whole := after(absent, b)
	res, died := killed(t, inner, now, b, death{k, deaf})
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	seen, rev := load(t, s)
	done := values(seen)[key(0)] == "new 0"
	want := absent
	if done {
		want = whole
	}
	if res.Outcome == store.Committed {
		require.True(t, done, "kill point %d", k)
	}
	require.Equal(t, values(want), values(seen), "kill point %d, before reaping", k)
	if done {
		require.Equal(t, want.text(), seen.text(), "kill point %d", k)
	}

	now.pass(time.Hour)
	_, err := s.Reap(t.Context())
	require.NoError(t, err)
	left, err := s.Reap(t.Context())
	require.NoError(t, err)
	require.Zero(t, left)
	nothingHeld(t, s, inner)
	final, end := load(t, s)
	require.Equal(t, values(want), values(final), "kill point %d", k)

	events := follow(t, s, 0, end)
	require.Equal(t, events, follow(t, intent.Wrap(inner, intent.Config{}), 0, end), "two followers")
	wantEvents := 0
	if done {
		wantEvents = 1
	}
	require.Equal(t, wantEvents, count(events, b.ID), "kill point %d", k)
	replayed := state{}
	for _, ev := range events {
		replayed.apply(ev)
	}
	require.Equal(t, final.text(), replayed.text(), "versions, kill point %d", k)
	for _, ev := range follow(t, s, rev, end) {
		seen.apply(ev)
	}
	require.Equal(t, final.text(), seen.text(), "loaded, then followed, kill point %d", k)
	return died
}

// TestResumedAtEveryCommit sends a batch again after its writer has died: it
// takes effect exactly once.
func TestResumedAtEveryCommit(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		const n = 20
		inner, now := mem.New(small(5)), &clock{}
		base(t, intent.Wrap(inner, intent.Config{}), n)
		absent, _ := load(t, inner)
		b := mixed(n)
		first, died := killed(t, inner, now, b, death{k, true})
		s := intent.Wrap(inner, intent.Config{Now: now.Now})
		_, mid := load(t, s)
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome, "kill point %d", k)
		if first.Outcome == store.Committed {
			require.Equal(t, first.Revision, res.Revision)
		}
		_, err = intent.Wrap(inner, intent.Config{Now: func() time.Time { return now.Now().Add(time.Hour) }}).Reap(t.Context())
		require.NoError(t, err)
		nothingHeld(t, s, inner)
		got, end := load(t, s)
		require.Equal(t, after(absent, b).text(), got.text())
		for _, from := range []uint64{0, n, n + 2, mid} {
			if from < res.Revision {
				events := follow(t, intent.Wrap(inner, intent.Config{}), from, end)
				require.Equal(t, store.Event{Revision: res.Revision, ID: b.ID, Version: b.Version, Puts: b.Puts, Deletes: b.Deletes}, events[len(events)-1])
			}
		}
		if !died {
			return
		}
	}
}

// TestTakenForDead lets another process reap a writer that is alive, before
// each of its inner commits: what the writer is told is what is true.
func TestTakenForDead(t *testing.T) {
	t.Parallel()
	outcomes := map[store.Outcome]int{}
	for k := 1; ; k++ {
		const n = 20
		inner, now := mem.New(small(5)), &clock{}
		base(t, intent.Wrap(inner, intent.Config{}), n)
		absent, _ := load(t, inner)
		hasty := intent.Wrap(inner, intent.Config{Now: func() time.Time { return now.Now().Add(time.Hour) }})
		h := &hooked{Store: inner, before: func(at int) bool {
			if at == k {
				_, err := hasty.Reap(t.Context())
				require.NoError(t, err)
			}
			return true
		}}
		b := mixed(n)
		s := intent.Wrap(h, intent.Config{Now: now.Now})
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		outcomes[res.Outcome]++
		nothingHeld(t, s, inner)
		got, end := load(t, s)
		want, times := values(absent), 0
		if res.Outcome == store.Committed {
			want, times = values(after(absent, b)), 1
		}
		require.Equal(t, want, values(got), "reaped before commit %d: %v", k, res.Outcome)
		require.Equal(t, times, count(follow(t, s, 0, end), b.ID))
		if h.n < k {
			break
		}
	}
	require.Positive(t, outcomes[store.Committed])
	require.Positive(t, outcomes[store.Conflict])
	require.Zero(t, outcomes[store.Unknown])
}

// TestOthersWait shows what other writers meet while a large batch holds what
// they want: its old version, or Unknown when they expect nothing.
func TestOthersWait(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(5)), &clock{}
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	base(t, s, 20)
	res, died := killed(t, inner, now, mixed(20), death{k: 14})
	require.True(t, died)
	require.Equal(t, store.Unknown, res.Outcome)

	try := func(b store.Batch) store.Result {
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		return res
	}
	old := store.Record{Key: key(1), Version: 2, Value: []byte("old 1")}
	claim := store.Batch{ID: batchID('c', 0), Version: 20, Expect: []store.Expectation{{Key: key(1), Version: 2}}, Puts: []store.Put{{Key: key(1), Value: []byte("claim")}}}
	require.Equal(t, store.Result{Outcome: store.Conflict, Conflicts: []store.Record{old}}, try(claim))
	ahead := claim
	ahead.ID, ahead.Expect = batchID('c', 1), []store.Expectation{{Key: key(1), Version: 10}}
	require.Equal(t, store.Result{Outcome: store.Conflict, Conflicts: []store.Record{old}}, try(ahead), "nobody builds on what is not finished")
	blind := claim
	blind.ID, blind.Expect = batchID('c', 2), nil
	require.Equal(t, store.Result{Outcome: store.Unknown, Cause: intent.ErrHeld}, try(blind))
	made := store.Batch{ID: batchID('c', 3), Version: 20, Expect: []store.Expectation{{Key: key(4), Version: 2}}, Deletes: []store.Key{key(4)}}
	require.Equal(t, store.Conflict, try(made).Outcome)
	other := store.Batch{ID: batchID('c', 4), Version: 20, Puts: []store.Put{{Key: key(500), Value: []byte("free")}}}
	require.Equal(t, store.Committed, try(other).Outcome, "what is not held is free")
	rival := mixed(20)
	rival.ID, rival.Version = batchID('c', 5), 21
	require.Equal(t, store.Conflict, try(rival).Outcome, "another large batch")

	now.pass(time.Hour) // the writer's lease ends: the next writer settles it
	res = try(claim)
	require.Equal(t, store.Conflict, res.Outcome, "old values have new versions")
	require.Equal(t, "old 1", string(res.Conflicts[0].Value))
	claim.Expect = []store.Expectation{{Key: key(1), Version: res.Conflicts[0].Version}}
	claim.Version = res.Conflicts[0].Version + 1
	require.Equal(t, store.Committed, try(claim).Outcome)
	require.Equal(t, store.Committed, try(blind).Outcome)
	nothingHeld(t, s, inner)
}

// TestConflictOfLargeBatch has every wrong expectation told, and nothing taken.
func TestConflictOfLargeBatch(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(8))
	s := intent.Wrap(inner, intent.Config{})
	base(t, s, 100)
	before, rev := load(t, s)
	b := mixed(100)
	for i := range b.Expect {
		if i%7 == 3 {
			b.Expect[i].Version = 99
		}
	}
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Conflict, res.Outcome)
	told := state{}
	for _, r := range res.Conflicts {
		told[r.Key] = r
	}
	for i, x := range b.Expect {
		r, listed := told[x.Key]
		require.Equal(t, i%7 == 3, listed)
		if listed {
			require.Equal(t, before[x.Key].Version, r.Version)
			require.Equal(t, before[x.Key].Value, r.Value)
		}
	}
	got, now := load(t, s)
	require.Equal(t, before.text(), got.text())
	require.Equal(t, rev, now, "nothing was written")
}

// TestConflictMidway lets another writer change a record of each chunk just
// before it is written.
func TestConflictMidway(t *testing.T) {
	t.Parallel()
	for k := 1; ; k++ {
		const n = 20
		inner := mem.New(small(5))
		base(t, intent.Wrap(inner, intent.Config{}), n)
		rival := intent.Wrap(inner, intent.Config{})
		written := false
		h := &hooked{Store: inner, before: func(at int) bool {
			if at == k {
				res, err := rival.Commit(t.Context(), store.Batch{
					ID: batchID('r', k), Version: 30, Expect: []store.Expectation{{Key: key(18), Version: 1}}, Puts: []store.Put{{Key: key(18), Value: []byte("rival")}},
				})
				require.NoError(t, err)
				written = res.Outcome == store.Committed
			}
			return true
		}}
		s, b := intent.Wrap(h, intent.Config{}), mixed(n)
		res, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
		nothingHeld(t, s, inner)
		got, end := load(t, s)
		if written {
			require.Equal(t, store.Conflict, res.Outcome)
			last := res.Conflicts[len(res.Conflicts)-1] // those before it were rolled back
			require.Equal(t, "rival", string(last.Value))
			require.Equal(t, "rival", string(got[key(18)].Value))
			require.Equal(t, "old 0", string(got[key(0)].Value))
		} else {
			require.Equal(t, store.Committed, res.Outcome)
			require.Equal(t, "new 18", string(got[key(18)].Value))
		}
		replayed := state{}
		for _, ev := range follow(t, s, 0, end) {
			replayed.apply(ev)
		}
		require.Equal(t, got.text(), replayed.text())
		if h.n < k {
			require.Greater(t, k, 20)
			return
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	s := intent.Wrap(mem.New(small(8)), intent.Config{})
	rests := mixed(100)
	rests.Expect = append(rests.Expect, store.Expectation{Key: key(900)})
	huge := mixed(100)
	huge.Expect = nil
	huge.Puts[7].Value = []byte(strings.Repeat("x", 5000))
	for name, c := range map[string]struct {
		b    store.Batch
		want error
	}{
		"rests on what it does not change": {rests, store.ErrInvalid},
		"a record too large":               {huge, store.ErrTooLarge},
		"a kind of ours":                   {store.Batch{ID: batchID('x', 0), Version: 1, Puts: []store.Put{{Key: store.Key{Kind: 200}}}}, store.ErrInvalid},
	} {
		res, err := s.Commit(t.Context(), c.b)
		require.ErrorIs(t, err, c.want, name)
		require.Zero(t, res, name)
	}
	got, _ := load(t, s)
	require.Empty(t, got)
}

// TestFollowWithoutHistory starts in the middle of an intent whose beginning
// the store has forgotten: only who has loaded there can go on.
func TestFollowWithoutHistory(t *testing.T) {
	t.Parallel()
	cfg := small(5)
	cfg.History = 64
	inner, now := mem.New(cfg), &clock{}
	base(t, intent.Wrap(inner, intent.Config{}), 20)
	b := mixed(20)
	killed(t, inner, now, b, death{k: 14})
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	seen, rev := load(t, s)
	// Everything between the chunks and now is forgotten.
	for i := range 60 {
		res, err := s.Commit(t.Context(), store.Batch{ID: batchID('f', i), Version: 30, Puts: []store.Put{{Key: key(700)}}})
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	caughtUp, end := make(chan struct{}, 100), make(chan error, 1)
	watch := func(f store.Store, each func(store.Event)) error {
		for ev, err := range f.Follow(ctx, rev) {
			if err != nil {
				return err
			}
			if each(ev); ev.ID == b.ID {
				return nil
			}
			if ev.ID == (store.BatchID{}) {
				caughtUp <- struct{}{}
			}
		}
		return nil
	}
	go func() { end <- watch(intent.Wrap(inner, intent.Config{}), func(store.Event) {}) }()
	<-caughtUp
	loaded := make(chan error, 1)
	go func() { loaded <- watch(s, seen.apply) }()
	<-caughtUp
	res, err := s.Commit(ctx, b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	require.ErrorIs(t, <-end, store.ErrCompacted)
	require.NoError(t, <-loaded)
	got, _ := load(t, s)
	require.Equal(t, got.text(), seen.text())
}

// TestLateBatches has an inner batch of a dead try arrive late, before each
// inner commit of the next try: the batch takes effect once, whole.
func TestLateBatches(t *testing.T) {
	t.Parallel()
	const n = 8
	for k := 4; ; k++ {
		for m := 1; ; m++ {
			inner, now := mem.New(small(5)), &clock{}
			base(t, intent.Wrap(inner, intent.Config{}), n)
			absent, _ := load(t, inner)
			b := mixed(n)
			late, isLate := lost(t, inner, b, k)
			if !isLate {
				require.Greater(t, k, 10)
				return
			}
			h := &hooked{Store: inner, before: func(at int) bool {
				if at == m {
					_, err := inner.Commit(t.Context(), late)
					require.NoError(t, err)
				}
				return true
			}}
			s := intent.Wrap(h, intent.Config{Now: now.Now})
			res, err := s.Commit(t.Context(), b)
			require.NoError(t, err)
			require.Equal(t, store.Committed, res.Outcome, "batch %d arrives before commit %d", k, m)
			now.pass(time.Hour)
			_, err = s.Reap(t.Context())
			require.NoError(t, err)
			nothingHeld(t, s, inner)
			got, end := load(t, s)
			require.Equal(t, after(absent, b).text(), got.text(), "batch %d arrives before commit %d", k, m)
			require.Equal(t, 1, count(follow(t, s, 0, end), b.ID))
			if h.n < m {
				break
			}
		}
	}
}

// lost commits b until its k-th inner batch, which gets lost and is returned.
func lost(t *testing.T, inner store.Store, b store.Batch, k int) (late store.Batch, isLate bool) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &losing{Store: inner, k: k, cancel: cancel}
	_, err := intent.Wrap(w, intent.Config{}).Commit(ctx, b)
	require.NoError(t, err)
	return w.late, w.late.Version != 0
}

type losing struct {
	store.Store
	n, k   int
	late   store.Batch
	cancel context.CancelFunc
}

func (l *losing) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if l.n++; l.n < l.k {
		return l.Store.Commit(ctx, b)
	}
	if l.n == l.k {
		l.late = b
	}
	l.cancel()
	return store.Result{Cause: context.Canceled}, nil
}
