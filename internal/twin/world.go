package twin

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// World is the whole state of a placement service.
type World struct {
	classes   map[string]bool // every known resource class
	traits    map[string]bool // every known trait
	providers map[placement.UUID]*provider
	consumers map[placement.UUID]*consumer
}

type provider struct {
	uuid, parent placement.UUID
	name         string
	generation   int64
	inventories  map[string]placement.Inventory
	traits       map[string]bool
	aggregates   map[placement.UUID]bool
}

type consumer struct {
	uuid                placement.UUID
	project, user, kind string
	generation          int64
	allocations         []placement.Allocation
}

// New returns a world with the standard classes and traits and nothing else.
func New() *World {
	w := &World{
		classes:   map[string]bool{},
		traits:    map[string]bool{},
		providers: map[placement.UUID]*provider{},
		consumers: map[placement.UUID]*consumer{},
	}
	for _, name := range placement.StandardClasses() {
		w.classes[name] = true
	}
	for _, name := range placement.StandardTraits() {
		w.traits[name] = true
	}
	return w
}

// Clone returns a copy that shares nothing with w.
func (w *World) Clone() *World {
	c := &World{
		classes:   maps.Clone(w.classes),
		traits:    maps.Clone(w.traits),
		providers: map[placement.UUID]*provider{},
		consumers: map[placement.UUID]*consumer{},
	}
	for u, p := range w.providers {
		q := *p
		q.inventories = maps.Clone(p.inventories)
		q.traits = maps.Clone(p.traits)
		q.aggregates = maps.Clone(p.aggregates)
		c.providers[u] = &q
	}
	for u, k := range w.consumers {
		l := *k
		l.allocations = slices.Clone(k.allocations)
		c.consumers[u] = &l
	}
	return c
}

// atomically applies change to a copy and keeps the copy when there was no
// error.
func (w *World) atomically(change func(*World) error) error {
	next := w.Clone()
	if err := change(next); err != nil {
		return err
	}
	*w = *next
	return nil
}

// provider returns provider u or ErrNotFound.
func (w *World) provider(u placement.UUID) (*provider, error) {
	p, ok := w.providers[u]
	if !ok {
		return nil, fmt.Errorf("provider %s: %w", u, placement.ErrNotFound)
	}
	return p, nil
}

// providerAt is provider with a check of the expected generation.
func (w *World) providerAt(u placement.UUID, gen placement.Generation) (*provider, error) {
	p, err := w.provider(u)
	if err != nil {
		return nil, err
	}
	if gen != placement.AnyGeneration && int64(gen) != p.generation {
		return nil, fmt.Errorf("provider %s has generation %d, not %d: %w",
			u, p.generation, gen, placement.ErrConcurrentUpdate)
	}
	return p, nil
}

// root walks up from u to the root of its tree.
func (w *World) root(u placement.UUID) placement.UUID {
	for !w.providers[u].parent.IsZero() {
		u = w.providers[u].parent
	}
	return u
}

// isUnder reports whether u is top or one of its descendants.
func (w *World) isUnder(u, top placement.UUID) bool {
	for ; !u.IsZero(); u = w.providers[u].parent {
		if u == top {
			return true
		}
	}
	return false
}

// used is the sum of all allocations of class on provider u.
func (w *World) used(u placement.UUID, class string) int64 {
	var sum int64
	for _, c := range w.consumers {
		for _, a := range c.allocations {
			if a.Provider == u && a.Class == class {
				sum += a.Amount
			}
		}
	}
	return sum
}

// isHeld reports whether anyone has allocations on provider u.
func (w *World) isHeld(u placement.UUID) bool {
	for _, c := range w.consumers {
		for _, a := range c.allocations {
			if a.Provider == u {
				return true
			}
		}
	}
	return false
}

// allProviders returns the providers in the order of their UUIDs.
func (w *World) allProviders() []*provider {
	return slices.SortedFunc(maps.Values(w.providers), func(a, b *provider) int {
		return compareUUIDs(a.uuid, b.uuid)
	})
}

func compareUUIDs(a, b placement.UUID) int { return bytes.Compare(a[:], b[:]) }

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func badInput(field string, value any, allowed string) error {
	return &placement.InputError{Field: field, Value: fmt.Sprint(value), Allowed: allowed}
}
