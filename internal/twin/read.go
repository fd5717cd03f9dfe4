package twin

import (
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Provider returns one provider, without times.
func (w *World) Provider(u placement.UUID) (placement.Provider, error) {
	p, err := w.provider(u)
	if err != nil {
		return placement.Provider{}, err
	}
	return placement.Provider{
		UUID: u, Name: p.name, Parent: p.parent, Root: w.root(u), Generation: p.generation,
	}, nil
}

// Providers returns the providers that meet every condition of f, by UUID. An
// unknown provider in InTree selects nothing; unknown classes and traits are
// refused, traits that are both required and forbidden are not; aggregates
// are those of the provider itself.
//
// Source: placement, objects/resource_provider.py, _get_all_by_filters_from_db.
func (w *World) Providers(f placement.ProviderFilter) ([]placement.Provider, error) {
	if err := checkResources("resources", f.Resources); err != nil {
		return nil, err
	}
	if err := w.checkNames(f.Resources, f.Required, f.Forbidden); err != nil {
		return nil, err
	}
	var found []placement.Provider
	for _, p := range w.allProviders() {
		if !w.selects(f, p) {
			continue
		}
		v, err := w.Provider(p.uuid)
		if err != nil {
			return nil, err
		}
		found = append(found, v)
	}
	return found, nil
}

func (w *World) selects(f placement.ProviderFilter, p *provider) bool {
	switch {
	case f.Name != "" && f.Name != p.name,
		!f.UUID.IsZero() && f.UUID != p.uuid,
		!f.InTree.IsZero() && !w.isInTreeOf(p.uuid, f.InTree),
		!hasOneOfEach(p.aggregates, f.MemberOf), hasAny(p.aggregates, f.ForbiddenAggregates),
		!hasOneOfEach(p.traits, f.Required), hasAny(p.traits, f.Forbidden):
		return false
	}
	for _, r := range f.Resources {
		if !w.hasRoom(p, r) {
			return false
		}
	}
	return true
}

// Inventories returns the inventories of a provider, and the provider.
func (w *World) Inventories(u placement.UUID) (map[string]placement.Inventory, placement.Provider, error) {
	v, err := w.Provider(u)
	if err != nil {
		return nil, v, err
	}
	return maps.Clone(w.providers[u].inventories), v, nil
}

// Traits returns the traits of a provider, sorted by name, and the provider.
func (w *World) Traits(u placement.UUID) ([]string, placement.Provider, error) {
	v, err := w.Provider(u)
	if err != nil {
		return nil, v, err
	}
	return sortedKeys(w.providers[u].traits), v, nil
}

// Aggregates returns the sorted aggregates of a provider, and the provider.
func (w *World) Aggregates(u placement.UUID) ([]placement.UUID, placement.Provider, error) {
	v, err := w.Provider(u)
	if err != nil {
		return nil, v, err
	}
	return slices.SortedFunc(maps.Keys(w.providers[u].aggregates), compareUUIDs), v, nil
}

// Usages returns what is used of each inventory of a provider, zeros
// included, and the provider.
//
// Source: placement, objects/usage.py, _get_all_by_resource_provider_uuid.
func (w *World) Usages(u placement.UUID) (map[string]int64, placement.Provider, error) {
	v, err := w.Provider(u)
	if err != nil {
		return nil, v, err
	}
	used := map[string]int64{}
	for class := range w.providers[u].inventories {
		used[class] = w.used(u, class)
	}
	return used, v, nil
}

// ProviderAllocations returns who holds what on a provider, by consumer and
// class, and the provider.
//
// Source: placement, objects/allocation.py, get_all_by_resource_provider.
func (w *World) ProviderAllocations(u placement.UUID) ([]placement.Held, placement.Provider, error) {
	v, err := w.Provider(u)
	if err != nil {
		return nil, v, err
	}
	var held []placement.Held
	for _, c := range w.Consumers() {
		h := placement.Held{Consumer: c}
		for _, a := range sortedAllocations(w.consumers[c.UUID].allocations) {
			if a.Provider == u {
				h.Used = append(h.Used, placement.Resource{Class: a.Class, Amount: a.Amount})
			}
		}
		if len(h.Used) > 0 {
			held = append(held, h)
		}
	}
	return held, v, nil
}

// Consumer returns a consumer, without times, and what it holds, ordered by
// provider and class.
func (w *World) Consumer(u placement.UUID) (placement.Consumer, []placement.Allocation, error) {
	c := w.consumers[u]
	if c == nil {
		return placement.Consumer{}, nil, placement.ErrNotFound
	}
	return c.public(), sortedAllocations(c.allocations), nil
}

// Consumers returns every consumer in the order of UUIDs.
func (w *World) Consumers() []placement.Consumer {
	var all []placement.Consumer
	for _, c := range w.consumers {
		all = append(all, c.public())
	}
	slices.SortFunc(all, func(a, b placement.Consumer) int { return compareUUIDs(a.UUID, b.UUID) })
	return all
}

// ProjectUsages returns what the consumers of a project hold, a Usage for each
// consumer type, sorted by type.
//
// Source: placement, objects/usage.py, _get_by_consumer_type.
func (w *World) ProjectUsages(f placement.UsageFilter) []placement.Usage {
	byType := map[string]placement.Usage{}
	for _, c := range w.consumers {
		if c.project != f.Project || f.User != "" && c.user != f.User || f.Type != nil && c.kind != *f.Type {
			continue
		}
		u, ok := byType[c.kind]
		if !ok {
			u = placement.Usage{Type: c.kind, Used: map[string]int64{}}
		}
		u.Consumers++
		for _, a := range c.allocations {
			u.Used[a.Class] += a.Amount
		}
		byType[c.kind] = u
	}
	var usages []placement.Usage
	for _, kind := range sortedKeys(byType) {
		usages = append(usages, byType[kind])
	}
	return usages
}

func (c *consumer) public() placement.Consumer {
	return placement.Consumer{
		UUID: c.uuid, Project: c.project, User: c.user, Type: c.kind, Generation: c.generation,
	}
}
