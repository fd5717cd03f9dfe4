package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// TestEnginesTradePlaces lets two engines on one store create, move, claim
// and delete the same providers and consumers, so that rows are given up and
// used again below plans that are waiting; with every other seed their stores
// misbehave too. Both must end with the same.
func TestEnginesTradePlaces(t *testing.T) {
	t.Parallel()
	for seed := range rounds(2, 6, 200) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			shared := mem.New(mem.Config{})
			var engines [2]*placement.Engine
			for k := range engines {
				var s store.Store = shared
				if seed%2 == 1 {
					s = storetest.Faulty(shared, faults(10*int64(seed)+int64(k)))
				}
				engines[k] = open(t, placement.Config{Store: s})
			}
			var wg sync.WaitGroup
			for w := range 8 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(w)))
					for range 60 {
						expected(t, again(func() error { return tradePlaces(ctx, rng, engines[w%2]) }))
					}
				})
			}
			wg.Wait()
			settled(t, engines)
			same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")
		})
	}
}

// TestEnginesShareNames lets an engine take a name while the store holds back
// another engine's write that takes it too: one gets it.
func TestEnginesShareNames(t *testing.T) {
	t.Parallel()
	old, name := id('h', 1), "wanted"
	create := func(n int) func(context.Context, *placement.Engine) error {
		return func(ctx context.Context, e *placement.Engine) error {
			_, err := e.CreateProvider(ctx, placement.Provider{UUID: id('n', n), Name: name})
			return err
		}
	}
	rename := func(ctx context.Context, e *placement.Engine) error {
		_, err := e.UpdateProvider(ctx, old, placement.ProviderUpdate{Name: &name})
		return err
	}
	for what, write := range map[string]func(context.Context, *placement.Engine) error{"create": create(1), "rename": rename} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
			g := newGate()
			g.Store = shared
			slow, fast := open(t, placement.Config{Store: g}), open(t, placement.Config{Store: shared})
			g.open()
			newHost(t, slow, 1, placement.UUID{}, 4)
			g.shut()
			answer := make(chan error, 1)
			go func() { answer <- write(t.Context(), slow) }()
			<-g.arrived
			require.NoError(t, create(2)(t.Context(), fast))
			g.open()
			require.ErrorIs(t, <-answer, placement.ErrExists)
			settled(t, [2]*placement.Engine{slow, fast})

			require.NoError(t, fast.DeleteProvider(t.Context(), id('n', 2)))
			waitFor(t, func() bool { return write(t.Context(), slow) == nil })
			settled(t, [2]*placement.Engine{slow, fast})
			require.ErrorIs(t, create(3)(t.Context(), fast), placement.ErrExists)
			require.NoError(t, slow.DeleteProvider(t.Context(), map[string]placement.UUID{"create": id('n', 1), "rename": old}[what]))
			settled(t, [2]*placement.Engine{slow, fast})
			require.NoError(t, create(3)(t.Context(), fast))
			settled(t, [2]*placement.Engine{slow, fast})
			same(t, dump(slow), dump(open(t, placement.Config{Store: shared})), "a third engine")
		})
	}
}

// TestEnginesShareSymbols lets one engine remove a class or trait while the
// other begins to use it: whoever comes first has its way, and nothing that is
// in use goes.
func TestEnginesShareSymbols(t *testing.T) {
	t.Parallel()
	host := id('h', 1)
	type write = func(ctx context.Context, e *placement.Engine) error
	useClass := func(ctx context.Context, e *placement.Engine) error {
		_, err := e.SetInventories(ctx, host, map[string]placement.Inventory{"CUSTOM_A": placement.NewInventory(1)}, placement.AnyGeneration)
		return err
	}
	useTrait := func(ctx context.Context, e *placement.Engine) error {
		_, err := e.SetTraits(ctx, host, []string{"CUSTOM_A"}, placement.AnyGeneration)
		return err
	}
	dropClass := func(ctx context.Context, e *placement.Engine) error { return e.DeleteClass(ctx, "CUSTOM_A") }
	dropTrait := func(ctx context.Context, e *placement.Engine) error { return e.DeleteTrait(ctx, "CUSTOM_A") }
	for _, c := range []struct {
		name        string
		first, late write
	}{
		{"class used", useClass, dropClass},
		{"class dropped", dropClass, useClass},
		{"trait used", useTrait, dropTrait},
		{"trait dropped", dropTrait, useTrait},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			g := newGate()
			shared := mem.New(mem.Config{Limits: store.Limits{Shared: true}})
			g.Store = shared
			slow, fast := open(t, placement.Config{Store: g}), open(t, placement.Config{Store: shared})
			g.open()
			newHost(t, slow, 1, placement.UUID{}, 4)
			_, err := slow.CreateClass(ctx, "CUSTOM_A")
			require.NoError(t, err)
			_, err = slow.CreateTrait(ctx, "CUSTOM_A")
			require.NoError(t, err)
			settled(t, [2]*placement.Engine{slow, fast})
			g.shut()
			answer := make(chan error, 1)
			go func() { answer <- c.late(ctx, slow) }()
			<-g.arrived
			require.NoError(t, c.first(ctx, fast))
			g.open()
			var bad *placement.InputError
			if err := <-answer; !errors.As(err, &bad) {
				require.ErrorIs(t, err, placement.ErrInUse)
			}
			settled(t, [2]*placement.Engine{slow, fast})
			for range 2 { // each goes on where the other stopped
				_, err = slow.SetTraits(ctx, host, nil, placement.AnyGeneration)
				require.NoError(t, err)
				_, err = slow.CreateTrait(ctx, "CUSTOM_A")
				require.NoError(t, err)
				require.NoError(t, useTrait(ctx, slow))
				settled(t, [2]*placement.Engine{slow, fast})
				require.ErrorIs(t, dropTrait(ctx, fast), placement.ErrInUse)
				slow, fast = fast, slow
			}
			same(t, dump(slow), dump(open(t, placement.Config{Store: shared})), "a third engine")
		})
	}
}

// settles makes what settled writes unique.
var settles atomic.Int64

// settled waits until both engines have seen everything, and demands that
// they agree.
func settled(t *testing.T, engines [2]*placement.Engine) {
	t.Helper()
	last := fmt.Sprint("CUSTOM_LAST_", settles.Add(1))
	require.NoError(t, again(func() error { _, err := engines[0].CreateTrait(t.Context(), last); return err }))
	waitFor(t, func() bool { return engines[1].HasTrait(last) })
	for _, e := range engines {
		require.NoError(t, e.Err())
		sound(t, e)
	}
	same(t, dump(engines[0]), dump(engines[1]), "the other engine")
}

// tradePlaces makes one random write on a few providers and consumers.
func tradePlaces(ctx context.Context, rng *rand.Rand, e *placement.Engine) error {
	host, consumer := id('h', rng.IntN(4)), id('c', rng.IntN(6))
	switch rng.IntN(10) {
	case 0:
		return e.DeleteProvider(ctx, host)
	case 1, 2:
		if _, err := e.CreateProvider(ctx, placement.Provider{UUID: host, Name: host.String()}); err != nil {
			return err
		}
		_, err := e.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, placement.AnyGeneration)
		return err
	case 3:
		parent := id('h', rng.IntN(4))
		_, err := e.UpdateProvider(ctx, host, placement.ProviderUpdate{Parent: &parent, AllowReparenting: true})
		return err
	case 4, 5:
		return e.DeleteAllocations(ctx, consumer)
	case 6:
		return e.SetAllocations(ctx, placement.AllocationWrite{Guards: []placement.Guard{{Key: host.String(), Provider: host}}})
	}
	return e.SetAllocations(ctx, claimOf(consumer, placement.AnyGeneration, vcpus(host, 1)))
}

// expected accepts an answer that concurrent writers may get.
func expected(t *testing.T, err error) {
	t.Helper()
	var bad *placement.InputError
	if err == nil || errors.As(err, &bad) {
		return
	}
	for _, want := range []error{
		placement.ErrNotFound, placement.ErrExists, placement.ErrInUse, placement.ErrHasChildren,
		placement.ErrCapacity, placement.ErrConcurrentUpdate,
	} {
		if errors.Is(err, want) {
			return
		}
	}
	assert.NoError(t, err)
}
