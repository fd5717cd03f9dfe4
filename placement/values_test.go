package placement_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
)

// The tests here check which values are accepted, what they mean, and that a
// refusal names field, value and rule and changes nothing.

func inventory(change func(*placement.Inventory)) placement.Inventory {
	inv := placement.NewInventory(10)
	change(&inv)
	return inv
}

// TestExtremeInventories sets inventories at the edge of what Placement
// accepts, and claims the most and one more.
func TestExtremeInventories(t *testing.T) {
	t.Parallel()
	const most = placement.MaxInt
	for _, c := range []struct {
		name     string
		inv      placement.Inventory
		capacity int64
		fits     []int64
		rules    map[int64]placement.Rule
	}{
		{
			"largest ratio", inventory(func(i *placement.Inventory) { i.AllocationRatio = placement.MaxRatio }), math.MaxInt64,
			[]int64{1, most},
			map[int64]placement.Rule{most + 1: placement.RuleMaxUnit, 0: ""},
		},
		{"everything largest", placement.Inventory{Total: most, MinUnit: 1, MaxUnit: most, StepSize: 1, AllocationRatio: placement.MaxRatio}, math.MaxInt64, []int64{most}, nil},
		{"smallest ratio", inventory(func(i *placement.Inventory) { i.AllocationRatio = 5e-324 }), 0, nil, map[int64]placement.Rule{1: placement.RuleCapacity}},
		{"ratio 0", inventory(func(i *placement.Inventory) { i.AllocationRatio = 0 }), 0, nil, map[int64]placement.Rule{1: placement.RuleCapacity}},
		{"cut, not rounded", inventory(func(i *placement.Inventory) { i.AllocationRatio = 0.99 }), 9, []int64{9}, map[int64]placement.Rule{10: placement.RuleCapacity}},
		{"all reserved", inventory(func(i *placement.Inventory) { i.Reserved = 10 }), 0, nil, map[int64]placement.Rule{1: placement.RuleCapacity}},
		{
			"min above max", inventory(func(i *placement.Inventory) { i.MinUnit, i.MaxUnit = 5, 3 }), 10, nil,
			map[int64]placement.Rule{4: placement.RuleMinUnit, 5: placement.RuleMaxUnit, 3: placement.RuleMinUnit},
		},
		{
			"min above total", inventory(func(i *placement.Inventory) { i.MinUnit = most }), 10, nil,
			map[int64]placement.Rule{10: placement.RuleMinUnit, most: placement.RuleCapacity},
		},
		{
			"step above total", inventory(func(i *placement.Inventory) { i.StepSize = 11 }), 10, nil,
			map[int64]placement.Rule{10: placement.RuleStepSize, 11: placement.RuleCapacity},
		},
		{
			"step", inventory(func(i *placement.Inventory) { i.StepSize = 3 }), 10,
			[]int64{3, 9},
			map[int64]placement.Rule{4: placement.RuleStepSize, 12: placement.RuleCapacity},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, e *placement.Engine) {
				t.Helper()
				require.Equal(t, c.capacity, c.inv.Capacity())
				host := newHost(t, e, 1, placement.UUID{}, 1)
				_, err := e.SetInventories(t.Context(), host, map[string]placement.Inventory{"VCPU": c.inv}, placement.AnyGeneration)
				require.NoError(t, err)
				for _, n := range c.fits {
					found := candidates(t, e, placement.Resource{Class: "VCPU", Amount: n})
					require.Equal(t, 1, found, "candidates for %d", n)
					require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', 1), placement.AnyGeneration, vcpus(host, n))))
					require.NoError(t, e.DeleteAllocations(t.Context(), id('c', 1)))
				}
				for n, rule := range c.rules {
					err := e.SetAllocations(t.Context(), claimOf(id('c', 1), placement.AnyGeneration, vcpus(host, n)))
					if rule == "" {
						refused(t, err, "used", fmt.Sprint(n))
						continue
					}
					var full *placement.CapacityError
					require.ErrorAs(t, err, &full)
					require.ErrorIs(t, err, placement.ErrCapacity)
					require.Equal(t, placement.CapacityError{
						Provider: host, Class: "VCPU", Amount: n, Sum: n, Capacity: c.capacity, Rule: rule,
					}, *full)
					require.Contains(t, err.Error(), string(rule))
					require.Zero(t, candidates(t, e, placement.Resource{Class: "VCPU", Amount: n}), "candidates for %d", n)
				}
			})
		})
	}
}

// candidates counts the candidates for one group without suffix.
func candidates(t *testing.T, e *placement.Engine, resources ...placement.Resource) int {
	t.Helper()
	n := 0
	for _, err := range e.Candidates(t.Context(), placement.CandidateRequest{Groups: []placement.RequestGroup{{Resources: resources}}}) {
		require.NoError(t, err)
		n++
	}
	return n
}

// TestSaturatingSums fills an inventory without bounds from many consumers:
// nothing wraps.
func TestSaturatingSums(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 1)
		inv := map[string]placement.Inventory{"VCPU": inventory(func(i *placement.Inventory) { i.AllocationRatio = placement.MaxRatio })}
		_, err := e.SetInventories(t.Context(), host, inv, placement.AnyGeneration)
		require.NoError(t, err)
		for n := range 20 {
			require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(host, placement.MaxInt))))
		}
		used, _, err := e.Usages(host)
		require.NoError(t, err)
		require.EqualValues(t, 20*placement.MaxInt, used["VCPU"])
		require.Equal(t, 1, candidates(t, e, placement.Resource{Class: "VCPU", Amount: placement.MaxInt}))
	})
}

// TestOverFull shrinks an inventory below its usage: what is there stays, and
// may be written again as long as it does not grow.
func TestOverFull(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host := newHost(t, e, 1, placement.UUID{}, 10)
		write := func(amounts ...int64) error {
			var w placement.AllocationWrite
			for n, amount := range amounts {
				w.Consumers = append(w.Consumers, claimOf(id('c', n), placement.AnyGeneration, vcpus(host, amount)).Consumers...)
			}
			return e.SetAllocations(t.Context(), w)
		}
		require.NoError(t, write(6, 4))
		_, err := e.SetInventories(t.Context(), host, map[string]placement.Inventory{"VCPU": placement.NewInventory(3)}, placement.AnyGeneration)
		require.NoError(t, err)
		used, _, err := e.Usages(host)
		require.NoError(t, err)
		require.EqualValues(t, 10, used["VCPU"])
		require.Zero(t, candidates(t, e, placement.Resource{Class: "VCPU", Amount: 1}))
		for _, c := range []struct {
			amounts []int64
			fits    bool
		}{
			{[]int64{6, 4}, true},
			{[]int64{7}, false},
			{[]int64{6, 4, 1}, false},
			{[]int64{7, 4}, false},
			{[]int64{5, 5}, true}, // from one to the other
			{[]int64{5}, true},
			{[]int64{4, 5}, true}, // less, though still too much
			{[]int64{5, 5}, false},
			{[]int64{1, 1}, true},
			{[]int64{1, 2}, true},
			{[]int64{2, 2}, false},
		} {
			err := write(c.amounts...)
			if c.fits {
				require.NoError(t, err, "%v", c.amounts)
			} else {
				require.ErrorIs(t, err, placement.ErrCapacity, "%v", c.amounts)
			}
		}
	})
}

// TestRefusedValues writes what Placement refuses.
func TestRefusedValues(t *testing.T) {
	t.Parallel()
	host, child, other, gone := id('h', 1), id('h', 2), id('h', 3), id('x', 1)
	anyGen, long := placement.AnyGeneration, strings.Repeat("é", 256)
	inv := func(change func(*placement.Inventory)) func(context.Context, *placement.Engine) error {
		return func(ctx context.Context, e *placement.Engine) error {
			_, err := e.SetInventories(ctx, host, map[string]placement.Inventory{"VCPU": inventory(change)}, anyGen)
			return err
		}
	}
	create := func(p placement.Provider) func(context.Context, *placement.Engine) error {
		return func(ctx context.Context, e *placement.Engine) error {
			_, err := e.CreateProvider(ctx, p)
			return err
		}
	}
	move := func(p, parent placement.UUID, allow bool) func(context.Context, *placement.Engine) error {
		return func(ctx context.Context, e *placement.Engine) error {
			_, err := e.UpdateProvider(ctx, p, placement.ProviderUpdate{Parent: &parent, AllowReparenting: allow})
			return err
		}
	}
	claim := func(change func(*placement.AllocationWrite)) func(context.Context, *placement.Engine) error {
		return func(ctx context.Context, e *placement.Engine) error {
			w := claimOf(id('c', 1), anyGen, vcpus(host, 1))
			change(&w)
			return e.SetAllocations(ctx, w)
		}
	}
	one := func(change func(*placement.ConsumerAllocations)) func(context.Context, *placement.Engine) error {
		return claim(func(w *placement.AllocationWrite) { change(&w.Consumers[0]) })
	}
	for _, c := range []struct {
		field, value string
		write        func(context.Context, *placement.Engine) error
	}{
		{"total", "0", inv(func(i *placement.Inventory) { i.Total = 0 })},
		{"total", "-1", inv(func(i *placement.Inventory) { i.Total = -1 })},
		{"total", "2147483648", inv(func(i *placement.Inventory) { i.Total = placement.MaxInt + 1 })},
		{"reserved", "-1", inv(func(i *placement.Inventory) { i.Reserved = -1 })},
		{"min_unit", "0", inv(func(i *placement.Inventory) { i.MinUnit = 0 })},
		{"max_unit", "-5", inv(func(i *placement.Inventory) { i.MaxUnit = -5 })},
		{"max_unit", "9223372036854775807", inv(func(i *placement.Inventory) { i.MaxUnit = math.MaxInt64 })},
		{"step_size", "0", inv(func(i *placement.Inventory) { i.StepSize = 0 })},
		{"allocation_ratio", "NaN", inv(func(i *placement.Inventory) { i.AllocationRatio = math.NaN() })},
		{"allocation_ratio", "+Inf", inv(func(i *placement.Inventory) { i.AllocationRatio = math.Inf(1) })},
		{"allocation_ratio", "-Inf", inv(func(i *placement.Inventory) { i.AllocationRatio = math.Inf(-1) })},
		{"allocation_ratio", "3.5e+38", inv(func(i *placement.Inventory) { i.AllocationRatio = 3.5e38 })},
		{"capacity", "-10", inv(func(i *placement.Inventory) { i.AllocationRatio = -1 })},
		{"capacity", "-1", inv(func(i *placement.Inventory) { i.Reserved = 11 })},
		{"resource_class", "CUSTOM_NONE", func(ctx context.Context, e *placement.Engine) error {
			_, err := e.SetInventories(ctx, host, map[string]placement.Inventory{"CUSTOM_NONE": placement.NewInventory(1)}, anyGen)
			return err
		}},
		{"traits", "CUSTOM_NONE", func(ctx context.Context, e *placement.Engine) error {
			_, err := e.SetTraits(ctx, host, []string{"STORAGE_DISK_SSD", "CUSTOM_NONE"}, anyGen)
			return err
		}},
		{"resource_class", "custom_a", func(ctx context.Context, e *placement.Engine) error {
			_, err := e.CreateClass(ctx, "custom_a")
			return err
		}},
		{"trait", "CUSTOM_" + strings.Repeat("A", 249), func(ctx context.Context, e *placement.Engine) error {
			_, err := e.CreateTrait(ctx, "CUSTOM_"+strings.Repeat("A", 249))
			return err
		}},
		{"resource_class", "VCPU", func(ctx context.Context, e *placement.Engine) error { return e.DeleteClass(ctx, "VCPU") }},
		{"uuid", placement.UUID{}.String(), create(placement.Provider{Name: "x"})},
		{"name", "", create(placement.Provider{UUID: gone})},
		{"name", long[:2*201], create(placement.Provider{UUID: gone, Name: long[:2*201]})},
		{"name", "\xff", create(placement.Provider{UUID: gone, Name: "\xff"})},
		{"parent_provider_uuid", gone.String(), create(placement.Provider{UUID: gone, Name: "x", Parent: gone})},
		{"parent_provider_uuid", id('x', 2).String(), create(placement.Provider{UUID: gone, Name: "x", Parent: id('x', 2)})},
		{"parent_provider_uuid", host.String(), move(host, host, true)},
		{"parent_provider_uuid", child.String(), move(host, child, true)},
		{"parent_provider_uuid", gone.String(), move(host, gone, true)},
		{"parent_provider_uuid", other.String(), move(child, other, false)},
		{"parent_provider_uuid", placement.UUID{}.String(), move(child, placement.UUID{}, false)},
		{"consumer_uuid", placement.UUID{}.String(), one(func(c *placement.ConsumerAllocations) { c.Consumer = placement.UUID{} })},
		{"project_id", "", one(func(c *placement.ConsumerAllocations) { c.Project = "" })},
		{"project_id", long, one(func(c *placement.ConsumerAllocations) { c.Project = long })},
		{"user_id", long, one(func(c *placement.ConsumerAllocations) { c.User = long })},
		{"consumer_type", "instance", one(func(c *placement.ConsumerAllocations) { c.Type = "instance" })},
		{"consumers", "2", claim(func(w *placement.AllocationWrite) { w.Consumers = append(w.Consumers, w.Consumers[0]) })},
		{"resource_provider", gone.String(), one(func(c *placement.ConsumerAllocations) { c.Allocations[0].Provider = gone })},
		{"resource_class", "CUSTOM_NONE", one(func(c *placement.ConsumerAllocations) { c.Allocations[0].Class = "CUSTOM_NONE" })},
		{"used", "0", one(func(c *placement.ConsumerAllocations) { c.Allocations[0].Amount = 0 })},
		{"used", "-3", one(func(c *placement.ConsumerAllocations) { c.Allocations[0].Amount = -3 })},
		{"allocations", "VCPU", one(func(c *placement.ConsumerAllocations) { c.Allocations = append(c.Allocations, c.Allocations...) })},
		{"inventories", host.String(), func(ctx context.Context, e *placement.Engine) error {
			w := placement.InventoryWrite{Provider: host, Generation: anyGen, Inventories: map[string]placement.Inventory{"VCPU": placement.NewInventory(1)}}
			return e.Reshape(ctx, []placement.InventoryWrite{w, w}, placement.AllocationWrite{})
		}},
		{"resources_1", "CUSTOM_NONE", func(ctx context.Context, e *placement.Engine) error {
			return firstError(ctx, e, placement.RequestGroup{Suffix: "_1", Resources: []placement.Resource{{Class: "CUSTOM_NONE", Amount: 1}}})
		}},
		{"resources", "VCPU:0", func(ctx context.Context, e *placement.Engine) error {
			return firstError(ctx, e, placement.RequestGroup{Resources: []placement.Resource{{Class: "VCPU"}}})
		}},
		{"required", "CUSTOM_NONE", func(ctx context.Context, e *placement.Engine) error {
			return firstError(ctx, e, placement.RequestGroup{Resources: []placement.Resource{{Class: "VCPU", Amount: 1}}, Required: [][]string{{"CUSTOM_NONE"}}})
		}},
	} {
		t.Run(c.field+" "+strings.ToValidUTF8(c.value[:min(len(c.value), 40)], "?"), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(t *testing.T, e *placement.Engine) {
				t.Helper()
				newHost(t, e, 1, placement.UUID{}, 4)
				newHost(t, e, 2, host, 4)
				newHost(t, e, 3, placement.UUID{}, 4)
				before, last := dump(e), e.LastChange()
				refused(t, c.write(t.Context(), e), c.field, c.value)
				same(t, before, dump(e), "refused")
				require.Equal(t, last, e.LastChange())
			})
		})
	}
}

func firstError(ctx context.Context, e *placement.Engine, g placement.RequestGroup) error {
	for _, err := range e.Candidates(ctx, placement.CandidateRequest{Groups: []placement.RequestGroup{g}}) {
		return err
	}
	return nil
}

// TestLongNames uses the longest names that are accepted, in characters.
func TestLongNames(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		long, custom := strings.Repeat("é", 255), "CUSTOM_"+strings.Repeat("Z", 248)
		host := newHost(t, e, 1, placement.UUID{}, 4)
		name := long[:2*200]
		_, err := e.UpdateProvider(t.Context(), host, placement.ProviderUpdate{Name: &name})
		require.NoError(t, err)
		_, err = e.CreateClass(t.Context(), custom)
		require.NoError(t, err)
		_, err = e.CreateTrait(t.Context(), custom)
		require.NoError(t, err)
		_, err = e.SetTraits(t.Context(), host, []string{custom}, placement.AnyGeneration)
		require.NoError(t, err)
		w := claimOf(id('c', 1), placement.NewConsumer, vcpus(host, 1))
		w.Consumers[0].Project, w.Consumers[0].User, w.Consumers[0].Type = long, long, strings.Repeat("T", 255)
		require.NoError(t, e.SetAllocations(t.Context(), w))
	})
}

// TestLastUnit lets many claims want the last unit of a host, and of a
// child's class in one write with another host's: exactly one wins.
func TestLastUnit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		host, other := newHost(t, e, 1, placement.UUID{}, 3), newHost(t, e, 2, placement.UUID{}, 1000)
		child := newHost(t, e, 3, host, 1)
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('f', 1), placement.NewConsumer, vcpus(host, 2))))
		for round, want := range [][]placement.Allocation{
			{vcpus(host, 1)},
			{vcpus(other, 1), vcpus(child, 1)},
		} {
			var won atomic.Int64
			together(contenders, func(k int) {
				err := e.SetAllocations(t.Context(), claimOf(id('c', round*contenders+k), placement.NewConsumer, want...))
				if err == nil {
					won.Add(1)
					return
				}
				assert.ErrorIs(t, err, placement.ErrCapacity)
			})
			require.EqualValues(t, 1, won.Load())
		}
		used, _, err := e.Usages(other)
		require.NoError(t, err)
		require.EqualValues(t, 1, used["VCPU"], "the losers took nothing elsewhere")
	})
}

// bounded fails when f takes longer than anybody would wait. Race detector
// and busy machines are allowed for.
func bounded(t *testing.T, what string, f func()) {
	t.Helper()
	start := time.Now()
	f()
	took := time.Since(start)
	t.Logf("%s: %v", what, took)
	require.Less(t, took, 20*time.Second, what)
}
