package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

func id(kind byte, n int) placement.UUID {
	return placement.UUID{kind, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}
}

// faults are those of a bad day, without writes of kinds that no engine knows.
func faults(seed int64) storetest.Faults {
	f := storetest.Noise(seed)
	f.ForeignWrite, f.PForeign = nil, 0
	return f
}

// TestTwoEnginesOnAFaultyStore lets two engines claim the last units of the
// same hosts through stores that lose answers, apply late, conflict and fill
// up: nothing acknowledged is lost, nothing is over capacity, and both engines
// agree in the end.
func TestTwoEnginesOnAFaultyStore(t *testing.T) {
	t.Parallel()
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			shared := mem.New(mem.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var engines [2]*placement.Engine
			for k := range engines {
				e, err := placement.Open(ctx, placement.Config{Store: storetest.Faulty(shared, faults(10*seed+int64(k)))})
				require.NoError(t, err)
				defer e.Close()
				engines[k] = e
			}
			const writers, each = 8, 30
			for h := range hosts {
				makeHost(ctx, t, engines[0], h)
			}
			for h := range hosts {
				waitFor(t, func() bool { inv, _, err := engines[1].Inventories(id('h', h)); return err == nil && len(inv) > 0 })
			}
			var mu sync.Mutex
			held := map[placement.UUID]placement.UUID{}
			var wg sync.WaitGroup
			for w := range writers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(seed), uint64(w)))
					e := engines[w%2]
					for n := range each {
						c, host := id(byte(w), n), id('h', rng.IntN(hosts))
						if claim(ctx, t, e, c, host) {
							mu.Lock()
							held[c] = host
							mu.Unlock()
							if rng.IntN(4) == 0 {
								assert.NoError(t, again(func() error { return e.DeleteAllocations(ctx, c) }))
								mu.Lock()
								delete(held, c)
								mu.Unlock()
							}
						}
					}
				})
			}
			wg.Wait()
			sameInBoth(ctx, t, engines, held)
		})
	}
}

const hosts, units = 3, 40

func makeHost(ctx context.Context, t *testing.T, e *placement.Engine, h int) {
	t.Helper()
	require.NoError(t, again(func() error {
		_, err := e.CreateProvider(ctx, placement.Provider{UUID: id('h', h), Name: fmt.Sprint("host-", h)})
		return err
	}))
	require.NoError(t, again(func() error {
		_, err := e.SetInventories(ctx, id('h', h), map[string]placement.Inventory{"VCPU": placement.NewInventory(units)}, placement.AnyGeneration)
		return err
	}))
}

// again repeats a write that found the store full.
func again(write func() error) error {
	for {
		if err := write(); !errors.Is(err, store.ErrNoSpace) {
			return err
		}
	}
}

func claim(ctx context.Context, t *testing.T, e *placement.Engine, c, host placement.UUID) bool {
	t.Helper()
	err := again(func() error {
		return e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
			Consumer: c, Project: "p", User: "u", Generation: placement.NewConsumer,
			Allocations: []placement.Allocation{{Provider: host, Class: "VCPU", Amount: 1}},
		}}})
	})
	if err != nil {
		assert.ErrorIs(t, err, placement.ErrCapacity)
	}
	return err == nil
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, time.Millisecond)
}

func sameInBoth(ctx context.Context, t *testing.T, engines [2]*placement.Engine, held map[placement.UUID]placement.UUID) {
	t.Helper()
	perHost := map[placement.UUID]int64{}
	for _, host := range held {
		perHost[host]++
	}
	for _, e := range engines {
		for c := range held { // hosts are full most of the time: their usage alone tells little
			waitFor(t, func() bool { _, _, err := e.Consumer(c); return err == nil })
		}
		for h := range hosts {
			var used map[string]int64
			waitFor(t, func() bool { used, _, _ = e.Usages(id('h', h)); return used["VCPU"] == perHost[id('h', h)] })
			require.LessOrEqual(t, used["VCPU"], int64(units))
		}
		for c, host := range held {
			_, allocs, err := e.Consumer(c)
			require.NoError(t, err)
			require.Equal(t, []placement.Allocation{{Provider: host, Class: "VCPU", Amount: 1}}, allocs)
		}
		found, err := e.Verify(ctx)
		require.NoError(t, err)
		require.Empty(t, found)
		require.NoError(t, e.Err())
	}
}
