package twin

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// mostCombinations keeps brute force fast.
const mostCombinations = 1500

// asker makes one request, with one tree of the world in mind.
type asker struct {
	rng  *rand.Rand
	w    *World
	tree []*provider // a root, the members of its tree, and those that share with it
	req  placement.CandidateRequest

	likely []*provider // those of the tree that the present group is made for
}

// RandomRequest makes a request that w may or may not be able to satisfy. Now
// and then it is invalid.
func RandomRequest(rng *rand.Rand, w *World) placement.CandidateRequest {
	for {
		a := &asker{rng: rng, w: w}
		a.chooseTree()
		a.askGroups()
		a.askSubtrees()
		a.askRoot()
		a.req.SingleProvider = rng.IntN(10) == 0
		if rng.IntN(3) == 0 {
			a.req.Policy = placement.PolicyIsolate
		}
		if w.Combinations(a.req) > mostCombinations {
			continue
		}
		if rng.IntN(25) == 0 {
			a.spoil()
		}
		return a.req
	}
}

func (a *asker) one(in int) bool { return a.rng.IntN(in) == 0 }

func (a *asker) chooseTree() {
	var roots []*provider
	for _, p := range a.w.allProviders() {
		if p.parent.IsZero() {
			roots = append(roots, p)
		}
	}
	if len(roots) == 0 {
		return
	}
	root := pickOne(a.rng, roots)
	a.tree = []*provider{root}
	for _, p := range a.w.allProviders() {
		if p != root && a.w.belongs(p, root) {
			a.tree = append(a.tree, p)
		}
	}
}

func (a *asker) askGroups() {
	suffixes := []string{"", "1", "_net", "A-2"}
	if a.one(3) {
		suffixes = suffixes[1:]
	}
	for _, s := range suffixes[:1+a.rng.IntN(3)] {
		g := placement.RequestGroup{Suffix: s}
		a.askResources(&g)
		a.askTraits(&g)
		a.askAggregates(&g)
		a.askTree(&g)
		a.req.Groups = append(a.req.Groups, g)
	}
	a.rng.Shuffle(len(a.req.Groups), func(i, j int) {
		a.req.Groups[i], a.req.Groups[j] = a.req.Groups[j], a.req.Groups[i]
	})
}

// askResources asks a group with a suffix for classes of one provider, and the
// group without for classes of up to three. What else the group asks mostly
// holds for them.
func (a *asker) askResources(g *placement.RequestGroup) {
	a.likely = nil
	for n := range 1 + a.rng.IntN(3) {
		if len(a.tree) > 0 && (n == 0 || g.Suffix == "") {
			a.likely = append(a.likely, pickOne(a.rng, a.tree))
		}
		r := placement.Resource{Class: pickOne(a.rng, classNames), Amount: 1 + a.rng.Int64N(3)}
		if len(a.likely) > 0 && !a.one(20) {
			fits, ok := a.w.randomResource(a.rng, a.likely[len(a.likely)-1])
			if !ok && (n > 0 || !a.one(3)) {
				continue
			}
			if ok {
				r = fits
			}
		}
		if !slices.ContainsFunc(g.Resources, func(o placement.Resource) bool { return o.Class == r.Class }) {
			g.Resources = append(g.Resources, r)
		}
	}
	if len(g.Resources) == 0 {
		g.Resources = []placement.Resource{{Class: "VCPU", Amount: 1}}
	}
}

// aTrait is mostly one that a likely provider has.
func (a *asker) aTrait() string {
	if len(a.likely) > 0 && !a.one(8) {
		if traits := sortedKeys(pickOne(a.rng, a.likely).traits); len(traits) > 0 {
			return pickOne(a.rng, traits)
		}
	}
	return pickOne(a.rng, traitNames)
}

func (a *asker) askTraits(g *placement.RequestGroup) {
	for range max(0, a.rng.IntN(6)-3) {
		list := []string{a.aTrait()}
		if a.one(3) {
			list = append(list, a.aTrait())
		}
		g.Required = append(g.Required, list)
	}
	if a.one(8) {
		g.Forbidden = []string{pickOne(a.rng, traitNames)}
		if checkGroup(*g) != nil {
			g.Forbidden = nil
		}
	}
}

// anAggregate is mostly one that the tree has, sometimes one that nobody has.
func (a *asker) anAggregate() placement.UUID {
	if len(a.likely) > 0 && !a.one(6) {
		p := pickOne(a.rng, a.likely)
		if aggregates := slices.SortedFunc(maps.Keys(p.aggregates), compareUUIDs); len(aggregates) > 0 {
			return pickOne(a.rng, aggregates)
		}
	}
	return AggregateID(a.rng.IntN(6))
}

func (a *asker) askAggregates(g *placement.RequestGroup) {
	if a.one(6) {
		for range 1 + a.rng.IntN(2) {
			list := []placement.UUID{a.anAggregate()}
			if a.one(2) {
				list = append(list, a.anAggregate())
			}
			g.MemberOf = append(g.MemberOf, list)
		}
	}
	if a.one(8) {
		g.ForbiddenAggregates = []placement.UUID{AggregateID(a.rng.IntN(6))}
	}
}

func (a *asker) askTree(g *placement.RequestGroup) {
	switch {
	case !a.one(8):
	case a.one(10):
		g.InTree = ProviderID(999)
	case len(a.tree) > 0:
		g.InTree = pickOne(a.rng, a.tree).uuid
	}
}

// askSubtrees ties groups with suffixes together, with a group without
// resources now and then.
func (a *asker) askSubtrees() {
	if !a.one(3) {
		return
	}
	for range 1 + a.rng.IntN(2) {
		var list []string
		for _, g := range a.req.Groups {
			if g.Suffix != "" && !a.one(4) {
				list = append(list, g.Suffix)
			}
		}
		if a.one(3) && !slices.ContainsFunc(a.req.Groups, func(g placement.RequestGroup) bool { return g.Suffix == "node" }) {
			g := placement.RequestGroup{Suffix: "node"}
			a.likely = a.tree
			a.askTraits(&g)
			a.askAggregates(&g)
			a.askTree(&g)
			a.req.Groups = append(a.req.Groups, g)
			list = append(list, "node")
		}
		if len(list) > 0 {
			a.req.SameSubtree = append(a.req.SameSubtree, list)
		}
	}
}

func (a *asker) askRoot() {
	a.likely = a.tree[:min(1, len(a.tree))]
	if a.one(8) {
		a.req.RootRequired = []string{a.aTrait()}
	}
	if a.one(8) {
		if t := pickOne(a.rng, traitNames); !slices.Contains(a.req.RootRequired, t) {
			a.req.RootForbidden = []string{t}
		}
	}
}

// spoil makes the request invalid in one way.
func (a *asker) spoil() {
	g := &a.req.Groups[a.rng.IntN(len(a.req.Groups))]
	switch a.rng.IntN(10) {
	case 0:
		g.Resources = append(g.Resources, placement.Resource{Class: "CUSTOM_NONE", Amount: 1})
	case 1:
		g.Required = append(g.Required, []string{"CUSTOM_NONE"})
	case 2:
		g.Forbidden = append(g.Forbidden, "CUSTOM_NONE")
	case 3:
		g.Required, g.Forbidden = [][]string{{"CUSTOM_T"}}, []string{"CUSTOM_T"}
	case 4:
		g.Resources = append(g.Resources, placement.Resource{Class: "PCPU", Amount: 0})
	case 5:
		a.req.Groups = append(a.req.Groups, *g)
	case 6:
		a.req.Groups = nil
	case 7:
		a.req.Groups = append(a.req.Groups, placement.RequestGroup{
			Suffix: "not allowed", Resources: []placement.Resource{{Class: "VCPU", Amount: 1}},
		})
	case 8:
		a.req.SameSubtree = append(a.req.SameSubtree, []string{"missing"})
	case 9:
		a.req.RootRequired, a.req.RootForbidden = []string{"CUSTOM_T"}, []string{"CUSTOM_T"}
	}
}

// RandomFilter makes a filter of the same conditions as requests.
func RandomFilter(rng *rand.Rand, w *World) placement.ProviderFilter {
	g := placement.RequestGroup{}
	if groups := RandomRequest(rng, w).Groups; len(groups) > 0 {
		g = groups[0]
	}
	f := placement.ProviderFilter{
		InTree: g.InTree, MemberOf: g.MemberOf, ForbiddenAggregates: g.ForbiddenAggregates,
		Required: g.Required, Forbidden: g.Forbidden, Resources: g.Resources,
	}
	if all := w.allProviders(); rng.IntN(4) == 0 && len(all) > 0 {
		f.UUID = pickOne(rng, all).uuid
	} else if rng.IntN(4) == 0 && len(all) > 0 {
		f.Name = pickOne(rng, all).name
	}
	if rng.IntN(3) == 0 {
		f.Resources = nil
	}
	return f
}
