package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// sharedGate is a gate of a store that answers [store.Shared].
type sharedGate struct {
	*gate
	store.Shared
}

// TestBuildsOnTheLoser has a batch wait, full, for one that it builds on, and
// lets another engine win with a batch of the same version as that one's. What
// waits expects that version, written by the other, and must not be sent.
func TestBuildsOnTheLoser(t *testing.T) {
	t.Parallel()
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 7, InFlight: 2}})
	g := newGate()
	g.Store = shared
	g.open()
	slow, fast := open(t, placement.Config{Store: sharedGate{g, shared}}), open(t, placement.Config{Store: shared})
	host := newHost(t, slow, 1, placement.UUID{}, 5)
	require.NoError(t, fast.Fresh(t.Context()))
	g.shut()
	answers := make(chan error, 6)
	for n := range cap(answers) { // the first goes alone, three fill a batch, one begins the next, one is too much
		go func() {
			answers <- slow.SetAllocations(t.Context(), claimOf(id('s', n), placement.NewConsumer, vcpus(host, 1)))
		}()
		if n == 0 {
			<-g.arrived
		}
	}
	require.ErrorIs(t, <-answers, placement.ErrCapacity)
	require.NoError(t, fast.SetAllocations(t.Context(), claimOf(id('f', 0), placement.NewConsumer, vcpus(host, 5))))
	g.open()
	for range cap(answers) - 1 {
		require.ErrorIs(t, <-answers, placement.ErrCapacity)
	}
	settled(t, [2]*placement.Engine{slow, fast})
}
