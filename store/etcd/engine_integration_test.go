//go:build integration

package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// lagging is a store whose feed can be held back.
type lagging struct {
	*etcd.Store
	held      atomic.Bool
	compacted atomic.Bool // the feed has ended so
}

func (l *lagging) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		for ev, err := range l.Store.Follow(ctx, after) {
			if errors.Is(err, store.ErrCompacted) {
				l.compacted.Store(true)
			} else if l.held.Load() {
				ev, err = store.Event{}, errors.New("held back")
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

func engineOn(t testing.TB, s store.Store) *placement.Engine {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func hostID(n int) placement.UUID { return placement.UUID{1, 2, byte(n >> 8), byte(n)} }

func makeHosts(t *testing.T, e *placement.Engine, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: hostID(n), Name: fmt.Sprint("host", n)})
		require.NoError(t, err)
	}
}

// TestCompactedEngine compacts what an engine has not read yet: it loads again
// and goes on. Not parallel: TestCompacted compacts the same cluster.
func TestCompactedEngine(t *testing.T) {
	cfg := config(t)
	slow := &lagging{Store: open(t, cfg)}
	here, there := engineOn(t, slow), engineOn(t, open(t, cfg))
	makeHosts(t, there, 0, 10)
	require.NoError(t, here.Fresh(t.Context()))
	_, err := here.Provider(hostID(9))
	require.NoError(t, err)

	slow.held.Store(true)
	makeHosts(t, there, 10, 20)
	require.NoError(t, there.DeleteProvider(t.Context(), hostID(0)))
	require.Error(t, here.Fresh(briefly(t)))
	admin := plain(t, cfg)
	now, err := admin.Get(t.Context(), cfg.Prefix)
	require.NoError(t, err)
	_, err = admin.Compact(t.Context(), now.Header.Revision)
	require.NoError(t, err)
	slow.held.Store(false)

	require.NoError(t, here.Fresh(t.Context()))
	require.True(t, slow.compacted.Load())
	_, err = here.Provider(hostID(0))
	require.ErrorIs(t, err, placement.ErrNotFound)
	_, err = here.Provider(hostID(19))
	require.NoError(t, err)
	makeHosts(t, here, 20, 22)
	require.NoError(t, there.Fresh(t.Context()))
	_, err = there.Provider(hostID(21))
	require.NoError(t, err)
	for _, e := range []*placement.Engine{here, there} {
		found, err := e.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, found)
		require.NoError(t, e.Err())
	}
}

func briefly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

// TestFreshEngine reads at one engine what another has acknowledged, and does
// not wait for a feed that has nothing to tell: others write to the cluster.
func TestFreshEngine(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	here, there := engineOn(t, open(t, cfg)), engineOn(t, open(t, cfg))
	for n := range 30 {
		makeHosts(t, there, n, n+1)
		require.NoError(t, here.Fresh(t.Context()))
		_, err := here.Provider(hostID(n))
		require.NoError(t, err)
	}
	admin := plain(t, cfg)
	var took []time.Duration
	for n := range 31 {
		_, err := admin.Put(t.Context(), fmt.Sprint("elsewhere/", cfg.Prefix), fmt.Sprint(n))
		require.NoError(t, err)
		began := time.Now()
		require.NoError(t, here.Fresh(t.Context()))
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	t.Logf("median %v, longest %v", took[15], took[30])
	require.Less(t, took[15], 250*time.Millisecond, "half of what an idle feed waits")
}
