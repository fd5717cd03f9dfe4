package placement_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// overtaking is a store that lets a later batch overtake: from start on it
// holds the first batch back until the second was answered.
type overtaking struct {
	store.Store
	batches  atomic.Int64  // -1000: not started
	arrived  chan struct{} // closed when the first batch is held back
	answered chan struct{} // closed when the second is answered
	outcome  store.Outcome // of the second; read after answered
}

func (o *overtaking) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	n := o.batches.Add(1)
	if n == 1 {
		close(o.arrived)
		<-o.answered
	}
	res, err := o.Store.Commit(ctx, b)
	if n == 2 {
		o.outcome = res.Outcome
		close(o.answered)
	}
	return res, err
}

// TestOvertaken has a batch arrive at the store before the one that it builds
// on: it is refused there, sent again, and nobody notices.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	const claims = 200
	o := &overtaking{Store: mem.New(mem.Config{}), arrived: make(chan struct{}), answered: make(chan struct{})}
	o.batches.Store(-1000)
	e := open(t, placement.Config{Store: o})
	host := newHost(t, e, 1, placement.UUID{}, 1000)
	before, err := e.Provider(host)
	require.NoError(t, err)
	o.batches.Store(0)

	var writers sync.WaitGroup
	claim := func(n int) {
		writers.Go(func() {
			assert.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(host, 1))))
		})
	}
	claim(0)
	<-o.arrived
	for n := range claims - 1 {
		claim(n + 1)
	}
	writers.Wait()
	<-o.answered
	assert.Equal(t, store.Conflict, o.outcome, "the second batch builds on the first")
	after, err := e.Provider(host)
	require.NoError(t, err)
	assert.Equal(t, before.Generation+claims, after.Generation)
}
