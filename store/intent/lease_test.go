package intent_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// TestLeaseIsExtended has a writer so slow that its batch takes many leases,
// with a reaper at its heels.
func TestLeaseIsExtended(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(5)), &clock{}
	base(t, intent.Wrap(inner, intent.Config{}), 100)
	reaper := intent.Wrap(inner, intent.Config{Now: now.Now})
	start := now.Now()
	h := &hooked{Store: inner, before: func(int) bool {
		now.pass(intent.DefaultLease / 5)
		_, err := reaper.Reap(t.Context())
		require.NoError(t, err)
		return true
	}}
	s, b := intent.Wrap(h, intent.Config{Now: now.Now}), mixed(100)
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	require.Greater(t, now.Now().Sub(start), 10*intent.DefaultLease)
	nothingHeld(t, s, inner)
	_, end := load(t, s)
	require.Len(t, follow(t, s, 0, end), 101, "nothing was rolled back")
}

// TestOwnerComesBack settles what a process of the same name has left, without
// waiting for its lease.
func TestOwnerComesBack(t *testing.T) {
	t.Parallel()
	inner := mem.New(small(5))
	base(t, intent.Wrap(inner, intent.Config{}), 20)
	h := &hooked{Store: inner, before: func(n int) bool { return n <= 14 }}
	cut, cancel := deadline(t)
	defer cancel()
	res, err := intent.Wrap(h, intent.Config{Owner: "placement-1"}).Commit(cut, mixed(20))
	require.NoError(t, err)
	require.Equal(t, store.Unknown, res.Outcome)
	require.Error(t, res.Cause)

	n, err := intent.Wrap(inner, intent.Config{Owner: "placement-2"}).Reap(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	s := intent.Wrap(inner, intent.Config{Owner: "placement-1"})
	n, err = s.Reap(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	nothingHeld(t, s, inner)
}

// TestLoadReaps has the end of a Load settle what the dead have left.
func TestLoadReaps(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(5)), &clock{}
	base(t, intent.Wrap(inner, intent.Config{}), 20)
	killed(t, inner, now, mixed(20), death{k: 14})
	now.pass(time.Hour)
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	seen, rev := load(t, s)
	nothingHeld(t, s, inner)
	got, end := load(t, s)
	for _, ev := range follow(t, s, rev, end) {
		seen.apply(ev)
	}
	require.Equal(t, got.text(), seen.text())
}

// TestFullBatchBesideAnIntent sends a batch that fits, but not with all that it
// has to expect while an intent is under way.
func TestFullBatchBesideAnIntent(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(5)), &clock{}
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	base(t, s, 20)
	killed(t, inner, now, mixed(20), death{k: 14})
	full := store.Batch{ID: batchID('f', 0), Version: 20}
	for i := range 5 {
		full.Puts = append(full.Puts, store.Put{Key: key(300 + i), Value: fmt.Append(nil, i)})
	}
	res, err := s.Commit(t.Context(), full)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	rests := full
	rests.ID, rests.Expect = batchID('f', 1), []store.Expectation{{Key: key(900)}}
	res, err = s.Commit(t.Context(), rests)
	require.NoError(t, err)
	require.Equal(t, store.Result{Cause: intent.ErrHeld}, res, "it has to wait")
	now.pass(time.Hour)
	res, err = s.Commit(t.Context(), rests)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	_, end := load(t, s)
	events := follow(t, s, 0, end)
	require.Equal(t, 1, count(events, full.ID))
	require.Equal(t, 1, count(events, rests.ID))
	nothingHeld(t, s, inner)
}

// TestFullMedium has the medium full from each inner commit on for a while, and
// then for good: the batch is whole, or refused and absent.
func TestFullMedium(t *testing.T) {
	t.Parallel()
	refused := 0
	for k := 1; k < 60; k += 2 {
		inner := mem.New(small(5))
		base(t, intent.Wrap(inner, intent.Config{}), 20)
		before, _ := load(t, inner)
		f := &full{Store: inner, from: k, until: k + 12}
		s, b := intent.Wrap(f, intent.Config{}), mixed(20)
		res, err := s.Commit(t.Context(), b)
		got, _ := load(t, s)
		if err != nil {
			require.ErrorIs(t, err, store.ErrNoSpace)
			require.Zero(t, res)
			require.Equal(t, values(before), values(got), "full from commit %d", k)
			refused++
		} else {
			require.Equal(t, store.Committed, res.Outcome)
			require.Equal(t, after(before, b).text(), got.text())
		}
		f.until = 0
		_, err = s.Reap(t.Context())
		require.NoError(t, err)
		nothingHeld(t, s, inner)
	}
	require.Positive(t, refused)
}

// TestTooManyAtOnce has the directory full: one more waits.
func TestTooManyAtOnce(t *testing.T) {
	t.Parallel()
	inner, now := mem.New(small(8)), &clock{}
	batch := func(n int) store.Batch {
		b := store.Batch{ID: batchID('m', n), Version: 5}
		for i := range 20 {
			b.Puts = append(b.Puts, store.Put{Key: key(100*n + i)})
		}
		return b
	}
	for n := range 16 {
		res, died := killed(t, inner, now, batch(n), death{k: 5})
		require.True(t, died)
		require.Equal(t, store.Unknown, res.Outcome)
	}
	s := intent.Wrap(inner, intent.Config{Now: now.Now})
	res, err := s.Commit(t.Context(), batch(16))
	require.NoError(t, err)
	require.Equal(t, store.Unknown, res.Outcome)
	require.ErrorIs(t, res.Cause, intent.ErrHeld)
	now.pass(time.Hour)
	n, err := s.Reap(t.Context())
	require.NoError(t, err)
	require.Equal(t, 16, n)
	res, err = s.Commit(t.Context(), batch(16))
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	nothingHeld(t, s, inner)
}
