package twin

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// writer makes one write for the present state of a world.
type writer struct {
	rng *rand.Rand
	w   *World
}

// RandomOp makes a write that mostly is valid in w, and otherwise has one
// fault: an unknown name, a stale generation, a value out of range, an amount
// that does not fit, something in use, a name that is taken.
func RandomOp(rng *rand.Rand, w *World) Op {
	o := &writer{rng: rng, w: w}
	if len(w.providers) == 0 {
		return o.createProvider()
	}
	switch n := rng.IntN(100); {
	case n < 10:
		return o.createProvider()
	case n < 18:
		return o.updateProvider()
	case n < 22:
		return Op{Kind: OpDeleteProvider, UUID: o.aProvider()}
	case n < 36:
		return o.setInventories()
	case n < 44:
		return o.setTraits()
	case n < 52:
		return o.setAggregates()
	case n < 56:
		return o.changeName()
	case n < 84:
		return o.spoil(Op{Kind: OpSetAllocations, Write: placement.AllocationWrite{Consumers: o.consumers()}})
	case n < 90:
		return Op{Kind: OpDeleteAllocations, UUID: o.aConsumer()}
	}
	return o.reshape()
}

func (o *writer) one(in int) bool { return o.rng.IntN(in) == 0 }

// aProvider is an unknown one now and then.
func (o *writer) aProvider() placement.UUID {
	if o.one(15) {
		return ProviderID(500 + o.rng.IntN(3))
	}
	return pickOne(o.rng, o.w.allProviders()).uuid
}

func (o *writer) aConsumer() placement.UUID { return ConsumerID(o.rng.IntN(8)) }

// generationOf is the present one, none, or rarely a wrong one.
func (o *writer) generationOf(u placement.UUID) placement.Generation {
	p := o.w.providers[u]
	switch {
	case p == nil || o.one(4):
		return placement.AnyGeneration
	case o.one(12):
		return placement.Generation(p.generation + 1)
	}
	return placement.Generation(p.generation)
}

func (o *writer) createProvider() Op {
	n := o.rng.IntN(16)
	p := placement.Provider{UUID: ProviderID(n), Name: fmt.Sprint("rp", n)}
	if len(o.w.providers) > 0 && !o.one(3) {
		p.Parent = o.aProvider()
	}
	switch {
	case o.one(12):
		p.Name = fmt.Sprint("rp", o.rng.IntN(16))
	case o.one(40):
		p.Name = ""
	case o.one(40):
		p.UUID = placement.UUID{}
	}
	return Op{Kind: OpCreateProvider, Provider: p}
}

func (o *writer) updateProvider() Op {
	op := Op{Kind: OpUpdateProvider, UUID: o.aProvider()}
	if o.one(2) {
		name := fmt.Sprint("rp", o.rng.IntN(24))
		op.Update.Name = &name
		return op
	}
	var parent placement.UUID
	if !o.one(3) {
		parent = o.aProvider()
	}
	op.Update.Parent = &parent
	op.Update.AllowReparenting = o.one(2)
	return op
}

func (o *writer) setInventories() Op {
	op := Op{Kind: OpSetInventories, UUID: o.aProvider()}
	op.Generation = o.generationOf(op.UUID)
	op.Inventories = o.newInventories(op.UUID)
	if op.Generation == placement.AnyGeneration && len(op.Inventories) > 0 && o.one(6) {
		o.spoilInventory(op.Inventories)
	}
	return op
}

// newInventories are the present ones with a change, or all new.
func (o *writer) newInventories(u placement.UUID) map[string]placement.Inventory {
	p := o.w.providers[u]
	if p == nil || o.one(4) {
		return randomInventories(o.rng)
	}
	inventories := maps.Clone(p.inventories)
	class := pickOne(o.rng, classNames)
	if !o.w.classes[class] {
		return inventories
	}
	if o.one(4) {
		delete(inventories, class)
	} else {
		inventories[class] = randomInventory(o.rng)
	}
	return inventories
}

func (o *writer) spoilInventory(inventories map[string]placement.Inventory) {
	class := pickOne(o.rng, sortedKeys(inventories))
	inv := inventories[class]
	switch o.rng.IntN(6) {
	case 0:
		inv.Total = 0
	case 1:
		inv.Reserved = inv.Total + 1
		inv.AllocationRatio = 1
	case 2:
		inv.MinUnit = -1
	case 3:
		inv.StepSize = placement.MaxInt + 1
	case 4:
		inv.MaxUnit = 0
	case 5:
		class = "CUSTOM_NONE"
	}
	inventories[class] = inv
}

func (o *writer) setTraits() Op {
	op := Op{Kind: OpSetTraits, UUID: o.aProvider()}
	op.Generation = o.generationOf(op.UUID)
	if p := o.w.providers[op.UUID]; p != nil && o.one(4) {
		op.Traits = sortedKeys(p.traits)
		return op
	}
	op.Traits = slices.DeleteFunc(someTraits(o.rng), func(t string) bool { return !o.w.traits[t] })
	if o.one(4) {
		op.Traits = append(op.Traits, placement.SharingTrait)
	}
	if op.Generation == placement.AnyGeneration && o.one(6) {
		op.Traits = append(op.Traits, "CUSTOM_NONE")
	}
	return op
}

func (o *writer) setAggregates() Op {
	op := Op{Kind: OpSetAggregates, UUID: o.aProvider()}
	op.Generation = o.generationOf(op.UUID)
	op.Aggregates = someAggregates(o.rng, 4)
	return op
}

func (o *writer) changeName() Op {
	class := pickOne(o.rng, []string{"CUSTOM_A", "CUSTOM_B", "VCPU", "custom_a", "CUSTOM_", "NOT_THERE"})
	trait := pickOne(o.rng, []string{"CUSTOM_T", "CUSTOM_U", "HW_CPU_X86_AVX2", "CUSTOM-T", "NOT_THERE"})
	return pickOne(o.rng, []Op{
		{Kind: OpCreateClass, Name: class},
		{Kind: OpDeleteClass, Name: class},
		{Kind: OpCreateTrait, Name: trait},
		{Kind: OpDeleteTrait, Name: trait},
	})
}

// consumers is what one to three consumers get: new allocations, none, or
// what they have.
func (o *writer) consumers() []placement.ConsumerAllocations {
	byID := map[placement.UUID]placement.ConsumerAllocations{}
	for range 1 + o.rng.IntN(3) {
		u := o.aConsumer()
		byID[u] = o.consumer(u)
	}
	var all []placement.ConsumerAllocations
	for _, u := range slices.SortedFunc(maps.Keys(byID), compareUUIDs) {
		all = append(all, byID[u])
	}
	return all
}

func (o *writer) consumer(u placement.UUID) placement.ConsumerAllocations {
	c := o.w.randomConsumer(o.rng, u)
	present := o.w.consumers[u]
	switch {
	case o.one(3):
	case present == nil:
		c.Generation = placement.NewConsumer
	default:
		c.Generation = placement.Generation(present.generation)
	}
	switch {
	case o.one(5):
		c.Allocations = nil
	case present != nil && o.one(4): // the same again, or a little less
		c.Allocations = slices.Clone(present.allocations)
		if n := len(c.Allocations); n > 1 && o.one(2) {
			c.Allocations = c.Allocations[1:]
		}
	}
	return c
}

func (o *writer) spoilConsumer(c *placement.ConsumerAllocations) {
	p := pickOne(o.rng, o.w.allProviders()).uuid
	a := placement.Allocation{Provider: p, Class: "VCPU", Amount: 1}
	switch o.rng.IntN(8) {
	case 0:
		c.Generation = 77
	case 1:
		a.Provider = ProviderID(500)
		c.Allocations = append(c.Allocations, a)
	case 2:
		a.Class = "CUSTOM_NONE"
		c.Allocations = append(c.Allocations, a)
	case 3:
		a.Class = "PCPU" // known, but in no inventory
		c.Allocations = append(c.Allocations, a)
	case 4:
		a.Amount = 0
		c.Allocations = []placement.Allocation{a}
	case 5:
		c.Project, c.Allocations = "", []placement.Allocation{a}
	case 6:
		c.Allocations = append(c.Allocations, c.Allocations[:min(1, len(c.Allocations))]...)
	case 7:
		a.Amount = 1000
		c.Allocations = []placement.Allocation{a}
	}
}

// reshape moves a class from one provider to another, with whatever consumers
// hold of it, or changes inventories and allocations at random.
func (o *writer) reshape() Op {
	from, to := pickOne(o.rng, o.w.allProviders()), pickOne(o.rng, o.w.allProviders())
	op := Op{Kind: OpReshape}
	if len(from.inventories) > 0 && from != to && !o.one(3) {
		o.move(&op, from, to, pickOne(o.rng, sortedKeys(from.inventories)))
	} else {
		op.Reshape = append(op.Reshape, placement.InventoryWrite{
			Provider: from.uuid, Generation: o.generationOf(from.uuid), Inventories: o.newInventories(from.uuid),
		})
		op.Write.Consumers = o.consumers()
	}
	return o.spoil(op)
}

// spoil adds a fault to a write of allocations now and then, if it has none.
func (o *writer) spoil(op Op) Op {
	if !o.one(5) || o.w.Clone().Apply(op) != nil {
		return op
	}
	switch n := len(op.Write.Consumers); {
	case len(op.Reshape) > 0 && o.one(3):
		op.Reshape[0].Provider, op.Reshape[0].Generation = ProviderID(500), placement.AnyGeneration
	case n > 0:
		o.spoilConsumer(&op.Write.Consumers[o.rng.IntN(n)])
	}
	return op
}

func (o *writer) move(op *Op, from, to *provider, class string) {
	less := maps.Clone(from.inventories)
	more := maps.Clone(to.inventories)
	more[class] = less[class]
	delete(less, class)
	op.Reshape = []placement.InventoryWrite{
		{Provider: from.uuid, Generation: o.generationOf(from.uuid), Inventories: less},
		{Provider: to.uuid, Generation: o.generationOf(to.uuid), Inventories: more},
	}
	for _, k := range o.w.Consumers() {
		c := placement.ConsumerAllocations{
			Consumer: k.UUID, Project: k.Project, User: k.User, Type: k.Type,
			Generation: placement.Generation(k.Generation), Allocations: o.w.moved(k.UUID, from.uuid, to.uuid, class),
		}
		if len(c.Allocations) > 0 && !o.one(10) {
			op.Write.Consumers = append(op.Write.Consumers, c)
		}
	}
}

// moved returns the allocations of consumer u with those of class on provider
// from taken to provider to, or nil when it has none there.
func (w *World) moved(u, from, to placement.UUID, class string) []placement.Allocation {
	var allocations []placement.Allocation
	moves := false
	for _, a := range w.consumers[u].allocations {
		if a.Provider == to && a.Class == class {
			return nil // it would hold the class there twice
		}
		if a.Provider == from && a.Class == class {
			a.Provider, moves = to, true
		}
		allocations = append(allocations, a)
	}
	if !moves {
		return nil
	}
	return allocations
}
