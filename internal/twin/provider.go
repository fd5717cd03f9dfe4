package twin

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// CreateProvider adds a provider without anything at generation 0. Of p it
// reads UUID, Name and Parent.
//
// Source: placement, objects/resource_provider.py, _create_in_db;
// schemas/resource_provider.py.
func (w *World) CreateProvider(p placement.Provider) (placement.Provider, error) {
	if p.UUID.IsZero() {
		return placement.Provider{}, badInput("uuid", p.UUID, "any but the zero UUID")
	}
	if err := checkText("name", p.Name, 200); err != nil {
		return placement.Provider{}, err
	}
	if !p.Parent.IsZero() && (p.Parent == p.UUID || w.providers[p.Parent] == nil) {
		return placement.Provider{}, badInput("parent_provider_uuid", p.Parent, "another provider that exists")
	}
	if w.providers[p.UUID] != nil || w.isNamed(p.Name) {
		return placement.Provider{}, fmt.Errorf("provider %s: %w", p.UUID, placement.ErrExists)
	}
	w.providers[p.UUID] = &provider{
		uuid: p.UUID, name: p.Name, parent: p.Parent,
		inventories: map[string]placement.Inventory{},
		traits:      map[string]bool{},
		aggregates:  map[placement.UUID]bool{},
	}
	return w.Provider(p.UUID)
}

// UpdateProvider changes name and parent. No generation changes.
//
// Source: placement, objects/resource_provider.py, _update_in_db.
func (w *World) UpdateProvider(u placement.UUID, up placement.ProviderUpdate) (placement.Provider, error) {
	err := w.atomically(func(w *World) error {
		p, err := w.provider(u)
		if err != nil {
			return err
		}
		if up.Name != nil {
			if err := w.rename(p, *up.Name); err != nil {
				return err
			}
		}
		if up.Parent != nil {
			return w.reparent(p, *up.Parent, up.AllowReparenting)
		}
		return nil
	})
	if err != nil {
		return placement.Provider{}, err
	}
	return w.Provider(u)
}

func (w *World) rename(p *provider, name string) error {
	if err := checkText("name", name, 200); err != nil {
		return err
	}
	if p.name != name && w.isNamed(name) {
		return fmt.Errorf("provider name %s: %w", name, placement.ErrExists)
	}
	p.name = name
	return nil
}

// reparent moves p below parent. A root may always become a child; a child
// may go elsewhere only when that is allowed. Loops never are.
func (w *World) reparent(p *provider, parent placement.UUID, allowed bool) error {
	switch {
	case parent == p.parent:
		return nil
	case !parent.IsZero() && w.providers[parent] == nil:
		return badInput("parent_provider_uuid", parent, "an existing provider")
	case !p.parent.IsZero() && !allowed:
		return badInput("parent_provider_uuid", parent, "the present parent")
	case !parent.IsZero() && w.isUnder(parent, p.uuid):
		return badInput("parent_provider_uuid", parent, "a provider that is not below this one")
	}
	p.parent = parent
	return nil
}

// DeleteProvider removes a provider and its inventories, traits and
// aggregates. Children are looked for before allocations.
//
// Source: placement, objects/resource_provider.py, _delete.
func (w *World) DeleteProvider(u placement.UUID) error {
	if _, err := w.provider(u); err != nil {
		return err
	}
	for _, p := range w.providers {
		if p.parent == u {
			return fmt.Errorf("provider %s: %w", u, placement.ErrHasChildren)
		}
	}
	if w.isHeld(u) {
		return fmt.Errorf("provider %s: %w", u, placement.ErrInUse)
	}
	delete(w.providers, u)
	return nil
}

// SetTraits replaces the traits. The generation changes only when they do.
//
// Source: placement, objects/resource_provider.py, _set_traits;
// handlers/trait.py, update_traits_for_resource_provider.
func (w *World) SetTraits(u placement.UUID, traits []string, gen placement.Generation) error {
	p, err := w.providerAt(u, gen)
	if err != nil {
		return err
	}
	want := map[string]bool{}
	for _, t := range traits {
		if !w.traits[t] {
			return badInput("traits", t, "an existing trait")
		}
		want[t] = true
	}
	if !slices.Equal(sortedKeys(want), sortedKeys(p.traits)) {
		p.traits = want
		p.generation++
	}
	return nil
}

// SetAggregates replaces the aggregates and always changes the generation, as
// from microversion 1.19.
//
// Source: placement, objects/resource_provider.py, _set_aggregates.
func (w *World) SetAggregates(u placement.UUID, aggregates []placement.UUID, gen placement.Generation) error {
	p, err := w.providerAt(u, gen)
	if err != nil {
		return err
	}
	p.aggregates = map[placement.UUID]bool{}
	for _, a := range aggregates {
		p.aggregates[a] = true
	}
	p.generation++
	return nil
}

// CreateClass makes a custom resource class known and reports whether it was
// new. A standard name is refused although it is known.
//
// Source: placement, handlers/resource_class.py, update_resource_class (1.7);
// schemas/common.py, CUSTOM_RC_PATTERN.
func (w *World) CreateClass(name string) (created bool, err error) {
	return createName("resource_class", w.classes, name)
}

// CreateTrait makes a custom trait known and reports whether it was new.
//
// Source: placement, handlers/trait.py, put_trait.
func (w *World) CreateTrait(name string) (created bool, err error) {
	return createName("trait", w.traits, name)
}

func createName(what string, names map[string]bool, name string) (created bool, err error) {
	if !customName.MatchString(name) || len(name) > 255 {
		return false, badInput(what, name, "CUSTOM_ followed by A-Z, 0-9 and _")
	}
	created = !names[name]
	names[name] = true
	return created, nil
}

// DeleteClass removes a resource class that no inventory has. Standard ones
// stay.
//
// Source: placement, objects/resource_class.py, destroy.
func (w *World) DeleteClass(name string) error {
	inUse := false
	for _, p := range w.providers {
		if _, ok := p.inventories[name]; ok {
			inUse = true
		}
	}
	return deleteName("resource_class", w.classes, name, inUse)
}

// DeleteTrait removes a trait that no provider has. Standard ones stay.
//
// Source: placement, objects/trait.py, destroy.
func (w *World) DeleteTrait(name string) error {
	inUse := false
	for _, p := range w.providers {
		inUse = inUse || p.traits[name]
	}
	return deleteName("trait", w.traits, name, inUse)
}

func deleteName(what string, names map[string]bool, name string, inUse bool) error {
	switch {
	case !names[name]:
		return fmt.Errorf("%s %s: %w", what, name, placement.ErrNotFound)
	case !customName.MatchString(name):
		return badInput(what, name, "a custom one: standard ones stay")
	case inUse:
		return fmt.Errorf("%s %s: %w", what, name, placement.ErrInUse)
	}
	delete(names, name)
	return nil
}

var customName = regexp.MustCompile(`^CUSTOM_[A-Z0-9_]+$`)

func (w *World) isNamed(name string) bool {
	for _, p := range w.providers {
		if p.name == name {
			return true
		}
	}
	return false
}

func checkText(field, text string, longest int) error {
	if n := len([]rune(text)); n < 1 || n > longest {
		return badInput(field, text, fmt.Sprintf("1 to %d characters", longest))
	}
	return nil
}
