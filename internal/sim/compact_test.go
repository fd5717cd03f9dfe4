package sim_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/sim"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// follower reads a store's feed, and loads when history is gone.
type follower struct {
	events, records, gone int
	old                   error // of a feed from the beginning, in the end
}

func (f *follower) run(e *sim.Env) {
	ctx, after := context.Background(), uint64(0)
	for {
		for ev, err := range e.Store().Follow(ctx, after) {
			if errors.Is(err, store.ErrCompacted) {
				f.gone++
				break
			}
			if after = ev.Revision; ev.ID != (store.BatchID{}) {
				f.events++
			}
		}
		f.records = 0
		for range e.Store().Load(ctx, &after) {
			f.records++
		}
	}
}

func (f *follower) again(e *sim.Env) {
	for _, err := range e.Store().Follow(context.Background(), 0) {
		f.old = err
		return
	}
}

// TestCompaction: whoever is late when the history goes has to load again, and
// whoever is not goes on; nobody can follow from the beginning any more.
func TestCompaction(t *testing.T) {
	t.Parallel()
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
	var late, current follower
	sc := sim.Scenario{Settle: time.Hour, Build: func(s *sim.Sim, _ []int) error {
		write := func(e *sim.Env) {
			for n := byte(1); n <= 50; n++ {
				e.Sleep(time.Second)
				b := store.Batch{ID: store.BatchID{n}, Version: uint64(n), Puts: []store.Put{{Key: store.Key{Kind: 1, ID: fmt.Sprint(n)}, Value: []byte{n}}}}
				_, _ = e.Store().Commit(context.Background(), b) // nothing goes wrong here
			}
			late.again(e)
		}
		return errors.Join(
			s.Add(sim.Process{Name: "late", Run: late.run, Store: shared}), s.Add(sim.Process{Name: "current", Run: current.run, Store: shared}),
			s.Add(sim.Process{Name: "writer", Run: write, Store: shared}))
	}}
	_, err := sc.Run(sim.Options{Seed: 4, Steps: 100_000, Only: []sim.Fault{{Kind: sim.FeedCompacted, Process: "late", Count: 3}}})
	require.NoError(t, err)
	require.ErrorIs(t, late.old, store.ErrCompacted)
	require.Equal(t, follower{events: 50}, current)
	late.old = nil
	require.Equal(t, 1, late.gone)
	require.Equal(t, 50, late.records+late.events-2, "two events before the gap, what was loaded after it, and the events since")
}
