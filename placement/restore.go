package placement

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"
)

// RestoreProvider makes a provider exactly what r says, generation and times
// included, whether it exists or not: to move a world from one place to
// another. Its parent, classes and traits must be there. Usage may exceed the
// capacity. A zero time of creation is the time of the last change, and a
// zero one of that the present. Errors: [ErrExists] when another provider has
// the name, [ErrInUse] when a class that goes has allocations, [*InputError].
//
// What is restored is right only while nobody else writes to its tree. On a
// store that engines share, a generation does not go back once one of them has
// written alone.
func (e *Engine) RestoreProvider(ctx context.Context, r ProviderRecord) error {
	return e.write(ctx, func(t *tx) error { return t.restoreProvider(&r) })
}

// RestoreConsumer makes a consumer and what it holds exactly what r says,
// generation and times included. Its providers must have the inventories, but
// need not have the room; they stay as they are. Errors: [*CapacityError] with
// [RuleNoInventory], [*InputError].
func (e *Engine) RestoreConsumer(ctx context.Context, r ConsumerRecord) error {
	return e.write(ctx, func(t *tx) error { return t.restoreConsumer(&r) })
}

// times are what to note for a record that was made and changed then.
func (t *tx) times(created, updated time.Time) (made, changed int64) {
	changed = t.now
	if !updated.IsZero() {
		changed = updated.UnixNano()
	}
	if made = changed; !created.IsZero() {
		made = created.UnixNano()
	}
	return made, changed
}

func (t *tx) restoreProvider(r *ProviderRecord) error {
	if r.Generation < 0 {
		return badInput("generation", r.Generation, "0 or more")
	}
	made, changed := t.times(r.CreatedAt, r.UpdatedAt)
	i, known := t.w.findProvider(r.UUID)
	if !known {
		if err := t.createProvider(r.Provider); err != nil {
			return err
		}
		def := &t.defs[len(t.defs)-1]
		t.states[len(t.states)-1] = stateChange{i: none, uuid: r.UUID, bump: r.Generation, time: changed}
		def.created = made
		return t.belongings(def, r)
	}
	if _, err := t.edit(r.UUID, AnyGeneration); err != nil {
		return err
	}
	def := t.w.definition(i)
	if r.Name != def.name {
		if err := t.claimName(r.Name); err != nil {
			return err
		}
		def.name = r.Name
	}
	if r.Parent != def.parent {
		if err := t.moveUnder(i, &def, ProviderUpdate{Parent: &r.Parent, AllowReparenting: true}); err != nil {
			return err
		}
		t.parents = slices.DeleteFunc(t.parents, func(kept uint32) bool { return kept == i })
	}
	def.created = made
	if err := t.belongings(&def, r); err != nil {
		return err
	}
	t.defs = append(t.defs, def)
	bump := r.Generation - t.w.provider(i).generation
	if t.w.stamped { // the greatest generation is the newest
		bump = max(bump, 0)
	}
	t.states = append(t.states, stateChange{i: i, bump: bump, time: changed})
	return t.checkRemoved(i, &def)
}

// belongings sets the inventories, traits and aggregates of def.
func (t *tx) belongings(def *providerRecord, r *ProviderRecord) (err error) {
	inv := make(map[string]Inventory, len(r.Inventories))
	for _, i := range r.Inventories {
		inv[i.Class] = i.Inventory
	}
	if def.inv, err = t.inventories(inv); err != nil {
		return err
	}
	if def.traits, err = t.w.traitIDs(nil, "traits", r.Traits); err != nil {
		return err
	}
	slices.Sort(def.traits)
	def.traits = slices.Compact(def.traits)
	def.aggs = slices.Clone(r.Aggregates)
	slices.SortFunc(def.aggs, compareUUIDs)
	def.aggs = slices.Compact(def.aggs)
	return nil
}

func (t *tx) restoreConsumer(r *ConsumerRecord) error {
	if r.Generation < 1 || r.Generation > math.MaxUint32 {
		return badInput("consumer_generation", r.Generation, "1 to 4294967295")
	}
	if len(r.Allocations) == 0 {
		return badInput("allocations", 0, "at least one allocation")
	}
	ca := ConsumerAllocations{Consumer: r.UUID, Project: r.Project, User: r.User, Type: r.Type, Generation: AnyGeneration, Allocations: r.Allocations}
	old, err := t.consumer(&ca)
	if err != nil {
		return err
	}
	if err := checkConsumer(&ca); err != nil {
		return err
	}
	rec := consumerRecord{uuid: r.UUID, project: r.Project, user: r.User, kind: r.Type, generation: uint32(r.Generation)}
	rec.created, rec.updated = t.times(r.CreatedAt, r.UpdatedAt)
	for k := range r.Allocations {
		row, err := t.restoredRow(&r.Allocations[k])
		if err != nil {
			return fmt.Errorf("consumer %s: %w", r.UUID, err)
		}
		rec.allocs = append(rec.allocs, row)
	}
	slices.SortFunc(rec.allocs, compareRows)
	if len(slices.CompactFunc(slices.Clone(rec.allocs), func(a, b allocRow) bool { return compareRows(a, b) == 0 })) != len(rec.allocs) {
		return badInput("allocations", r.UUID, "each provider and class once for a consumer")
	}
	if old != nil {
		rec.before = old.version
		if err := t.free(old, 0); err != nil {
			return err
		}
	}
	for k := range t.states { // the providers' own times stay
		t.states[k].time = t.w.provider(t.states[k].i).updated
	}
	t.consumers = append(t.consumers, rec)
	return t.carry(&AllocationWrite{})
}

// restoredRow is allocRow without the rules of units.
func (t *tx) restoredRow(a *Allocation) (allocRow, error) {
	i, known := t.find(a.Provider)
	if !known {
		return allocRow{}, badInput("resource_provider", a.Provider, "an existing provider")
	}
	class, known := t.w.classes.ids[a.Class]
	if !known {
		return allocRow{}, badInput("resource_class", a.Class, "an existing resource class")
	}
	if a.Amount < 1 || a.Amount > MaxInt {
		return allocRow{}, badInput("used", a.Amount, "1 to 2147483647")
	}
	if err := t.lockTree(t.w.provider(i).root, false); err != nil {
		return allocRow{}, err
	}
	if t.w.provider(i).row(class) == nil {
		return allocRow{}, &CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount, Sum: a.Amount, Rule: RuleNoInventory}
	}
	t.advanceOnce(i, 0)
	s := t.sum(i, class)
	s.asked = addSat(s.asked, a.Amount)
	return allocRow{i, class, a.Amount}, nil
}
