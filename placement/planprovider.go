package placement

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/kilonova-cloud/kilonova/store"
)

// maxProviderName is in characters.
//
// Source: placement, schemas/resource_provider.py.
const maxProviderName = 200

// createProvider plans a new provider with no inventories.
//
// Source: placement, objects/resource_provider.py, _create_in_db.
func (t *tx) createProvider(p Provider) error {
	if p.UUID.IsZero() {
		return badInput("uuid", p.UUID, "a UUID that is not all zero")
	}
	if err := t.lock(lockUUID, t.w.hashUUID(&p.UUID), true); err != nil {
		return err
	}
	if !p.Parent.IsZero() {
		if p.Parent == p.UUID {
			return badInput("parent_provider_uuid", p.Parent, "another provider")
		}
		parent, known := t.w.findProvider(p.Parent)
		if !known {
			return badInput("parent_provider_uuid", p.Parent, "an existing provider")
		}
		if err := t.keep(parent); err != nil {
			return err
		}
	}
	if err := t.claimName(p.Name); err != nil {
		return err
	}
	if _, taken := t.w.findProvider(p.UUID); taken {
		return fmt.Errorf("create provider %s: uuid: %w", p.UUID, ErrExists)
	}
	t.defs = append(t.defs, providerRecord{uuid: p.UUID, name: p.Name, parent: p.Parent, created: t.now})
	t.states = append(t.states, stateChange{i: none, uuid: p.UUID})
	return nil
}

// keep makes the tx rely on provider i: its definition is written again, so
// that a change of it elsewhere conflicts.
func (t *tx) keep(i uint32) error {
	p := t.w.provider(i)
	if err := t.lockTree(p.root, true); err != nil {
		return err
	}
	if !slices.Contains(t.parents, i) && !slices.ContainsFunc(t.defs, func(r providerRecord) bool { return r.uuid == p.uuid }) {
		t.parents = append(t.parents, i)
	}
	return nil
}

func validName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= maxProviderName && utf8.ValidString(name)
}

func (t *tx) claimName(name string) error {
	if !validName(name) {
		return badInput("name", name, "1 to 200 characters")
	}
	if err := t.lock(lockName, t.w.hashName(name), true); err != nil {
		return err
	}
	if _, taken := t.w.findName(name); taken {
		return fmt.Errorf("provider name %q: %w", name, ErrExists)
	}
	return nil
}

// edit takes provider uuid for a change of its definition: its tree is the
// tx's alone, and gen is what the caller read.
func (t *tx) edit(uuid UUID, gen Generation) (uint32, error) {
	i, known := t.w.findProvider(uuid)
	if !known {
		if err := t.lock(lockUUID, t.w.hashUUID(&uuid), true); err != nil {
			return 0, err // it is being created
		}
		return 0, fmt.Errorf("provider %s: %w", uuid, ErrNotFound)
	}
	p := t.w.provider(i)
	if err := t.lockTree(p.root, true); err != nil {
		return 0, err
	}
	if gen != AnyGeneration && Generation(p.generation) != gen {
		return 0, fmt.Errorf("provider %s has generation %d, expected is %d: %w", uuid, p.generation, gen, ErrConcurrentUpdate)
	}
	return i, nil
}

// updateProvider plans a new name or place.
//
// Source: placement, objects/resource_provider.py, _update_in_db.
func (t *tx) updateProvider(uuid UUID, u ProviderUpdate) error {
	i, err := t.edit(uuid, AnyGeneration)
	if err != nil {
		return err
	}
	def := t.w.definition(i)
	if u.Parent != nil && *u.Parent != def.parent {
		if err := t.moveUnder(i, &def, u); err != nil {
			return err
		}
	}
	if u.Name != nil && *u.Name != def.name {
		if err := t.claimName(*u.Name); err != nil {
			return err
		}
		def.name = *u.Name
	}
	t.parents = slices.DeleteFunc(t.parents, func(kept uint32) bool { return kept == i })
	t.defs = append(t.defs, def)
	t.touch(i, 0)
	return nil
}

func (t *tx) moveUnder(i uint32, def *providerRecord, u ProviderUpdate) error {
	if !def.parent.IsZero() && !u.AllowReparenting {
		return badInput("parent_provider_uuid", *u.Parent, "the present parent: re-parenting is not allowed")
	}
	def.parent = *u.Parent
	if def.parent.IsZero() {
		return nil
	}
	parent, known := t.w.findProvider(def.parent)
	if !known {
		return badInput("parent_provider_uuid", def.parent, "an existing provider")
	}
	for a := parent; a != none; a = t.w.provider(a).parent {
		if a == i {
			return badInput("parent_provider_uuid", def.parent, "a provider that is not in the subtree of the provider itself (no loops)")
		}
	}
	// With both roots, two moves in different engines that would close a loop
	// together have a record in common.
	for _, k := range [...]uint32{parent, t.w.provider(parent).root, t.w.provider(i).root} {
		if err := t.keep(k); err != nil {
			return err
		}
	}
	return nil
}

// deleteProvider plans the removal of a provider that nothing refers to.
//
// Source: placement, objects/resource_provider.py, _delete.
func (t *tx) deleteProvider(uuid UUID) error {
	i, err := t.edit(uuid, AnyGeneration)
	if err != nil {
		return err
	}
	p := t.w.provider(i)
	if p.child != none {
		return fmt.Errorf("delete provider %s: %w", uuid, ErrHasChildren)
	}
	if p.holders.len() > 0 {
		return fmt.Errorf("delete provider %s: %d consumers have allocations: %w", uuid, p.holders.len(), ErrInUse)
	}
	if err := t.lock(lockName, t.w.hashName(p.name), true); err != nil {
		return err
	}
	for _, key := range t.w.guardsOf[p.root] {
		if t.w.guards[key].bound != uuid {
			continue
		}
		if err := t.lock(lockKeyed, t.w.hashKey(kindGuard, key), true); err != nil {
			return err
		}
		t.guards = append(t.guards, guardChange{key: key, remove: true})
	}
	t.dropped = append(t.dropped, i)
	return nil
}

// setInventories plans the replacement of all inventories. Usage may exceed
// the new capacity, but a class in use cannot go.
//
// Source: placement, objects/resource_provider.py, _set_inventory.
func (t *tx) setInventories(uuid UUID, invs map[string]Inventory, gen Generation) error {
	i, err := t.edit(uuid, gen)
	if err != nil {
		return err
	}
	def := t.w.definition(i)
	if def.inv, err = t.inventories(invs); err != nil {
		return err
	}
	t.defs = append(t.defs, def)
	t.touch(i, 1)
	return t.checkRemoved(i, &def)
}

func (t *tx) inventories(invs map[string]Inventory) ([]classInventory, error) {
	if err := t.lock(lockSymbols, 0, false); err != nil {
		return nil, err
	}
	list := make([]classInventory, 0, len(invs))
	for name, inv := range invs {
		class, known := t.w.classes.ids[name]
		if !known {
			return nil, badInput("resource_class", name, "an existing resource class")
		}
		if err := inv.Validate(); err != nil {
			return nil, fmt.Errorf("inventory of %s: %w", name, err)
		}
		list = append(list, classInventory{class, inv})
	}
	slices.SortFunc(list, compareClasses)
	return list, nil
}

func compareClasses(a, b classInventory) int { return int(a.class) - int(b.class) }

// checkRemoved refuses to leave allocations without their inventory.
func (t *tx) checkRemoved(i uint32, def *providerRecord) error {
	for _, row := range t.w.provider(i).inv {
		if slices.ContainsFunc(def.inv, func(ci classInventory) bool { return ci.class == row.class }) {
			continue
		}
		left := row.used
		for _, s := range t.sums {
			if s.provider == i && s.class == row.class {
				left += s.asked - s.freed
			}
		}
		if left > 0 {
			return fmt.Errorf("inventory of %s on provider %s: %d allocated: %w", t.w.classes.names[row.class], def.uuid, left, ErrInUse)
		}
	}
	return nil
}

// setTraits plans the replacement of all traits; the same ones again change
// nothing, not even the generation.
//
// Source: placement, objects/resource_provider.py, _set_traits.
func (t *tx) setTraits(uuid UUID, names []string, gen Generation) error {
	i, err := t.edit(uuid, gen)
	if err != nil {
		return err
	}
	if err := t.lock(lockSymbols, 0, false); err != nil {
		return err
	}
	def := t.w.definition(i)
	old := def.traits
	def.traits = make([]uint32, 0, len(names))
	for _, name := range names {
		id, known := t.w.traits.ids[name]
		if !known {
			return badInput("traits", name, "an existing trait")
		}
		def.traits = append(def.traits, id)
	}
	slices.Sort(def.traits)
	def.traits = slices.Compact(def.traits)
	if slices.Equal(def.traits, old) {
		return nil
	}
	t.defs = append(t.defs, def)
	t.touch(i, 1)
	return nil
}

// setAggregates plans the replacement of all aggregates.
//
// Source: placement, objects/resource_provider.py, _set_aggregates (1.19).
func (t *tx) setAggregates(uuid UUID, aggs []UUID, gen Generation) error {
	i, err := t.edit(uuid, gen)
	if err != nil {
		return err
	}
	def := t.w.definition(i)
	def.aggs = slices.Clone(aggs)
	slices.SortFunc(def.aggs, compareUUIDs)
	def.aggs = slices.Compact(def.aggs)
	t.defs = append(t.defs, def)
	t.touch(i, 1)
	return nil
}

// createSymbol plans a custom class or trait.
func (t *tx) createSymbol(trait bool, name string) error {
	field, table := "resource_class", &t.w.classes
	if trait {
		field, table = "trait", &t.w.traits
	}
	if err := checkCustomName(field, name); err != nil {
		return err
	}
	if _, known := table.ids[name]; known {
		return nil
	}
	if err := t.lock(lockSymbols, 0, true); err != nil {
		return err
	}
	t.symbols = append(t.symbols, symbolChange{trait: trait, name: name})
	return nil
}

// deleteSymbol plans the removal of a custom class or trait that no provider
// has.
//
// Source: placement, objects/resource_class.py and objects/trait.py, destroy.
func (t *tx) deleteSymbol(trait bool, name string) error {
	field, table := "resource_class", &t.w.classes
	if trait {
		field, table = "trait", &t.w.traits
	}
	if err := t.lock(lockSymbols, 0, true); err != nil {
		return err
	}
	id, known := table.ids[name]
	if !known {
		return fmt.Errorf("%s %q: %w", field, name, ErrNotFound)
	}
	if id < table.standard {
		return badInput(field, name, "a custom one: standard ones cannot be deleted")
	}
	users := 0
	if trait {
		if b := t.w.traitBits(id); b != nil {
			users = b.n
		}
	} else if f := t.w.roomOf(id); f != nil {
		users = f.any.n
	}
	if users > 0 {
		return fmt.Errorf("%s %q: %d providers have it: %w", field, name, users, ErrInUse)
	}
	t.symbols = append(t.symbols, symbolChange{trait: trait, name: name, remove: true})
	return nil
}

// reshape plans new inventories and allocations as one change: first the
// union of old and new inventories, then the allocations, then the new
// inventories alone. Generations move as often as Placement moves them.
//
// Source: placement, objects/reshaper.py, reshape.
func (t *tx) reshape(invs []InventoryWrite, wr *AllocationWrite) error {
	moved := make([]uint32, len(invs))
	for k := range invs {
		i, err := t.edit(invs[k].Provider, invs[k].Generation)
		if err != nil {
			return err
		}
		if slices.Contains(moved[:k], i) {
			return badInput("inventories", invs[k].Provider, "each provider once in a reshape")
		}
		def := t.w.definition(i)
		if def.inv, err = t.inventories(invs[k].Inventories); err != nil {
			return fmt.Errorf("reshape provider %s: %w", invs[k].Provider, err)
		}
		t.defs = append(t.defs, def)
		moved[k] = i
	}
	if err := t.setAllocations(wr); err != nil {
		return err
	}
	for k, i := range moved {
		if err := t.checkRemoved(i, &t.defs[k]); err != nil {
			return err
		}
		t.touch(i, 1)
		if len(invs[k].Inventories) > 0 {
			t.touch(i, 1)
		}
	}
	return nil
}

// kindOf tells a symbol's record kind.
func (s symbolChange) kindOf() store.Kind {
	if s.trait {
		return kindTrait
	}
	return kindClass
}
