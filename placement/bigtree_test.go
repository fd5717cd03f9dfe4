package placement_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// TestBigTrees works with trees of 10,000 members of several shapes: all of
// it must take bounded time. The short test has fewer.
func TestBigTrees(t *testing.T) {
	t.Parallel()
	members := int(rounds(2_000, 10_000, 10_000))
	for name, parentOf := range map[string]func(n int) int{
		"wide":   func(int) int { return 0 },
		"deep":   func(n int) int { return n - 1 },
		"binary": func(n int) int { return (n - 1) / 2 },
		"comb":   func(n int) int { return (n - 1) / 2 * 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mem.New(mem.Config{})
			e := open(t, placement.Config{Store: s})
			bounded(t, "create", func() {
				_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: id('t', 0), Name: "0"})
				require.NoError(t, err)
				for n := 1; n < members; n++ {
					_, err := e.CreateProvider(t.Context(), placement.Provider{UUID: id('t', n), Name: fmt.Sprint(n), Parent: id('t', parentOf(n))})
					require.NoError(t, err)
				}
				inv := map[string]placement.Inventory{"VCPU": placement.NewInventory(4), "PGPU": placement.NewInventory(1)}
				for n := range members {
					_, err := e.SetInventories(t.Context(), id('t', n), inv, placement.AnyGeneration)
					require.NoError(t, err)
				}
			})
			newHost(t, e, 1, placement.UUID{}, 1)
			bounded(t, "query", func() { queryTree(t, e, members) })
			bounded(t, "claim", func() {
				for n := range 100 {
					require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(id('t', members-1-n), 2))))
				}
			})
			bounded(t, "re-parent", func() {
				for _, parent := range []placement.UUID{id('h', 1), {}, id('h', 1)} {
					p, err := e.UpdateProvider(t.Context(), id('t', 0), placement.ProviderUpdate{Parent: &parent, AllowReparenting: true})
					require.NoError(t, err)
					last, err := e.Provider(id('t', members-1))
					require.NoError(t, err)
					require.Equal(t, p.Root, last.Root)
				}
				below := id('t', members-1)
				_, err := e.UpdateProvider(t.Context(), id('t', 0), placement.ProviderUpdate{Parent: &below, AllowReparenting: true})
				refused(t, err, "parent_provider_uuid", below.String())
			})
			bounded(t, "query below another", func() { queryTree(t, e, members) })
			bounded(t, "verify", func() { sound(t, e) })
			bounded(t, "load children first", func() {
				again := open(t, placement.Config{Store: ordered{s, slices.Reverse[[]store.Record]}})
				require.Len(t, dump(again).Providers, members+1)
				sound(t, again)
			})
		})
	}
}

// queryTree asks in every way that has to look at the whole tree, for few
// answers.
func queryTree(t *testing.T, e *placement.Engine, members int) {
	t.Helper()
	vcpu, gpu := placement.Resource{Class: "VCPU", Amount: 2}, placement.Resource{Class: "PGPU", Amount: 1}
	var isolated []placement.RequestGroup
	for k := range 8 {
		isolated = append(isolated, placement.RequestGroup{Suffix: fmt.Sprint("_", k), Resources: []placement.Resource{gpu}})
	}
	for name, req := range map[string]placement.CandidateRequest{
		"spread":       {Groups: []placement.RequestGroup{{Resources: []placement.Resource{vcpu, gpu}}}},
		"isolated":     {Groups: isolated, Policy: placement.PolicyIsolate},
		"same subtree": {Groups: isolated[:2], SameSubtree: [][]string{{"_0", "_1"}}},
		"representative": {
			Groups: isolated[:3], Policy: placement.PolicyIsolate, Representative: true,
		},
	} {
		req.Limit = 10
		bounded(t, "  "+name, func() {
			found := 0
			for _, err := range e.Candidates(t.Context(), req) {
				require.NoError(t, err)
				found++
			}
			require.Positive(t, found, name)
		})
	}
	list, err := e.Providers(placement.ProviderFilter{InTree: id('t', 77)})
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(list), members)
}
