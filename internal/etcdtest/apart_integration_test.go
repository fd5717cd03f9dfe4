//go:build integration

package etcdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// TestMembersCutOff cuts the leader off from the other members, again and
// again, while every engine still reaches all three: the others elect another
// leader, and all engines go on with it, by themselves. Calls that the old one
// had before it knew that it leads nobody end with their timeout, so of two
// cuts one is longer than that.
func TestMembersCutOff(t *testing.T) {
	c := startAs(t, etcdtest.Config{Networks: true})
	f := newFleet(t, c, engines)
	ctx, cancel := context.WithTimeout(t.Context(), lasting(10*time.Second, 2*time.Minute))
	defer cancel()
	ended := make(chan struct{})
	go func() { f.load(ctx, seed(t)); close(ended) }()
	rounds := 0
	for rest(ctx, 500*time.Millisecond) {
		cut := 9 * time.Second
		if rounds%2 == 1 {
			cut = 4 * time.Second
		}
		old := leader(t, c)
		require.NoError(t, c.Isolate(t.Context(), old))
		from := time.Now()
		require.Eventually(t, func() bool { return leader(t, c) != old }, 30*time.Second, 20*time.Millisecond, "no other leader is elected")
		elected := time.Since(from)
		whole := rest(ctx, cut-elected)
		until := time.Now()
		require.NoError(t, c.Heal(t.Context(), old))
		var last []int // acknowledgements near the end of the cut, by engine
		for k := range engines {
			last = append(last, len(f.between(k, until.Add(-2*time.Second), until)))
		}
		t.Logf("leader %d cut off for %v: another after %v; acknowledgements in the last 2 s, by engine: %v", old, until.Sub(from), elected, last)
		if whole && rounds%2 == 0 {
			require.Greater(t, min(last[0], last[1], last[2], last[3]), 5, "an engine stands still although a majority has a leader")
		}
		rounds++
		settle(t, c)
	}
	<-ended
	f.judge(t)
	require.Positive(t, rounds)
}
