package twin

import (
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// choice is one way to satisfy one group under one anchor.
type choice struct {
	suffix    string
	providers []placement.UUID
	taken     []placement.Allocation
}

// choices returns every way to satisfy group g for candidates of anchor.
func (w *World) choices(anchor *provider, g placement.RequestGroup) []choice {
	if g.Suffix == "" {
		return w.spread(anchor, g)
	}
	var all []choice
	for _, p := range w.allProviders() {
		if w.belongs(p, anchor) && w.satisfiesAlone(p, g) {
			c := choice{suffix: g.Suffix, providers: []placement.UUID{p.uuid}}
			for _, r := range g.Resources {
				c.taken = append(c.taken, placement.Allocation{Provider: p.uuid, Class: r.Class, Amount: r.Amount})
			}
			all = append(all, c)
		}
	}
	return all
}

// belongs reports whether p can be used in candidates of the anchor root: as
// a member of its tree, or by sharing.
func (w *World) belongs(p, anchor *provider) bool {
	return w.root(p.uuid) == anchor.uuid || w.sharesWith(p, anchor)
}

// sharesWith reports whether p shares with the tree of the anchor root: p has
// the sharing trait and some member of the tree an aggregate of p.
//
// Source: placement, objects/research_context.py,
// anchors_for_sharing_providers.
func (w *World) sharesWith(p, anchor *provider) bool {
	if !p.traits[placement.SharingTrait] {
		return false
	}
	for _, q := range w.providers {
		if w.root(q.uuid) == anchor.uuid && hasAny(q.aggregates, slices.Collect(maps.Keys(p.aggregates))) {
			return true
		}
	}
	return false
}

// satisfiesAlone reports whether p by itself satisfies a group with a suffix:
// all resources, traits and aggregates, and in_tree. What the aggregates of
// its root are does not matter. A group without resources ignores in_tree,
// and is satisfied by nobody when it asks for neither traits nor aggregates.
//
// Source: placement, objects/research_context.py, get_provider_ids_matching,
// get_provider_ids_for_traits_and_aggs.
func (w *World) satisfiesAlone(p *provider, g placement.RequestGroup) bool {
	if !hasOneOfEach(p.traits, g.Required) || hasAny(p.traits, g.Forbidden) ||
		!hasOneOfEach(p.aggregates, g.MemberOf) || hasAny(p.aggregates, g.ForbiddenAggregates) {
		return false
	}
	if len(g.Resources) == 0 {
		return len(g.Required) > 0 || len(g.MemberOf) > 0
	}
	for _, r := range g.Resources {
		if !w.hasRoom(p, r) {
			return false
		}
	}
	return g.InTree.IsZero() || w.isInTreeOf(p.uuid, g.InTree)
}

// spread is every way to satisfy the group without suffix: each class from any
// provider that may give it. Together the providers have the required traits;
// none has a forbidden one.
//
// Source: placement, objects/research_context.py, get_trees_matching_all;
// objects/allocation_candidate.py, _alloc_candidates_multiple_providers and
// _check_traits_for_alloc_request.
func (w *World) spread(anchor *provider, g placement.RequestGroup) []choice {
	ways := []choice{{}}
	for _, r := range g.Resources {
		var longer []choice
		for _, way := range ways {
			for _, p := range w.allProviders() {
				if w.mayGive(p, anchor, g, r) {
					a := placement.Allocation{Provider: p.uuid, Class: r.Class, Amount: r.Amount}
					longer = append(longer, choice{taken: append(slices.Clone(way.taken), a)})
				}
			}
		}
		ways = longer
	}
	var good []choice
	for _, way := range ways {
		for _, a := range way.taken {
			if !slices.Contains(way.providers, a.Provider) {
				way.providers = append(way.providers, a.Provider)
			}
		}
		if w.haveTraitsTogether(way.providers, g) {
			good = append(good, way)
		}
	}
	return good
}

// mayGive reports whether p may give resource r to the group without suffix
// for candidates of anchor.
//
// A member of the tree needs to be in the tree that in_tree names. A sharing
// provider gives nothing when in_tree is set, and has to be in the aggregates
// of member_of itself. For all others it is enough that the anchor is in
// them: one of the two is in one aggregate of every list. Forbidden
// aggregates may hold neither of the two.
func (w *World) mayGive(p, anchor *provider, g placement.RequestGroup, r placement.Resource) bool {
	member := w.root(p.uuid) == anchor.uuid && (g.InTree.IsZero() || w.isInTreeOf(p.uuid, g.InTree))
	shared := g.InTree.IsZero() && w.sharesWith(p, anchor) && hasOneOfEach(p.aggregates, g.MemberOf)
	if !member && !shared || !w.hasRoom(p, r) {
		return false
	}
	if !hasOneOfEach(p.aggregates, g.MemberOf) && !hasOneOfEach(anchor.aggregates, g.MemberOf) {
		return false
	}
	return !hasAny(p.aggregates, g.ForbiddenAggregates) && !hasAny(anchor.aggregates, g.ForbiddenAggregates)
}

func (w *World) haveTraitsTogether(providers []placement.UUID, g placement.RequestGroup) bool {
	together := map[string]bool{}
	for _, u := range providers {
		if hasAny(w.providers[u].traits, g.Forbidden) {
			return false
		}
		maps.Copy(together, w.providers[u].traits)
	}
	return hasOneOfEach(together, g.Required)
}

// hasRoom reports whether p can take r beside what is used.
//
// Source: placement, objects/research_context.py, _capacity_check_clause.
func (w *World) hasRoom(p *provider, r placement.Resource) bool {
	inv, ok := p.inventories[r.Class]
	return ok && unitRule(inv, r.Amount) == "" && float64(w.used(p.uuid, r.Class)+r.Amount) <= capacity(inv)
}

// isInTreeOf reports whether u is in the tree of other, which may be unknown.
func (w *World) isInTreeOf(u, other placement.UUID) bool {
	return w.providers[other] != nil && w.root(u) == w.root(other)
}

// hasOneOfEach reports whether every list has at least one of set.
func hasOneOfEach[K comparable](set map[K]bool, lists [][]K) bool {
	for _, list := range lists {
		if !hasAny(set, list) {
			return false
		}
	}
	return true
}

func hasAny[K comparable](set map[K]bool, list []K) bool {
	for _, k := range list {
		if set[k] {
			return true
		}
	}
	return false
}
