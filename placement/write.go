package placement

import (
	"context"
)

// CreateProvider adds a provider with p's UUID, Name and Parent, at
// generation 0 and with nothing to allocate, and returns it. Errors:
// [ErrExists], [*InputError].
func (e *Engine) CreateProvider(ctx context.Context, p Provider) (Provider, error) {
	if err := e.write(ctx, func(t *tx) error { return t.createProvider(p) }); err != nil {
		return Provider{}, err
	}
	return e.Provider(p.UUID)
}

// UpdateProvider renames or moves provider uuid and returns it as it is then.
// Errors: [ErrNotFound], [ErrExists], [*InputError].
func (e *Engine) UpdateProvider(ctx context.Context, uuid UUID, u ProviderUpdate) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error { return t.updateProvider(uuid, u) })
}

// DeleteProvider removes provider uuid with its inventories, traits and
// aggregates. Errors: [ErrNotFound], [ErrHasChildren], [ErrInUse].
func (e *Engine) DeleteProvider(ctx context.Context, uuid UUID) error {
	return e.write(ctx, func(t *tx) error { return t.deleteProvider(uuid) })
}

// SetInventories replaces all inventories of provider uuid, by resource
// class, and returns the provider. Usage may exceed the new capacity. Errors:
// [ErrNotFound], [ErrConcurrentUpdate], [ErrInUse] when a class that goes has
// allocations, [*InputError].
func (e *Engine) SetInventories(ctx context.Context, uuid UUID, inv map[string]Inventory, gen Generation) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error { return t.setInventories(uuid, inv, gen) })
}

// SetTraits replaces all traits of provider uuid and returns the provider.
// The same traits again do not advance the generation. Errors: [ErrNotFound],
// [ErrConcurrentUpdate], [*InputError].
func (e *Engine) SetTraits(ctx context.Context, uuid UUID, traits []string, gen Generation) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error { return t.setTraits(uuid, traits, gen) })
}

// SetAggregates replaces all aggregates of provider uuid and returns the
// provider. Errors: [ErrNotFound], [ErrConcurrentUpdate].
func (e *Engine) SetAggregates(ctx context.Context, uuid UUID, aggs []UUID, gen Generation) (Provider, error) {
	return e.change(ctx, uuid, func(t *tx) error { return t.setAggregates(uuid, aggs, gen) })
}

// CreateClass makes a custom resource class known and reports whether it was
// new. Errors: [*InputError].
func (e *Engine) CreateClass(ctx context.Context, name string) (created bool, err error) {
	err = e.write(ctx, func(t *tx) error {
		err := t.createSymbol(false, name)
		created = len(t.symbols) > 0
		return err
	})
	return created && err == nil, err
}

// DeleteClass forgets a custom resource class that no inventory uses. Errors:
// [ErrNotFound], [ErrInUse], [*InputError].
func (e *Engine) DeleteClass(ctx context.Context, name string) error {
	return e.write(ctx, func(t *tx) error { return t.deleteSymbol(false, name) })
}

// CreateTrait makes a custom trait known and reports whether it was new.
// Errors: [*InputError].
func (e *Engine) CreateTrait(ctx context.Context, name string) (created bool, err error) {
	err = e.write(ctx, func(t *tx) error {
		err := t.createSymbol(true, name)
		created = len(t.symbols) > 0
		return err
	})
	return created && err == nil, err
}

// DeleteTrait forgets a custom trait that no provider has. Errors:
// [ErrNotFound], [ErrInUse], [*InputError].
func (e *Engine) DeleteTrait(ctx context.Context, name string) error {
	return e.write(ctx, func(t *tx) error { return t.deleteSymbol(true, name) })
}

// SetAllocations replaces what the consumers of wr hold, checks its guards,
// advances those that it does not keep, and stores its attachments: all of it or nothing. Errors:
// [*CapacityError], [ErrConcurrentUpdate], [*InputError].
func (e *Engine) SetAllocations(ctx context.Context, wr AllocationWrite) error {
	return e.write(ctx, func(t *tx) error { return t.setAllocations(&wr) })
}

// DeleteAllocations removes a consumer with all that it holds. Providers keep
// their generations, as in Placement. Errors: [ErrNotFound].
//
// Source: placement, objects/allocation.py, delete_all.
func (e *Engine) DeleteAllocations(ctx context.Context, consumer UUID) error {
	return e.write(ctx, func(t *tx) error { return t.deleteAllocations(consumer) })
}

// Reshape replaces inventories and allocations in one atomic change; capacity
// is checked against the new inventories. Errors: those of
// [Engine.SetInventories] and [Engine.SetAllocations].
func (e *Engine) Reshape(ctx context.Context, inv []InventoryWrite, wr AllocationWrite) error {
	return e.write(ctx, func(t *tx) error { return t.reshape(inv, &wr) })
}

// change writes and reads provider uuid back.
func (e *Engine) change(ctx context.Context, uuid UUID, plan func(*tx) error) (Provider, error) {
	if err := e.write(ctx, plan); err != nil {
		return Provider{}, err
	}
	return e.Provider(uuid)
}
