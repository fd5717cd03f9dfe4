package placement

import (
	"context"
	"fmt"
	"slices"
)

// AddInventory gives provider uuid an inventory of a class that it has none
// of, and returns the provider. Errors: [ErrNotFound], [ErrExists],
// [*InputError].
//
// Source: placement, objects/resource_provider.py, _add_inventory.
func (e *Engine) AddInventory(ctx context.Context, uuid UUID, class string, inv Inventory) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error {
		return t.editInventory(uuid, class, AnyGeneration, func(list []classInventory, at int, has bool) ([]classInventory, error) {
			if has {
				return nil, fmt.Errorf("inventory of %s on provider %s: %w", class, uuid, ErrExists)
			}
			list[at].inv = inv
			return list, inv.Validate()
		})
	})
}

// UpdateInventory replaces the inventory of one class that provider uuid has,
// and returns the provider. Usage may exceed the new capacity. Errors:
// [ErrNotFound] for the provider and for the inventory,
// [ErrConcurrentUpdate], [*InputError].
//
// Source: placement, objects/resource_provider.py, _update_inventory.
func (e *Engine) UpdateInventory(ctx context.Context, uuid UUID, class string, inv Inventory, gen Generation) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error {
		return t.editInventory(uuid, class, gen, func(list []classInventory, at int, has bool) ([]classInventory, error) {
			if !has {
				return nil, fmt.Errorf("inventory of %s on provider %s: %w", class, uuid, ErrNotFound)
			}
			list[at].inv = inv
			return list, inv.Validate()
		})
	})
}

// DeleteInventory takes the inventory of one class away from provider uuid,
// and returns the provider. Errors: [ErrNotFound] for the provider and for
// the inventory, [ErrInUse], [*InputError].
//
// Source: placement, objects/resource_provider.py, _delete_inventory.
func (e *Engine) DeleteInventory(ctx context.Context, uuid UUID, class string) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error {
		return t.editInventory(uuid, class, AnyGeneration, func(list []classInventory, at int, has bool) ([]classInventory, error) {
			if !has {
				return nil, fmt.Errorf("inventory of %s on provider %s: %w", class, uuid, ErrNotFound)
			}
			return slices.Delete(list, at, at+1), nil
		})
	})
}

// editInventory plans a change of one inventory. The function gets the
// inventories, with a free place at position at unless the provider has the
// class already, and returns what is to be.
func (t *tx) editInventory(uuid UUID, class string, gen Generation, edit func(list []classInventory, at int, has bool) ([]classInventory, error)) error {
	i, err := t.edit(uuid, gen)
	if err != nil {
		return err
	}
	if err := t.lock(lockSymbols, 0, false); err != nil {
		return err
	}
	id, known := t.w.classes.ids[class]
	if !known {
		return badInput("resource_class", class, "an existing resource class")
	}
	def := t.w.definition(i)
	at, has := slices.BinarySearchFunc(def.inv, classInventory{class: id}, compareClasses)
	list := def.inv
	if !has {
		list = slices.Insert(list, at, classInventory{class: id})
	}
	if def.inv, err = edit(list, at, has); err != nil {
		return err
	}
	t.defs = append(t.defs, def)
	t.touch(i, 1)
	return t.checkRemoved(i, &def)
}

// ReplaceAggregates replaces all aggregates of provider uuid and leaves its
// generation alone, as Placement does below microversion 1.19, and returns
// the provider. Errors: [ErrNotFound].
func (e *Engine) ReplaceAggregates(ctx context.Context, uuid UUID, aggs []UUID) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error {
		if err := t.setAggregates(uuid, aggs, AnyGeneration); err != nil {
			return err
		}
		t.touch(t.states[len(t.states)-1].i, -1)
		return nil
	})
}

// RenameClass gives a custom resource class another name. Only a class that
// no inventory uses can be renamed. Errors: [ErrNotFound], [ErrExists],
// [ErrInUse], [*InputError].
func (e *Engine) RenameClass(ctx context.Context, name, to string) error {
	if name == to {
		return nil
	}
	return e.write(ctx, func(t *tx) error {
		if err := t.deleteSymbol(false, name); err != nil {
			return err
		}
		if _, taken := t.w.classes.ids[to]; taken {
			return fmt.Errorf("resource class %q: %w", to, ErrExists)
		}
		return t.createSymbol(false, to)
	})
}

// Holding is an allocation of a consumer, and the generation of its provider.
type Holding struct {
	Allocation
	Generation int64
}

// Holdings returns a consumer and what it holds with the generations of the
// providers at the same moment, ordered by provider; or [ErrNotFound].
func (e *Engine) Holdings(uuid UUID) (Consumer, []Holding, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	i, known := w.findConsumer(uuid)
	if !known {
		return Consumer{}, nil, fmt.Errorf("consumer %s: %w", uuid, ErrNotFound)
	}
	rows := w.consumers.at(i).allocs
	list := make([]Holding, len(rows))
	for k, a := range rows {
		p := w.provider(a.provider)
		list[k] = Holding{Allocation{p.uuid, w.classes.names[a.class], a.amount}, p.generation}
	}
	return w.viewConsumer(i), list, nil
}

// HasClass reports whether a resource class is known.
func (e *Engine) HasClass(name string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, known := e.world.classes.ids[name]
	return known
}

// HasTrait reports whether a trait is known.
func (e *Engine) HasTrait(name string) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, known := e.world.traits.ids[name]
	return known
}

// UsedTraits returns the traits that at least one provider has, in the order
// of their numbers.
func (e *Engine) UsedTraits() []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	var names []string
	for id, b := range e.world.traited {
		if b != nil && b.n > 0 {
			names = append(names, e.world.traits.names[id])
		}
	}
	return names
}
