//go:build integration

package etcdtest_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
)

// onItsWay is how long an answer that the cluster gave before a cut may still
// take to its writer.
const onItsWay = 500 * time.Millisecond

// TestCutOff cuts one engine off after the other: it acknowledges nothing
// until it is healed, goes on by itself then, and the others do not care.
func TestCutOff(t *testing.T) {
	f := newFleet(t, start(t), engines)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan struct{})
	go func() { f.load(ctx, seed(t)); close(ended) }()
	cut, rounds := 3*time.Second, 1
	if soak() {
		cut, rounds = 20*time.Second, 2
	}
	for round := range 2 * rounds {
		k := 1 + round%(engines-1)
		rest(ctx, time.Second)
		name, sever := "dropped", (*etcdtest.Link).Drop
		if round%2 == 1 {
			name, sever = "stalled", (*etcdtest.Link).Stall
		}
		sever(f.links[k])
		from := time.Now()
		rest(ctx, cut)
		until := time.Now()
		f.links[k].Heal()
		require.Empty(t, f.between(k, from.Add(onItsWay), until), "engine %d acknowledges although its link is %s", k, name)
		for other := range engines {
			if other != k {
				require.NotEmpty(t, f.between(other, until.Add(-cut/2), until), "engine %d, while %d is %s", other, k, name)
			}
		}
		require.Eventually(t, func() bool { return len(f.between(k, until, time.Now())) > 0 }, deadline+5*time.Second, 10*time.Millisecond,
			"engine %d goes on after its link was %s", k, name)
		t.Logf("engine %d: link %s for %v; first acknowledgement %v after it was healed", k, name, cut, f.between(k, until, time.Now())[0].Sub(until))
	}
	cancel()
	<-ended
	f.judge(t)
}

// between returns when engine k acknowledged writes between two moments.
func (f *fleet) between(k int, from, until time.Time) (out []time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.acks[k] {
		if at.After(from) && at.Before(until) {
			out = append(out, at)
		}
	}
	return out
}
