package placement_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
)

// TestReadTree reads a host that stands alone, one with a child, and one that
// a sharing provider serves.
func TestReadTree(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		alone := newHost(t, e, 1, placement.UUID{}, 10)
		root := newHost(t, e, 2, placement.UUID{}, 20)
		child := newHost(t, e, 3, root, 30)
		pool, served := newHost(t, e, 4, placement.UUID{}, 40), newHost(t, e, 5, placement.UUID{}, 50)
		for _, p := range []placement.UUID{pool, served} {
			_, err := e.SetAggregates(t.Context(), p, []placement.UUID{id('a', 1)}, placement.AnyGeneration)
			require.NoError(t, err)
		}
		_, err := e.SetTraits(t.Context(), pool, []string{placement.SharingTrait}, placement.AnyGeneration)
		require.NoError(t, err)
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 1), placement.NewConsumer, vcpus(alone, 1), vcpus(root, 2), vcpus(child, 3))))
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 2), placement.NewConsumer, vcpus(child, 4))))

		stock := func(total, used int64) placement.Stock {
			return placement.Stock{Class: "VCPU", Inventory: placement.NewInventory(total), Capacity: total, Used: used}
		}
		var got placement.TreeState
		for _, c := range []struct {
			root      placement.UUID
			want      placement.TreeState
			consumers []placement.UUID
		}{
			{root, placement.TreeState{Providers: 2, Consumers: 2, Stock: []placement.Stock{stock(20, 2), stock(30, 7)}}, []placement.UUID{id('c', 1), id('c', 2)}},
			{alone, placement.TreeState{Providers: 1, Consumers: 1, Stock: []placement.Stock{stock(10, 1)}}, []placement.UUID{id('c', 1)}},
			{served, placement.TreeState{Providers: 1, Served: true, Stock: []placement.Stock{stock(50, 0)}}, nil},
		} {
			require.True(t, e.ReadTree(c.root, &got))
			require.Equal(t, c.want, got)
			require.Equal(t, c.consumers, e.AppendConsumers(nil, c.root))
		}
		require.False(t, e.ReadTree(child, &got))
		require.False(t, e.ReadTree(id('x', 1), &got))
	})
}

// TestAnchor asks for candidates of one tree and what is shared with it.
func TestAnchor(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		var hosts []placement.UUID
		for n := range 3 {
			hosts = append(hosts, newHost(t, e, n, placement.UUID{}, 10))
			_, err := e.SetAggregates(t.Context(), hosts[n], []placement.UUID{id('a', 1)}, placement.AnyGeneration)
			require.NoError(t, err)
		}
		pool := id('h', 9)
		_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: pool, Name: "pool"})
		require.NoError(t, err)
		_, err = e.SetInventories(t.Context(), pool, map[string]placement.Inventory{"DISK_GB": placement.NewInventory(5)}, placement.AnyGeneration)
		require.NoError(t, err)
		req := placement.CandidateRequest{
			Groups: []placement.RequestGroup{{Resources: []placement.Resource{{Class: "VCPU", Amount: 1}, {Class: "DISK_GB", Amount: 1}}}},
			Anchor: hosts[1],
		}
		count := func() int {
			n := 0
			for c, err := range e.Candidates(t.Context(), req) {
				require.NoError(t, err)
				require.Equal(t, hosts[1], c.Root)
				require.ElementsMatch(t, []placement.Allocation{vcpus(hosts[1], 1), {Provider: pool, Class: "DISK_GB", Amount: 1}}, c.Allocations)
				n++
			}
			return n
		}
		require.Zero(t, count(), "the pool is not shared")
		_, err = e.SetTraits(t.Context(), pool, []string{placement.SharingTrait}, placement.AnyGeneration)
		require.NoError(t, err)
		_, err = e.SetAggregates(t.Context(), pool, []placement.UUID{id('a', 1)}, placement.AnyGeneration)
		require.NoError(t, err)
		require.Equal(t, 1, count())
		req.Anchor = id('x', 1)
		require.Zero(t, count())
	})
}
