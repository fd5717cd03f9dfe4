package copying_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
	"github.com/kilonova-cloud/kilonova/store/copying"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

func small() *mem.Store {
	return mem.New(mem.Config{Limits: store.Limits{Records: 7, Bytes: 4096, InFlight: 3}})
}

// filled puts n records into s.
func filled(t *testing.T, s store.Store, n int) store.Store {
	t.Helper()
	for i := range n {
		res, err := s.Commit(t.Context(), store.Batch{
			ID: store.BatchID{1, byte(i), byte(i >> 8)}, Version: uint64(i + 1),
			Puts: []store.Put{{Key: store.Key{Kind: store.Kind(1 + i%3), ID: fmt.Sprint(i)}, Value: make([]byte, i%50)}},
		})
		require.NoError(t, err)
		require.Equal(t, store.Committed, res.Outcome)
	}
	return s
}

func contents(t *testing.T, s store.Store) map[store.Key]string {
	t.Helper()
	out := map[store.Key]string{}
	var revision uint64
	for r, err := range s.Load(t.Context(), &revision) {
		require.NoError(t, err)
		require.LessOrEqual(t, r.Version, revision)
		out[r.Key] = string(r.Value)
	}
	return out
}

func TestCopy(t *testing.T) {
	t.Parallel()
	durable := func() store.Store {
		s, err := badger.Open(badger.Config{Dir: t.TempDir(), NoSync: true})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.Close()) })
		return s
	}
	for name, pair := range map[string][2]store.Store{
		"nothing":       {small(), small()},
		"small batches": {filled(t, mem.New(mem.Config{}), 300), small()},
		"to badger":     {filled(t, small(), 300), durable()},
		"from badger":   {filled(t, durable(), 300), small()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := contents(t, pair[0])
			res, err := copying.Copy(t.Context(), pair[0], pair[1], copying.Config{})
			require.NoError(t, err)
			require.Len(t, want, res.Records)
			require.Equal(t, want, contents(t, pair[1]))
			require.NoError(t, copying.Check(t.Context(), pair[1]))
		})
	}
}

// dying takes only so many batches, and what is sent then is not applied.
type dying struct {
	store.Store
	left int
}

var errDied = errors.New("died")

func (d *dying) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if d.left == 0 {
		return store.Result{}, errDied
	}
	d.left--
	return d.Store.Commit(ctx, b)
}

func (d *dying) Limits() store.Limits {
	l := d.Store.Limits()
	l.InFlight = 1
	return l
}

// TestCutOff cuts a copy off after every number of batches, and the second one
// too: until a copy has ended the target is refused, then it is equal.
func TestCutOff(t *testing.T) {
	t.Parallel()
	from := filled(t, mem.New(mem.Config{}), 30)
	want := contents(t, from)
	for first := range 7 {
		for second := range 7 {
			to := small()
			for _, batches := range []int{first, second} {
				_, err := copying.Copy(t.Context(), from, &dying{to, batches}, copying.Config{From: "there"})
				require.ErrorIs(t, err, errDied)
				if first > 0 {
					err := copying.Check(t.Context(), to)
					require.ErrorIs(t, err, copying.ErrUnfinished)
					require.ErrorContains(t, err, `"there"`)
					_, err = copying.Copy(t.Context(), to, small(), copying.Config{})
					require.ErrorIs(t, err, copying.ErrUnfinished)
				}
			}
			_, err := copying.Copy(t.Context(), from, to, copying.Config{})
			require.NoError(t, err)
			require.Equal(t, want, contents(t, to))
			require.NoError(t, copying.Check(t.Context(), to))
		}
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	from := filled(t, mem.New(mem.Config{}), 30)
	_, err := copying.Copy(t.Context(), from, filled(t, small(), 3), copying.Config{})
	require.ErrorIs(t, err, copying.ErrNotEmpty)
	require.ErrorContains(t, err, "it holds 3 records")

	tiny := mem.New(mem.Config{Limits: store.Limits{Records: 7, Bytes: 20}})
	_, err = copying.Copy(t.Context(), from, tiny, copying.Config{})
	require.ErrorIs(t, err, store.ErrTooLarge)

	for name, disturb := range map[string]store.Store{"the source": from, "the target": nil} {
		to := small()
		if disturb == nil {
			disturb = to
		}
		once := false
		_, err = copying.Copy(t.Context(), from, to, copying.Config{Progress: func(string, int) {
			if !once {
				once = true
				put := store.Batch{ID: store.BatchID{9}, Version: 1 << 40, Puts: []store.Put{{Key: store.Key{Kind: 5, ID: name}}}}
				_, err := disturb.Commit(t.Context(), put)
				require.NoError(t, err)
			}
		}})
		require.ErrorIs(t, err, copying.ErrDiffers, name)
		require.ErrorIs(t, copying.Check(t.Context(), to), copying.ErrUnfinished)
	}
}

func TestOvertaken(t *testing.T) {
	t.Parallel()
	from, to := filled(t, mem.New(mem.Config{}), 30), small()
	started := false
	_, err := copying.Copy(t.Context(), from, to, copying.Config{Progress: func(string, int) {
		if !started {
			started = true
			_, err := copying.Copy(t.Context(), from, to, copying.Config{})
			require.NoError(t, err)
		}
	}})
	require.ErrorIs(t, err, copying.ErrOvertaken)
	require.Equal(t, contents(t, from), contents(t, to))
}
