package moving

import (
	"cmp"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
)

// World is all that a Placement holds.
type World struct {
	Classes, Traits []string // custom ones, sorted
	Providers       map[placement.UUID]placement.ProviderRecord
	Consumers       map[placement.UUID]placement.ConsumerRecord
	// Attachments are what schedulers keep beside claims. Only engines and
	// files have them.
	Attachments []placement.Attachment
}

// NewWorld returns an empty world.
func NewWorld() *World {
	return &World{Providers: map[placement.UUID]placement.ProviderRecord{}, Consumers: map[placement.UUID]placement.ConsumerRecord{}}
}

// OfEngine reads all that an engine holds at one moment.
func OfEngine(e *placement.Engine) *World {
	s := e.Snapshot()
	defer s.Close()
	w := NewWorld()
	w.Classes, w.Traits = custom(s.Classes), custom(s.Traits)
	for p := range s.Providers() {
		w.addProvider(p)
	}
	for c := range s.Consumers() {
		w.addConsumer(c)
	}
	for a := range s.Attachments() {
		if a.Key != marker {
			w.Attachments = append(w.Attachments, a)
		}
	}
	return w
}

// custom picks the names that are not standard ones.
func custom(names []string) []string {
	var out []string
	for _, n := range names {
		if strings.HasPrefix(n, "CUSTOM_") {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// addProvider adds p with its lists in an order that does not depend on where
// it comes from.
func (w *World) addProvider(p placement.ProviderRecord) {
	slices.SortFunc(p.Inventories, func(a, b placement.InventoryRecord) int { return cmp.Compare(a.Class, b.Class) })
	slices.Sort(p.Traits)
	slices.SortFunc(p.Aggregates, compareUUIDs)
	w.Providers[p.UUID] = p
}

func (w *World) addConsumer(c placement.ConsumerRecord) {
	slices.SortFunc(c.Allocations, func(a, b placement.Allocation) int {
		return cmp.Or(compareUUIDs(a.Provider, b.Provider), cmp.Compare(a.Class, b.Class))
	})
	w.Consumers[c.UUID] = c
}

func compareUUIDs(a, b placement.UUID) int { return slices.Compare(a[:], b[:]) }

func sortedKeys[V any](m map[placement.UUID]V) []placement.UUID {
	keys := make([]placement.UUID, 0, len(m))
	for u := range m {
		keys = append(keys, u)
	}
	slices.SortFunc(keys, compareUUIDs)
	return keys
}

// byDepth returns the providers by level of their trees, roots first.
func (w *World) byDepth() [][]placement.UUID {
	depth := map[placement.UUID]int{}
	var of func(u placement.UUID, steps int) int
	of = func(u placement.UUID, steps int) int {
		p, known := w.Providers[u]
		if !known || p.Parent.IsZero() || steps > len(w.Providers) {
			return 0
		}
		if _, done := depth[u]; !done {
			depth[u] = 1 + of(p.Parent, steps+1)
		}
		return depth[u]
	}
	var levels [][]placement.UUID
	for _, u := range sortedKeys(w.Providers) {
		d := of(u, 0)
		for len(levels) <= d {
			levels = append(levels, nil)
		}
		levels[d] = append(levels[d], u)
	}
	return levels
}
