//go:build integration

package etcdtest_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// start runs a cluster of three for one test. These tests have the machine to
// themselves, one after the other: what they measure is time.
func start(t *testing.T, flags ...string) *etcdtest.Cluster {
	t.Helper()
	return startAs(t, etcdtest.Config{Flags: flags})
}

// startAs adds what every cluster has.
func startAs(t *testing.T, cfg etcdtest.Config) *etcdtest.Cluster {
	t.Helper()
	server := os.Getenv("ETCD_SERVER")
	require.NotEmpty(t, server, "ETCD_SERVER names a server's binary; .ci/etcd.sh builds one")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	cfg.Server, cfg.Dir, cfg.Members = server, t.TempDir(), 3
	c, err := etcdtest.Start(t.Context(), cfg)
	if errors.Is(err, etcdtest.ErrNoNetworks) {
		t.Skip("SKIPPED:", err)
	}
	require.NoError(t, err)
	require.NoError(t, ctx.Err())
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

func leader(t *testing.T, c *etcdtest.Cluster) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := c.Leader(ctx)
	require.NoError(t, err)
	return n
}

func settle(t *testing.T, c *etcdtest.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, c.Settled(ctx))
}

func TestCluster(t *testing.T) {
	c := start(t)
	first := leader(t, c)
	require.NoError(t, c.Kill(first))
	require.Error(t, c.Kill(first), "it is not running")
	second := leader(t, c)
	require.NotEqual(t, first, second)
	require.NoError(t, c.Restart(t.Context(), first))
	require.Error(t, c.Restart(t.Context(), first), "it is running")
	settle(t, c)

	require.NoError(t, c.Stop(second))
	third := leader(t, c)
	require.NotEqual(t, second, third)
	require.NoError(t, c.Continue(second))
	settle(t, c)

	before, err := c.Compact(t.Context())
	require.NoError(t, err)
	require.Positive(t, before)
}
