package placement_test

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// contents is everything that a snapshot holds, in an order that does not
// depend on the engine's numbers.
type contents struct {
	Classes, Traits []string
	Providers       map[placement.UUID]placement.ProviderRecord
	Consumers       map[placement.UUID]placement.ConsumerRecord
	Guards          []placement.Guard
	Attachments     []placement.Attachment
}

// same demands equal contents and shows only what differs.
func same(t *testing.T, want, got contents, msg string) {
	t.Helper()
	sameMap(t, want.Providers, got.Providers, msg)
	sameMap(t, want.Consumers, got.Consumers, msg)
	require.Equal(t, want.Guards, got.Guards, msg)
	require.Equal(t, want.Attachments, got.Attachments, msg)
	require.True(t, slices.Equal(want.Classes, got.Classes), "%s: classes %v, want %v", msg, got.Classes, want.Classes)
	require.True(t, slices.Equal(want.Traits, got.Traits), "%s: traits %v, want %v", msg, got.Traits, want.Traits)
}

func sameMap[T any](t *testing.T, want, got map[placement.UUID]T, msg string) {
	t.Helper()
	for u := range want {
		require.Equal(t, want[u], got[u], "%s: %s", msg, u)
	}
	require.Equal(t, len(want), len(got), msg)
}

// dump reads all of e at one moment.
func dump(e *placement.Engine) contents {
	s := e.Snapshot()
	defer s.Close()
	return dumpOf(s)
}

func dumpOf(s *placement.Snapshot) contents {
	c := contents{
		Classes: slices.Sorted(slices.Values(s.Classes)), Traits: slices.Sorted(slices.Values(s.Traits)),
		Providers: map[placement.UUID]placement.ProviderRecord{}, Consumers: map[placement.UUID]placement.ConsumerRecord{},
		Guards: slices.Collect(s.Guards()),
	}
	for p := range s.Providers() {
		slices.SortFunc(p.Inventories, func(a, b placement.InventoryRecord) int { return cmp.Compare(a.Class, b.Class) })
		slices.Sort(p.Traits)
		slices.SortFunc(p.Aggregates, func(a, b placement.UUID) int { return bytes.Compare(a[:], b[:]) })
		c.Providers[p.UUID] = p
	}
	for r := range s.Consumers() {
		slices.SortFunc(r.Allocations, compareAllocation)
		c.Consumers[r.UUID] = r
	}
	for a := range s.Attachments() {
		c.Attachments = append(c.Attachments, placement.Attachment{Key: a.Key, Value: append([]byte{}, a.Value...)})
	}
	return c
}

func compareAllocation(a, b placement.Allocation) int {
	return cmp.Or(bytes.Compare(a.Provider[:], b.Provider[:]), strings.Compare(a.Class, b.Class), cmp.Compare(a.Amount, b.Amount))
}

// sound demands that Verify finds nothing.
func sound(t *testing.T, e *placement.Engine) {
	t.Helper()
	found, err := e.Verify(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

// open opens an engine that is closed with the test.
func open(t *testing.T, cfg placement.Config) *placement.Engine {
	t.Helper()
	e, err := placement.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	return e
}

// onBoth runs test on an engine in memory only and on one with a store. The
// latter must hold the same after it is opened again.
func onBoth(t *testing.T, test func(t *testing.T, e *placement.Engine)) {
	t.Helper()
	for _, c := range []struct {
		name  string
		store store.Store
	}{{"memory only", nil}, {"store", mem.New(mem.Config{})}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var clock tick
			e := open(t, placement.Config{Store: c.store, Now: clock.now})
			test(t, e)
			sound(t, e)
			if c.store == nil {
				return
			}
			want := dump(e)
			require.NoError(t, e.Close())
			again := open(t, placement.Config{Store: c.store})
			sound(t, again)
			same(t, want, dump(again), "after it was opened again")
		})
	}
}

// tick is a clock that moves with every look at it. The engine looks at it
// while it plans, one write at a time.
type tick struct{ n int64 }

func (c *tick) now() time.Time {
	c.n++
	return time.Unix(0, c.n)
}

// claimOf is a write of one consumer.
func claimOf(consumer placement.UUID, gen placement.Generation, allocations ...placement.Allocation) placement.AllocationWrite {
	return placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: consumer, Project: "p", User: "u", Generation: gen, Allocations: allocations,
	}}}
}

// vcpus are n VCPU of a provider.
func vcpus(provider placement.UUID, n int64) placement.Allocation {
	return placement.Allocation{Provider: provider, Class: "VCPU", Amount: n}
}

// newHost makes a provider with VCPUs, and returns its UUID.
func newHost(t *testing.T, e *placement.Engine, n int, parent placement.UUID, units int64) placement.UUID {
	t.Helper()
	u := id('h', n)
	_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: u, Name: "host-" + u.String(), Parent: parent})
	require.NoError(t, err)
	_, err = e.SetInventories(t.Context(), u, map[string]placement.Inventory{"VCPU": placement.NewInventory(units)}, placement.AnyGeneration)
	require.NoError(t, err)
	return u
}

// refused demands an InputError of field, with a value and a rule.
func refused(t *testing.T, err error, field, value string) {
	t.Helper()
	var bad *placement.InputError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, field, bad.Field)
	require.Equal(t, value, bad.Value)
	require.NotEmpty(t, bad.Allowed)
	for _, part := range []string{field, bad.Allowed} {
		require.Contains(t, err.Error(), part)
	}
}
