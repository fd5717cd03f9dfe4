//go:build integration

package etcdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestLastUnits has four engines and sixteen writers fight for the last units
// of the same hosts.
func TestLastUnits(t *testing.T) {
	f := newFleet(t, start(t), engines)
	ctx, cancel := context.WithTimeout(t.Context(), lasting(3*time.Second, 30*time.Second))
	defer cancel()
	f.load(ctx, seed(t))
	f.judge(t)
	require.Positive(t, f.refused)
	require.Positive(t, f.turns.Load())
	require.Zero(t, f.unknown)
	require.Zero(t, f.expired)
}

func seed(t *testing.T) uint64 {
	t.Helper()
	n := uint64(time.Now().UnixNano())
	t.Logf("seed %d", n)
	return n
}

// TestLeaderDies kills the leader, or stops it for a while, again and again.
func TestLeaderDies(t *testing.T) {
	c := start(t)
	f := newFleet(t, c, engines)
	ctx, cancel := context.WithTimeout(t.Context(), lasting(20*time.Second, 2*time.Minute))
	defer cancel()
	ended := make(chan struct{})
	go func() { f.load(ctx, seed(t)); close(ended) }()
	kills, stops := 0, 0
	for rest(ctx, time.Second) {
		n := leader(t, c)
		if (kills+stops)%2 == 0 {
			require.NoError(t, c.Kill(n))
			kills++
			rest(ctx, 2*time.Second)
			require.NoError(t, c.Restart(t.Context(), n))
		} else {
			require.NoError(t, c.Stop(n))
			stops++
			rest(ctx, 4*time.Second)
			require.NoError(t, c.Continue(n))
		}
		settle(t, c)
	}
	<-ended
	f.judge(t)
	t.Logf("the leader was killed %d times and stopped %d times", kills, stops)
	require.Positive(t, kills)
	require.Positive(t, stops)
}

// rest waits, and reports whether ctx still runs.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
