package intent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// TestLateReaper has a batch of one reaper arrive late, before each inner
// commit of another, and of the batch's next try, with the records written by
// others just before: it may undo neither.
func TestLateReaper(t *testing.T) {
	t.Parallel()
	step := 1
	if testing.Short() {
		step = 3
	}
	for dead := 6; dead <= 12; dead += step { // from the first chunk to the tidying up
		for k := 1; ; k++ {
			m := 1
			for lateReaper(t, dead, k, m) {
				m++
			}
			if m == 1 {
				require.Greater(t, k, 3)
				break
			}
		}
	}
}

// lateReaper reports whether there were k-th and m-th commits.
func lateReaper(t *testing.T, dead, k, m int) bool {
	t.Helper()
	const n = 8
	inner, now := mem.New(small(5)), &clock{}
	base(t, intent.Wrap(inner, intent.Config{}), n)
	b := mixed(n)
	b.Expect = nil
	killed(t, inner, now, b, death{k: dead})
	now.pass(time.Hour)

	ctx, cancel := deadline(t)
	defer cancel()
	l := &losing{Store: inner, k: k, cancel: cancel}
	_, _ = intent.Wrap(l, intent.Config{Now: now.Now}).Reap(ctx)
	if l.late.Version == 0 {
		return false
	}
	others := intent.Wrap(inner, intent.Config{})
	h := &hooked{Store: inner, before: func(at int) bool {
		if at != m {
			return true
		}
		for i := range n {
			_, err := others.Commit(t.Context(), store.Batch{ID: batchID('o', i), Version: 50, Puts: []store.Put{{Key: key(i), Value: []byte("other")}}})
			require.NoError(t, err)
		}
		_, err := inner.Commit(t.Context(), l.late)
		require.NoError(t, err)
		return true
	}}
	s := intent.Wrap(h, intent.Config{Now: now.Now})
	_, err := s.Reap(t.Context())
	require.NoError(t, err)
	res, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	nothingHeld(t, s, inner)
	got, end := load(t, s)
	events, replayed := follow(t, s, 0, end), state{}
	for _, ev := range events {
		replayed.apply(ev)
	}
	require.Equal(t, got.text(), replayed.text(), "died after %d, batch %d arrives before commit %d", dead, k, m)
	require.Equal(t, 1, count(events, b.ID))
	return h.n >= m
}
