//go:build integration

package etcd_test

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

var prefixes atomic.Uint64

// config names a fresh prefix in the cluster of KILONOVA_ETCD.
func config(t testing.TB) etcd.Config {
	t.Helper()
	endpoints := os.Getenv("KILONOVA_ETCD")
	require.NotEmpty(t, endpoints, "KILONOVA_ETCD names the endpoints; .ci/etcd.sh sets it")
	prefix := fmt.Sprintf("test/%d/%d", time.Now().UnixNano(), prefixes.Add(1))
	return etcd.Config{Endpoints: strings.Split(endpoints, ","), Prefix: prefix}
}

func open(t testing.TB, cfg etcd.Config) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func plain(t testing.TB, cfg etcd.Config) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: cfg.Endpoints})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, config(t))
	})
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	_, err := plain(t, cfg).Put(t.Context(), cfg.Prefix+"/f", "2")
	require.NoError(t, err)
	_, err = etcd.Open(t.Context(), cfg)
	require.ErrorIs(t, err, store.ErrNewerFormat)
}

// TestShared has a batch of one process seen, and fought, by another.
func TestShared(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	a, b := open(t, cfg), open(t, cfg)
	last := store.Key{Kind: 1, ID: "last unit"}
	claim := func(s *etcd.Store, id byte) store.Result {
		res, err := s.Commit(t.Context(), store.Batch{
			ID: store.BatchID{id}, Version: uint64(id),
			Expect: []store.Expectation{{Key: last}}, Puts: []store.Put{{Key: last, Value: []byte{id}}},
		})
		require.NoError(t, err)
		return res
	}
	won := claim(a, 1)
	require.Equal(t, store.Committed, won.Outcome)
	lost := claim(b, 2)
	require.Equal(t, store.Conflict, lost.Outcome)
	require.Equal(t, []store.Record{{Key: last, Version: 1, Value: []byte{1}}}, lost.Conflicts)
	for ev, err := range b.Follow(t.Context(), won.Revision-1) {
		require.NoError(t, err)
		require.Equal(t, store.BatchID{1}, ev.ID)
		break
	}
}

// TestCompacted takes the history of the whole cluster, so .ci/etcd.sh runs it
// after the others.
func TestCompacted(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	s := open(t, cfg)
	var rev uint64
	for i := range byte(3) {
		res, err := s.Commit(t.Context(), store.Batch{ID: store.BatchID{1 + i}, Version: 1})
		require.NoError(t, err)
		rev = res.Revision
	}
	_, err := plain(t, cfg).Compact(t.Context(), int64(rev))
	require.NoError(t, err)
	for _, err := range s.Follow(t.Context(), rev-3) {
		require.ErrorIs(t, err, store.ErrCompacted)
		return
	}
	t.Fatal("the feed ended by itself")
}
