package placement

import (
	"maps"
	"slices"
)

func sortedUsages(byKind map[string]*Usage) []Usage {
	var list []Usage
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		list = append(list, *byKind[kind])
	}
	return list
}

// Classes returns every resource class, standard ones first.
func (e *Engine) Classes() []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(e.world.classes.names), func(s string) bool { return s == "" })
}

// AllTraits returns every trait, standard ones first.
func (e *Engine) AllTraits() []string {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return slices.DeleteFunc(slices.Clone(e.world.traits.names), func(s string) bool { return s == "" })
}

// Providers returns the providers that match f in the order of their numbers.
// It costs the number of providers; a filter by UUID or Name costs one
// lookup. An unknown class or trait is an [*InputError].
func (e *Engine) Providers(f ProviderFilter) ([]Provider, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	m, err := w.matcher(&f)
	if err != nil || m.nothing {
		return nil, err
	}
	var list []Provider
	keep := func(i uint32) {
		if m.match(i) {
			list = append(list, w.view(i))
		}
	}
	switch {
	case !f.UUID.IsZero():
		if i, known := w.findProvider(f.UUID); known {
			keep(i)
		}
	case f.Name != "":
		if i, known := w.findName(f.Name); known {
			keep(i)
		}
	case m.root != none:
		w.members(m.root, func(i uint32) bool { keep(i); return true })
	default:
		for i := range w.providers.n {
			if w.present.has(i) {
				keep(i)
			}
		}
	}
	return list, nil
}

// matcher is a ProviderFilter with names and UUIDs looked up.
type matcher struct {
	w       *world
	f       *ProviderFilter
	cond    conditions
	root    uint32 // of the tree to look in; none: anywhere
	nothing bool   // no provider can match
}

func (w *world) matcher(f *ProviderFilter) (*matcher, error) {
	m := &matcher{w: w, f: f, root: none}
	group := RequestGroup{
		Resources: f.Resources, Required: f.Required, Forbidden: f.Forbidden,
		MemberOf: f.MemberOf, ForbiddenAggregates: f.ForbiddenAggregates,
	}
	if err := m.cond.compile(w, &group); err != nil {
		return nil, err
	}
	if !f.InTree.IsZero() {
		i, known := w.findProvider(f.InTree)
		if !known {
			m.nothing = true
			return m, nil
		}
		m.root = w.provider(i).root
	}
	return m, nil
}

func (m *matcher) match(i uint32) bool {
	p := m.w.provider(i)
	return (m.f.UUID.IsZero() || p.uuid == m.f.UUID) && (m.f.Name == "" || p.name == m.f.Name) &&
		(m.root == none || p.root == m.root) && m.cond.alone(m.w, i)
}

// Summaries describes every provider of the trees that the given providers
// are in: each tree once and at one moment, parents before children. UUIDs
// that name no provider are passed over.
func (e *Engine) Summaries(providers ...UUID) []ProviderSummary {
	seen := make(map[uint32]struct{}, len(providers))
	var list []ProviderSummary
	for _, uuid := range providers {
		list = e.summarizeTree(list, uuid, seen)
	}
	return list
}

func (e *Engine) summarizeTree(list []ProviderSummary, uuid UUID, seen map[uint32]struct{}) []ProviderSummary {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	i, known := w.findProvider(uuid)
	if !known {
		return list
	}
	root := w.provider(i).root
	if _, twice := seen[root]; twice {
		return list
	}
	seen[root] = struct{}{}
	w.members(root, func(m uint32) bool {
		list = append(list, w.summarize(m))
		return true
	})
	return list
}

func (w *world) summarize(i uint32) ProviderSummary {
	p := w.provider(i)
	s := ProviderSummary{Provider: w.view(i), Traits: w.traitsOf(i)}
	for k := range p.inv {
		row := &p.inv[k]
		sh := &w.shapes.rows[row.shape]
		s.Resources = append(s.Resources, ResourceSummary{w.classes.names[row.class], sh.capacity, row.used, sh.inv.MaxUnit})
	}
	return s
}

// traitsOf returns the names of i's traits in the order of their numbers.
func (w *world) traitsOf(i uint32) []string {
	var names []string
	for _, t := range w.traitSets.sets[w.provider(i).traitSet] {
		names = append(names, w.traits.names[t])
	}
	return names
}

// aggregatesOf returns the aggregates of i.
func (w *world) aggregatesOf(i uint32) []UUID {
	var list []UUID
	for _, a := range w.aggregateSets.sets[w.provider(i).aggSet] {
		list = append(list, w.aggregateIDs[a])
	}
	return list
}
