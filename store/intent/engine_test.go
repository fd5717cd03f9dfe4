package intent_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

func uuid(kind byte, n int) placement.UUID {
	return placement.UUID{kind, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), 1}
}

func open(t *testing.T, s store.Store, now func() time.Time) *placement.Engine {
	t.Helper()
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func vcpus(n int64) map[string]placement.Inventory {
	return map[string]placement.Inventory{"VCPU": placement.NewInventory(n)}
}

func addHosts(t *testing.T, e *placement.Engine, hosts int, units int64) {
	t.Helper()
	for h := range hosts {
		_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: uuid('h', h), Name: fmt.Sprint("host-", h)})
		require.NoError(t, err)
		_, err = e.SetInventories(t.Context(), uuid('h', h), vcpus(units), placement.AnyGeneration)
		require.NoError(t, err)
	}
}

// claim is a write that gives each of n new consumers one unit, on the hosts in
// turn from host first on.
func claim(who byte, n, first, hosts int) placement.AllocationWrite {
	var wr placement.AllocationWrite
	for i := range n {
		wr.Consumers = append(wr.Consumers, placement.ConsumerAllocations{
			Consumer: uuid(who, i), Project: "p", User: "u", Generation: placement.NewConsumer,
			Allocations: []placement.Allocation{{Provider: uuid('h', first+i%hosts), Class: "VCPU", Amount: 1}},
		})
	}
	return wr
}

// held counts the units of each host that consumers of who hold.
func held(t *testing.T, e *placement.Engine, who byte, n int) map[placement.UUID]int64 {
	t.Helper()
	out := map[placement.UUID]int64{}
	for i := range n {
		_, allocations, err := e.Consumer(uuid(who, i))
		if err != nil {
			require.ErrorIs(t, err, placement.ErrNotFound)
			continue
		}
		require.Len(t, allocations, 1)
		out[allocations[0].Provider]++
	}
	return out
}

func sum(m map[placement.UUID]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func verified(t *testing.T, e *placement.Engine) {
	t.Helper()
	found, err := e.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, e.Err())
}

// noneHeld demands that the store below shows no intent.
func noneHeld(t *testing.T, inner store.Store) {
	t.Helper()
	raw, _ := load(t, inner)
	for k, r := range raw {
		require.NotEqual(t, store.Kind(201), k.Kind, "a chunk is left")
		if k.Kind == 200 {
			require.LessOrEqual(t, len(r.Value), 19, "the directory is not empty")
		}
	}
}

func chunks(t *testing.T, inner store.Store, after uint64) (n int) {
	t.Helper()
	_, now := load(t, inner)
	for _, ev := range follow(t, inner, after, now) {
		if slices.ContainsFunc(ev.Puts, func(p store.Put) bool { return p.Key.Kind == 201 }) {
			n++
		}
	}
	return n
}

// TestEnginesClaimThousands lets two engines each claim a thousand servers at
// once, of which the hosts hold one, while others claim single units.
func TestEnginesClaimThousands(t *testing.T) {
	t.Parallel()
	const hosts, units, large, writers, each = 10, 130, 1000, 4, 60
	inner := mem.New(mem.Config{Limits: store.Limits{Records: 16, Bytes: 16 << 10}, History: 1 << 20})
	engines := [2]*placement.Engine{open(t, inner, nil), open(t, inner, nil)}
	addHosts(t, engines[0], hosts, units)
	require.Zero(t, chunks(t, inner, 0))
	ready := func() bool {
		inv, _, err := engines[1].Inventories(uuid('h', hosts-1))
		return err == nil && len(inv) > 0
	}
	require.Eventually(t, ready, 10*time.Second, time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	var results [2]error
	for k, e := range engines {
		wg.Go(func() { results[k] = e.SetAllocations(ctx, claim(byte('A'+k), large, 0, hosts)) })
		for w := range writers {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(k), uint64(w)))
				for i := range each {
					wr := claim(byte(10*k+w), i+1, rng.IntN(hosts), 1)
					wr.Consumers = wr.Consumers[i:]
					if err := e.SetAllocations(ctx, wr); err != nil {
						assert.ErrorIs(t, err, placement.ErrCapacity)
					}
				}
			})
		}
	}
	wg.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else {
			require.ErrorIs(t, err, placement.ErrCapacity)
		}
	}
	require.Equal(t, 1, won, "one of the thousands fits: %v", results)
	require.Positive(t, chunks(t, inner, 0))
	noneHeld(t, inner)
	sameEngines(t, inner, engines, hosts, units)
	for k := range engines {
		n := sum(held(t, engines[0], byte('A'+k), large))
		require.Equal(t, results[k] == nil, n == large)
		require.Equal(t, results[k] != nil, n == 0)
	}
}

// sameEngines demands that both engines and one that opens now agree.
func sameEngines(t *testing.T, inner store.Store, engines [2]*placement.Engine, hosts int, units int64) {
	t.Helper()
	fresh := open(t, inner, nil)
	verified(t, fresh)
	for h := range hosts {
		want, _, err := fresh.ProviderAllocations(uuid('h', h))
		require.NoError(t, err)
		require.LessOrEqual(t, int64(len(want)), units)
		for _, e := range engines {
			require.Eventually(t, func() bool {
				got, _, err := e.ProviderAllocations(uuid('h', h))
				return err == nil && assert.ObjectsAreEqual(sortHeld(want), sortHeld(got))
			}, 10*time.Second, time.Millisecond, "host %d", h)
		}
	}
	for _, e := range engines {
		verified(t, e)
	}
}

func sortHeld(list []placement.Held) []placement.Held {
	slices.SortFunc(list, func(a, b placement.Held) int { return slices.Compare(a.Consumer.UUID[:], b.Consumer.UUID[:]) })
	return list
}

// TestEnginePacksNoMoreThanFits has many single claims at once: none of them
// becomes part of an intent.
func TestEnginePacksNoMoreThanFits(t *testing.T) {
	t.Parallel()
	inner := mem.New(mem.Config{Limits: store.Limits{Records: 8, Bytes: 16 << 10}})
	most := 0
	h := &watched{Store: inner, each: func(b store.Batch) { most = max(most, len(b.Puts)) }}
	e := open(t, h, nil)
	var wg sync.WaitGroup
	for n := range 20 {
		wg.Go(func() {
			_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: uuid('h', n), Name: fmt.Sprint("host-", n)})
			assert.NoError(t, err)
			_, err = e.SetInventories(t.Context(), uuid('h', n), vcpus(100), placement.AnyGeneration)
			assert.NoError(t, err)
			for i := range 20 {
				wr := claim(byte(n), i+1, n, 1)
				wr.Consumers = wr.Consumers[i:]
				assert.NoError(t, e.SetAllocations(t.Context(), wr))
			}
		})
	}
	wg.Wait()
	verified(t, e)
	require.Zero(t, chunks(t, inner, 0))
	require.Greater(t, most, 2, "writes share batches")
	require.Less(t, most, 8)
}

type watched struct {
	store.Store
	mu   sync.Mutex
	each func(store.Batch)
}

func (w *watched) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	w.mu.Lock()
	w.each(b)
	w.mu.Unlock()
	return w.Store.Commit(ctx, b)
}

// TestReshapeKilledAtEveryCommit moves 300 consumers to a child that takes over
// the inventory, and lets the engine die after each of its inner commits.
func TestReshapeKilledAtEveryCommit(t *testing.T) {
	t.Parallel()
	step := 1
	if testing.Short() {
		step = 13
	}
	var done, undone int
	for k := 1; ; k += step {
		moved, died := reshapeAndDie(t, k)
		if moved {
			done++
		} else {
			undone++
		}
		if !died {
			break
		}
	}
	require.Positive(t, done)
	require.Positive(t, undone)
}

func reshapeAndDie(t *testing.T, k int) (moved, died bool) {
	t.Helper()
	const consumers = 300
	inner, now := mem.New(mem.Config{Limits: store.Limits{Records: 16, Bytes: 16 << 10}}), &clock{}
	before := open(t, inner, now.Now)
	addHosts(t, before, 2, consumers)
	require.NoError(t, before.SetAllocations(t.Context(), claim('c', consumers, 0, 1)))
	require.NoError(t, before.Close())

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &hooked{Store: inner, before: func(n int) bool { return n <= k }, after: func(n int) bool {
		if n >= k {
			cancel()
		}
		return true
	}}
	e := open(t, h, now.Now)
	wr := claim('c', consumers, 1, 1)
	for i := range wr.Consumers {
		wr.Consumers[i].Generation = 1
	}
	err := e.Reshape(ctx, []placement.InventoryWrite{
		{Provider: uuid('h', 0), Generation: placement.AnyGeneration, Inventories: map[string]placement.Inventory{}},
		{Provider: uuid('h', 1), Generation: placement.AnyGeneration, Inventories: vcpus(consumers + 1)},
	}, wr)
	died = ctx.Err() != nil
	require.NoError(t, e.Close())

	now.pass(time.Hour)
	heir := open(t, inner, now.Now)
	verified(t, heir)
	got := held(t, heir, 'c', consumers)
	moved = got[uuid('h', 1)] == consumers
	require.True(t, moved || got[uuid('h', 0)] == consumers, "kill point %d: %v", k, got)
	if err == nil {
		require.True(t, moved)
	}
	inv, _, err := heir.Inventories(uuid('h', 0))
	require.NoError(t, err)
	require.Equal(t, moved, len(inv) == 0)
	// Nothing stays reserved: all of it can be changed, and the store is clean.
	for i := 0; i < consumers; i += 29 {
		require.NoError(t, heir.DeleteAllocations(t.Context(), uuid('c', i)))
	}
	_, err = heir.SetInventories(t.Context(), uuid('h', 0), vcpus(1000), placement.AnyGeneration)
	require.NoError(t, err)
	verified(t, heir)
	noneHeld(t, inner)
	require.NoError(t, heir.Close())
	return moved, died
}
