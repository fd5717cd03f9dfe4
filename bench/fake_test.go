package bench

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// fakeEngine is the dumbest engine that can serve a replay: it tries every
// provider for every group. It is the twin of the real one.
type fakeEngine struct {
	order     []placement.UUID
	parent    map[placement.UUID]placement.UUID
	inv       map[placement.UUID]map[string]placement.Inventory
	traits    map[placement.UUID][]string
	used      map[placement.UUID]map[string]int64
	consumers map[placement.UUID][]placement.Allocation
}

func newFake() *fakeEngine {
	return &fakeEngine{
		parent:    map[placement.UUID]placement.UUID{},
		inv:       map[placement.UUID]map[string]placement.Inventory{},
		traits:    map[placement.UUID][]string{},
		used:      map[placement.UUID]map[string]int64{},
		consumers: map[placement.UUID][]placement.Allocation{},
	}
}

func (f *fakeEngine) CreateClass(context.Context, string) (bool, error) { return true, nil }
func (f *fakeEngine) CreateTrait(context.Context, string) (bool, error) { return true, nil }

func (f *fakeEngine) CreateProvider(_ context.Context, p placement.Provider) (placement.Provider, error) {
	f.order = append(f.order, p.UUID)
	f.parent[p.UUID] = p.Parent
	f.used[p.UUID] = map[string]int64{}
	return p, nil
}

func (f *fakeEngine) SetInventories(_ context.Context, u placement.UUID, inv map[string]placement.Inventory, _ placement.Generation) (placement.Provider, error) {
	f.inv[u] = inv
	return placement.Provider{UUID: u}, nil
}

func (f *fakeEngine) SetTraits(_ context.Context, u placement.UUID, traits []string, _ placement.Generation) (placement.Provider, error) {
	f.traits[u] = traits
	return placement.Provider{UUID: u}, nil
}

func (f *fakeEngine) SetAllocations(_ context.Context, w placement.AllocationWrite) error {
	for _, c := range w.Consumers {
		if f.consumers[c.Consumer] != nil {
			return fmt.Errorf("consumer %s exists", c.Consumer)
		}
		for _, a := range c.Allocations {
			if rule := f.inv[a.Provider][a.Class].Fits(f.used[a.Provider][a.Class], a.Amount); rule != "" {
				return &placement.CapacityError{Provider: a.Provider, Class: a.Class, Amount: a.Amount, Rule: rule}
			}
		}
		for _, a := range c.Allocations {
			f.used[a.Provider][a.Class] += a.Amount
		}
		f.consumers[c.Consumer] = slices.Clone(c.Allocations)
	}
	return nil
}

func (f *fakeEngine) DeleteAllocations(_ context.Context, consumer placement.UUID) error {
	for _, a := range f.consumers[consumer] {
		f.used[a.Provider][a.Class] -= a.Amount
	}
	delete(f.consumers, consumer)
	return nil
}

func (f *fakeEngine) Usages(u placement.UUID) (map[string]int64, placement.Provider, error) {
	return maps.Clone(f.used[u]), placement.Provider{UUID: u}, nil
}

func (f *fakeEngine) Consumer(u placement.UUID) (placement.Consumer, []placement.Allocation, error) {
	return placement.Consumer{UUID: u}, f.consumers[u], nil
}

func (f *fakeEngine) Candidates(_ context.Context, req placement.CandidateRequest) iter.Seq2[*placement.Candidate, error] {
	return func(yield func(*placement.Candidate, error) bool) {
		n := 0
		for _, root := range f.order {
			in := req.Groups[0].InTree
			if !f.parent[root].IsZero() || !in.IsZero() && in != root {
				continue
			}
			tree := slices.DeleteFunc(slices.Clone(f.order), func(u placement.UUID) bool { return u != root && f.parent[u] != root })
			ok := f.search(tree, req.Groups, nil, func(allocs []placement.Allocation) bool {
				n++
				return yield(&placement.Candidate{Root: root, Allocations: allocs}, nil) && n != req.Limit
			})
			if !ok {
				return
			}
		}
	}
}

// search puts the groups on members of a tree in every way, each group with a
// suffix on one of its own, and answers false when yield has had enough.
func (f *fakeEngine) search(tree []placement.UUID, groups []placement.RequestGroup, done []placement.Allocation, yield func([]placement.Allocation) bool) bool {
	if len(groups) == 0 {
		return yield(done)
	}
	for _, u := range tree {
		taken := slices.ContainsFunc(done, func(a placement.Allocation) bool { return a.Provider == u })
		if taken && groups[0].Suffix != "" || !f.fits(u, groups[0]) {
			continue
		}
		next := slices.Clone(done)
		for _, r := range groups[0].Resources {
			next = append(next, placement.Allocation{Provider: u, Class: r.Class, Amount: r.Amount})
		}
		if !f.search(tree, groups[1:], next, yield) {
			return false
		}
	}
	return true
}

func (f *fakeEngine) fits(u placement.UUID, g placement.RequestGroup) bool {
	for _, r := range g.Resources {
		if inv, ok := f.inv[u][r.Class]; !ok || inv.Fits(f.used[u][r.Class], r.Amount) != "" {
			return false
		}
	}
	for _, anyOf := range g.Required {
		if !slices.ContainsFunc(anyOf, func(t string) bool { return slices.Contains(f.traits[u], t) }) {
			return false
		}
	}
	return true
}
