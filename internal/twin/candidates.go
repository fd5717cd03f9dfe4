package twin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Candidates returns all candidates of req, in no promised order. Limit,
// Order, Random and Representative are ignored. Candidates that differ in the
// anchor only appear once, with any of the anchors.
//
// Source: placement, objects/allocation_candidate.py, _get_by_requests and
// _merge_candidates.
func (w *World) Candidates(req placement.CandidateRequest) ([]placement.Candidate, error) {
	all, err := w.CandidatesByAnchor(req)
	if err != nil {
		return nil, err
	}
	var different []placement.Candidate
	seen := map[string]bool{}
	for _, c := range all {
		if key := Key(c); !seen[key] {
			seen[key] = true
			different = append(different, c)
		}
	}
	return different, nil
}

// CandidatesByAnchor is Candidates before those that differ in the anchor only
// are made one.
func (w *World) CandidatesByAnchor(req placement.CandidateRequest) ([]placement.Candidate, error) {
	if err := checkRequest(req); err != nil {
		return nil, err
	}
	if err := w.checkRequestNames(req); err != nil {
		return nil, err
	}
	for _, g := range req.Groups {
		if !g.InTree.IsZero() && w.providers[g.InTree] == nil {
			return nil, nil
		}
	}
	var all []placement.Candidate
	for _, anchor := range w.allProviders() {
		if !anchor.parent.IsZero() || !anchorHasTraits(anchor, req) {
			continue
		}
		for _, choices := range w.combinations(anchor, req.Groups) {
			if c := merge(anchor, choices); w.isCandidate(c, choices, req) {
				all = append(all, c)
			}
		}
	}
	return all, nil
}

// Combinations counts the combinations of choices that Candidates looks at,
// for generators that want to keep that small.
func (w *World) Combinations(req placement.CandidateRequest) int {
	sum := 0
	for _, anchor := range w.allProviders() {
		if !anchor.parent.IsZero() {
			continue
		}
		product := 1
		for _, g := range req.Groups {
			product *= len(w.choices(anchor, g))
		}
		sum += product
	}
	return sum
}

// anchorHasTraits is root_required.
//
// Source: placement, objects/research_context.py, _get_roots_with_traits.
func anchorHasTraits(anchor *provider, req placement.CandidateRequest) bool {
	for _, t := range req.RootRequired {
		if !anchor.traits[t] {
			return false
		}
	}
	return !hasAny(anchor.traits, req.RootForbidden)
}

// combinations returns every way to take one choice for each group.
func (w *World) combinations(anchor *provider, groups []placement.RequestGroup) [][]choice {
	ways := [][]choice{nil}
	for _, g := range groups {
		var longer [][]choice
		options := w.choices(anchor, g)
		for _, way := range ways {
			for _, c := range options {
				longer = append(longer, append(slices.Clone(way), c))
			}
		}
		ways = longer
	}
	return ways
}

// merge makes one candidate of one choice for each group, amounts of the same
// provider and class summed up.
//
// Source: placement, objects/allocation_candidate.py,
// _consolidate_allocation_requests.
func merge(anchor *provider, choices []choice) placement.Candidate {
	c := placement.Candidate{Root: anchor.uuid}
	for _, ch := range choices {
		providers := slices.SortedFunc(slices.Values(ch.providers), compareUUIDs)
		c.Mappings = append(c.Mappings, placement.Mapping{Suffix: ch.suffix, Providers: providers})
		for _, a := range ch.taken {
			same := func(b placement.Allocation) bool { return b.Provider == a.Provider && b.Class == a.Class }
			if i := slices.IndexFunc(c.Allocations, same); i >= 0 {
				c.Allocations[i].Amount += a.Amount
			} else {
				c.Allocations = append(c.Allocations, a)
			}
		}
	}
	c.Allocations = sortedAllocations(c.Allocations)
	return c
}

// isCandidate applies the conditions on all groups together.
func (w *World) isCandidate(c placement.Candidate, choices []choice, req placement.CandidateRequest) bool {
	if req.Policy == placement.PolicyIsolate && !isIsolated(choices) {
		return false
	}
	for _, suffixes := range req.SameSubtree {
		if !w.isOneSubtree(c, suffixes) {
			return false
		}
	}
	return w.isWithinCapacity(c) && (!req.SingleProvider || w.usesTreesOnce(c))
}

// isIsolated: the groups with a suffix use as many providers as there are such
// groups.
//
// Source: placement, objects/allocation_candidate.py, _satisfies_group_policy.
func isIsolated(choices []choice) bool {
	used := map[placement.UUID]bool{}
	for _, ch := range choices {
		if ch.suffix == "" {
			continue
		}
		if used[ch.providers[0]] {
			return false
		}
		used[ch.providers[0]] = true
	}
	return true
}

// isOneSubtree: the providers of the groups lie under one of them.
//
// Source: placement, objects/allocation_candidate.py, _check_same_subtree.
func (w *World) isOneSubtree(c placement.Candidate, suffixes []string) bool {
	var providers []placement.UUID
	for _, m := range c.Mappings {
		if slices.Contains(suffixes, m.Suffix) {
			providers = append(providers, m.Providers...)
		}
	}
	return slices.ContainsFunc(providers, func(top placement.UUID) bool {
		return !slices.ContainsFunc(providers, func(u placement.UUID) bool { return !w.isUnder(u, top) })
	})
}

// isWithinCapacity looks at the sums over groups. min_unit and step_size are
// not looked at again.
//
// Source: placement, objects/research_context.py, exceeds_capacity.
func (w *World) isWithinCapacity(c placement.Candidate) bool {
	for _, a := range c.Allocations {
		inv := w.providers[a.Provider].inventories[a.Class]
		if float64(w.used(a.Provider, a.Class)+a.Amount) > capacity(inv) || a.Amount > inv.MaxUnit {
			return false
		}
	}
	return true
}

// usesTreesOnce: no two providers that give resources are of one tree.
//
// Source: placement, objects/research_context.py, exclude_nested_providers.
func (w *World) usesTreesOnce(c placement.Candidate) bool {
	giver := map[placement.UUID]placement.UUID{} // root -> provider
	for _, a := range c.Allocations {
		root := w.root(a.Provider)
		if other, ok := giver[root]; ok && other != a.Provider {
			return false
		}
		giver[root] = a.Provider
	}
	return true
}

// Key is the canonical form of a candidate: equal when allocations and
// mappings are, in whatever order, and whatever the anchor.
func Key(c placement.Candidate) string {
	var allocations, mappings []string
	for _, a := range c.Allocations {
		allocations = append(allocations, fmt.Sprintf("%s:%s=%d", a.Provider, a.Class, a.Amount))
	}
	for _, m := range c.Mappings {
		var providers []string
		for _, u := range m.Providers {
			providers = append(providers, u.String())
		}
		slices.Sort(providers)
		mappings = append(mappings, fmt.Sprintf("%q->%s", m.Suffix, strings.Join(providers, "+")))
	}
	slices.Sort(allocations)
	slices.Sort(mappings)
	return strings.Join(allocations, " ") + " | " + strings.Join(mappings, " ")
}

func sortedAllocations(allocations []placement.Allocation) []placement.Allocation {
	return slices.SortedFunc(slices.Values(allocations), func(a, b placement.Allocation) int {
		if d := compareUUIDs(a.Provider, b.Provider); d != 0 {
			return d
		}
		return strings.Compare(a.Class, b.Class)
	})
}
