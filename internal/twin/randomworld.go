package twin

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Size bounds a random world.
type Size struct {
	Trees         int // hosts, each the root of a tree
	Depth         int // levels below a root
	Fanout        int // children of a provider at most
	Sharing       int // further roots that share
	NestedSharing int // members of trees that share
	Aggregates    int
	Consumers     int
	OverFull      int // inventories shrunk below their usage
}

// RandomSize draws the size of a world that brute force can still handle.
func RandomSize(rng *rand.Rand) Size {
	return Size{
		Trees: 1 + rng.IntN(4), Depth: rng.IntN(3), Fanout: 1 + rng.IntN(3),
		Sharing: rng.IntN(3), NestedSharing: rng.IntN(3) / 2,
		Aggregates: 1 + rng.IntN(4), Consumers: rng.IntN(6), OverFull: rng.IntN(2),
	}
}

// The names that random worlds use. The last class and trait of each list are
// custom ones, which RandomWorld creates.
var (
	classNames = []string{"VCPU", "MEMORY_MB", "DISK_GB", "VGPU", "CUSTOM_A"}
	traitNames = []string{"HW_CPU_X86_AVX2", "STORAGE_DISK_SSD", placement.SharingTrait, "CUSTOM_S", "CUSTOM_T"}
)

// ProviderID names provider n of random worlds. The order of UUIDs is not the
// order of n.
func ProviderID(n int) placement.UUID { return id(0xa0, n) }

// ConsumerID names consumer n.
func ConsumerID(n int) placement.UUID { return id(0xc0, n) }

// AggregateID names aggregate n.
func AggregateID(n int) placement.UUID { return id(0xe0, n) }

func id(kind byte, n int) placement.UUID {
	return placement.UUID{0: byte(n * 151), 1: kind, 14: byte(n >> 8), 15: byte(n)}
}

// maker makes a world and notes the writes that did so.
type maker struct {
	rng  *rand.Rand
	size Size
	w    *World
	ops  []Op
}

// RandomWorld makes a world and the writes that turn an empty one into it,
// each of which succeeds.
func RandomWorld(rng *rand.Rand, size Size) (*World, []Op) {
	m := &maker{rng: rng, size: size, w: New()}
	for _, name := range classNames {
		m.try(Op{Kind: OpCreateClass, Name: name})
	}
	for _, name := range traitNames {
		m.try(Op{Kind: OpCreateTrait, Name: name})
	}
	for range size.Trees {
		m.addTree(placement.UUID{}, size.Depth)
	}
	for range size.Sharing {
		m.addSharing(m.addProvider(placement.UUID{}))
	}
	for range size.NestedSharing {
		if p := m.pick(); !p.parent.IsZero() {
			m.addSharing(p.uuid)
		}
	}
	for n := range size.Consumers {
		if c := m.w.randomConsumer(rng, ConsumerID(n)); len(c.Allocations) > 0 {
			write := placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{c}}
			m.try(Op{Kind: OpSetAllocations, Write: write})
		}
	}
	for range size.OverFull {
		m.shrink()
	}
	return m.w, m.ops
}

// try keeps the write when it succeeds.
func (m *maker) try(op Op) {
	if m.w.Apply(op) == nil {
		m.ops = append(m.ops, op)
	}
}

func (m *maker) pick() *provider { return pickOne(m.rng, m.w.allProviders()) }

func (m *maker) addTree(parent placement.UUID, depth int) {
	u := m.addProvider(parent)
	if depth == 0 {
		return
	}
	for range m.rng.IntN(m.size.Fanout + 1) {
		m.addTree(u, depth-1)
	}
}

func (m *maker) addProvider(parent placement.UUID) placement.UUID {
	n := len(m.w.providers)
	u := ProviderID(n)
	m.try(Op{Kind: OpCreateProvider, Provider: placement.Provider{UUID: u, Name: fmt.Sprint("rp", n), Parent: parent}})
	inventories := randomInventories(m.rng)
	if parent.IsZero() {
		inventories["VCPU"] = randomInventory(m.rng)
	}
	m.try(Op{Kind: OpSetInventories, UUID: u, Generation: placement.AnyGeneration, Inventories: inventories})
	m.try(Op{Kind: OpSetTraits, UUID: u, Generation: placement.AnyGeneration, Traits: someTraits(m.rng)})
	if m.rng.IntN(2) == 0 {
		m.try(Op{
			Kind: OpSetAggregates, UUID: u, Generation: placement.AnyGeneration,
			Aggregates: someAggregates(m.rng, m.size.Aggregates),
		})
	}
	return u
}

// addSharing makes provider u share, mostly with aggregates that others have.
func (m *maker) addSharing(u placement.UUID) {
	p := m.w.providers[u]
	traits := append(sortedKeys(p.traits), placement.SharingTrait)
	m.try(Op{Kind: OpSetTraits, UUID: u, Generation: placement.AnyGeneration, Traits: traits})
	m.try(Op{
		Kind: OpSetAggregates, UUID: u, Generation: placement.AnyGeneration,
		Aggregates: append(someAggregates(m.rng, m.size.Aggregates), AggregateID(m.rng.IntN(m.size.Aggregates))),
	})
}

// shrink takes an inventory that is in use below its usage.
func (m *maker) shrink() {
	for _, p := range m.w.allProviders() {
		for _, class := range sortedKeys(p.inventories) {
			used := m.w.used(p.uuid, class)
			if used < 2 || m.rng.IntN(2) == 0 {
				continue
			}
			inventories := maps.Clone(p.inventories)
			inv := inventories[class]
			inv.Total, inv.Reserved, inv.AllocationRatio = 1+m.rng.Int64N(used-1), 0, 1
			inventories[class] = inv
			m.try(Op{Kind: OpSetInventories, UUID: p.uuid, Generation: placement.AnyGeneration, Inventories: inventories})
			return
		}
	}
}

func randomInventories(rng *rand.Rand) map[string]placement.Inventory {
	inventories := map[string]placement.Inventory{}
	for _, class := range classNames {
		if rng.IntN(5) < 2 {
			inventories[class] = randomInventory(rng)
		}
	}
	return inventories
}

func randomInventory(rng *rand.Rand) placement.Inventory {
	inv := placement.NewInventory(1 + rng.Int64N(12))
	if rng.IntN(3) == 0 {
		inv.Reserved = rng.Int64N(inv.Total + 1)
	}
	if rng.IntN(4) == 0 {
		inv.MinUnit = 1 + rng.Int64N(3)
	}
	if rng.IntN(4) == 0 {
		inv.MaxUnit = 1 + rng.Int64N(6)
	}
	if rng.IntN(4) == 0 {
		inv.StepSize = 1 + rng.Int64N(3)
	}
	inv.AllocationRatio = pickOne(rng, []float64{0, 0.7, 1, 1, 1, 1, 1.5, 16, 1e38})
	return inv
}

// randomConsumer asks for one to three allocations that fit one by one.
func (w *World) randomConsumer(rng *rand.Rand, u placement.UUID) placement.ConsumerAllocations {
	c := placement.ConsumerAllocations{
		Consumer: u, Generation: placement.AnyGeneration,
		Project: pickOne(rng, []string{"red", "blue"}), User: pickOne(rng, []string{"ann", "bob"}),
		Type: pickOne(rng, []string{"", "INSTANCE", "MIGRATION"}),
	}
	for range 1 + rng.IntN(3) {
		p := pickOne(rng, w.allProviders())
		r, ok := w.randomResource(rng, p)
		taken := slices.ContainsFunc(c.Allocations, func(a placement.Allocation) bool {
			return a.Provider == p.uuid && a.Class == r.Class
		})
		if ok && !taken {
			c.Allocations = append(c.Allocations, placement.Allocation{Provider: p.uuid, Class: r.Class, Amount: r.Amount})
		}
	}
	return c
}

// randomResource draws a class of p and an amount that fits. It gives up when
// it does not find one at once.
func (w *World) randomResource(rng *rand.Rand, p *provider) (placement.Resource, bool) {
	if len(p.inventories) == 0 {
		return placement.Resource{}, false
	}
	for range 6 {
		class := pickOne(rng, sortedKeys(p.inventories))
		inv := p.inventories[class]
		r := placement.Resource{Class: class, Amount: inv.StepSize * (1 + rng.Int64N(6)/inv.StepSize)}
		if w.hasRoom(p, r) {
			return r, true
		}
	}
	return placement.Resource{}, false
}

func someTraits(rng *rand.Rand) []string {
	var some []string
	for _, t := range traitNames {
		if t != placement.SharingTrait && rng.IntN(3) == 0 {
			some = append(some, t)
		}
	}
	return some
}

func someAggregates(rng *rand.Rand, of int) []placement.UUID {
	var some []placement.UUID
	for n := range of {
		if rng.IntN(3) == 0 {
			some = append(some, AggregateID(n))
		}
	}
	return some
}

func pickOne[T any](rng *rand.Rand, from []T) T { return from[rng.IntN(len(from))] }
