package placement

import (
	"regexp"
	"slices"
)

// A query is a compiled request for candidates.
type query struct {
	w      *world
	req    *CandidateRequest
	groups []group
	// rootRequired and rootForbidden are conditions on the anchor.
	rootRequired  [][]uint32
	rootForbidden []uint32
	subtrees      [][]int // positions in groups
	granular      int     // groups with a suffix
	epoch         uint64  // of w's symbols when it was compiled

	nothing bool // no candidate can be

	// Where to look: lone finds trees of one provider that satisfy the only
	// group by themselves, drive finds one provider of every other tree that
	// can be an anchor. With roots set, only those are looked at.
	lone  mask
	drive mask
	spare mask     // memory for making drive
	roots []uint32 // the last one first
	fixed bool
	// shared: sharing providers can take part. Then no tree is lone.
	shared  bool
	sharers map[uint32][]uint32 // aggregate -> sharing providers in it
}

// group is a compiled request group.
type group struct {
	conditions
	suffix string
	single bool   // has a suffix: one provider for all of it
	inTree uint32 // root of the tree to look in; none: any
}

var suffixPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// compile looks up everything that q.req names. It returns an [*InputError]
// for a request that Placement 1.39 would refuse.
//
// Source: placement, lib.py, dict_from_request.
func (q *query) compile() error {
	q.epoch, q.nothing, q.fixed, q.granular = q.w.symbolEpoch, false, false, 0
	if err := checkGroups(q.req); err != nil {
		return err
	}
	q.groups = slices.Grow(q.groups[:0], len(q.req.Groups))[:len(q.req.Groups)]
	for k := range q.req.Groups {
		if err := q.compileGroup(k); err != nil {
			return err
		}
	}
	if err := q.compileWide(); err != nil {
		return err
	}
	q.aim()
	return nil
}

func (q *query) compileGroup(k int) error {
	g, from := &q.groups[k], &q.req.Groups[k]
	g.suffix, g.single, g.inTree = from.Suffix, from.Suffix != "", none
	if g.single {
		q.granular++
	}
	if err := g.compile(q.w, from); err != nil {
		return err
	}
	if err := checkConflict(g.suffix, &g.conditions); err != nil {
		return err
	}
	// Placement finds nobody for a group that asks for nothing positive.
	//
	// Source: placement, objects/research_context.py, get_provider_ids_matching.
	if len(g.want)+len(g.required)+len(g.memberOf) == 0 {
		q.nothing = true
	}
	if !from.InTree.IsZero() {
		i, known := q.w.findProvider(from.InTree)
		if !known {
			q.nothing = true
		} else if len(g.want) > 0 { // Placement ignores in_tree of a group without resources
			g.inTree = q.w.provider(i).root
		}
	}
	return nil
}

func (q *query) compileWide() error {
	req := q.req
	var err error
	q.rootRequired = q.rootRequired[:0]
	for _, name := range req.RootRequired {
		if q.rootRequired, err = q.w.traitLists(q.rootRequired, "root_required", [][]string{{name}}); err != nil {
			return err
		}
		if slices.Contains(req.RootForbidden, name) {
			return badInput("root_required", name, "traits that are not forbidden too")
		}
	}
	if q.rootForbidden, err = q.w.traitIDs(q.rootForbidden[:0], "root_required", req.RootForbidden); err != nil {
		return err
	}
	q.subtrees = q.subtrees[:0]
	for _, suffixes := range req.SameSubtree {
		var at []int
		for _, s := range suffixes {
			k := slices.IndexFunc(q.groups, func(g group) bool { return g.single && g.suffix == s })
			if k < 0 {
				return badInput("same_subtree", s, "the suffix of a group of the request")
			}
			at = append(at, k)
		}
		q.subtrees = append(q.subtrees, at)
	}
	return nil
}

func checkGroups(req *CandidateRequest) error {
	some := false
	for k := range req.Groups {
		g := &req.Groups[k]
		if g.Suffix != "" && !suffixPattern.MatchString(g.Suffix) {
			return badInput("suffix", g.Suffix, "1 to 64 characters of a-z, A-Z, 0-9, _ and -")
		}
		for j := range k {
			if req.Groups[j].Suffix == g.Suffix {
				return badInput("suffix", g.Suffix, "each suffix once in a request")
			}
		}
		some = some || len(g.Resources) > 0
		if len(g.Resources) == 0 && (g.Suffix == "" || !named(req.SameSubtree, g.Suffix)) {
			return badInput("resources"+g.Suffix, "", "resources, or a suffix that same_subtree names")
		}
	}
	if !some {
		return badInput("resources", "", "resources in at least one group")
	}
	if req.Limit < 0 {
		return badInput("limit", req.Limit, "1 or more, or 0 for all")
	}
	return nil
}

func named(lists [][]string, suffix string) bool {
	return slices.ContainsFunc(lists, func(l []string) bool { return slices.Contains(l, suffix) })
}

// aim decides where to look for anchors: the rarer the set of providers that
// every candidate must touch, the fewer trees are opened in vain.
func (q *query) aim() {
	w := q.w
	q.shared = false
	if sharing := w.traitBits(w.sharing); sharing != nil && sharing.n > 0 {
		q.shared = q.canShare(sharing)
	}
	q.lone.reset()
	if len(q.groups) == 1 && !q.shared {
		q.lone.conditions(w, &q.groups[0].conditions)
		q.lone.traits(w, q.rootRequired, q.rootForbidden)
		q.lone.not = append(q.lone.not, &w.nested)
	} else {
		q.lone.empty = true
	}
	q.drive.reset()
	q.drive.empty = true
	if w.nested.n > 0 || q.lone.empty {
		q.aimDrive()
	}
	if !q.req.Anchor.IsZero() {
		i, known := w.findProvider(q.req.Anchor)
		if q.fixed, q.roots = true, append(q.roots[:0], i); !known {
			q.nothing = true
		}
		return
	}
	for k := range q.groups {
		if g := &q.groups[k]; g.inTree != none {
			q.fix(g)
			return
		}
	}
}

// aimDrive takes the group, or the class of the group without a suffix, whose
// providers are fewest.
func (q *query) aimDrive() {
	best := -1
	for k := range q.groups {
		g := &q.groups[k]
		if g.single {
			q.spare.reset()
			q.spare.require(&q.w.present)
			q.spare.conditions(q.w, &g.conditions)
			best = q.rarer(best)
			continue
		}
		for _, x := range g.want {
			q.spare.reset()
			q.spare.require(q.w.roomOf(x.class).atLeast(x.amount))
			best = q.rarer(best)
		}
	}
	if !q.lone.empty { // lone trees are found by the other mask
		q.drive.require(&q.w.nested)
	}
}

// rarer makes the spare mask the drive if it has fewer members than best, the
// number that the drive has now.
func (q *query) rarer(best int) int {
	n := q.spare.smallest()
	if best >= 0 && n >= best {
		return best
	}
	q.drive, q.spare = q.spare, q.drive
	return n
}

// canShare reports whether a sharing provider has room for anything that is
// asked for, and so lends resources to other trees.
func (q *query) canShare(sharing *bitmap) bool {
	for k := range q.groups {
		g := &q.groups[k]
		if len(g.want) == 0 {
			return true
		}
		for _, x := range g.want {
			room := q.w.roomOf(x.class).atLeast(x.amount)
			if room != nil && intersect(sharing, room) {
				return true
			}
		}
	}
	return false
}

// fix looks only at the anchors that a group bound to a tree allows: the tree
// itself, and for a group with a suffix the trees that its sharing providers
// serve.
func (q *query) fix(g *group) {
	q.fixed, q.roots = true, q.roots[:0]
	defer func() { q.roots = append(q.roots, g.inTree) }()
	if !g.single || !q.shared {
		return
	}
	q.w.members(g.inTree, func(m uint32) bool {
		if q.w.hasTrait(m, q.w.sharing) {
			q.roots = append(q.roots, q.w.anchorsOf(m)...)
		}
		return true
	})
	slices.Sort(q.roots)
	slices.Reverse(q.roots)
}

// anchorsOf returns the roots of the trees that sharing provider i serves:
// every tree with a member that has an aggregate in common with it.
//
// Source: placement, objects/research_context.py,
// anchors_for_sharing_providers.
func (w *world) anchorsOf(i uint32) []uint32 {
	var roots []uint32
	for _, a := range w.aggregateSets.sets[w.provider(i).aggSet] {
		w.aggregated[a].each(func(m uint32) { roots = append(roots, w.provider(m).root) })
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// sharersOf returns the sharing providers outside the tree that serve it.
func (q *query) sharersOf(root uint32, tree []uint32) []uint32 {
	if q.sharers == nil {
		q.sharers = map[uint32][]uint32{}
		q.w.traitBits(q.w.sharing).each(func(s uint32) {
			for _, a := range q.w.aggregateSets.sets[q.w.provider(s).aggSet] {
				q.sharers[a] = append(q.sharers[a], s)
			}
		})
	}
	var list []uint32
	for _, m := range tree {
		for _, a := range q.w.aggregateSets.sets[q.w.provider(m).aggSet] {
			for _, s := range q.sharers[a] {
				if q.w.provider(s).root != root {
					list = append(list, s)
				}
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
