package placement

import (
	"math/bits"
	"slices"
)

// A tree is one anchor's part of a query, captured at one moment: which
// providers can take which group. The search runs on it without any lock. Its
// memory serves one anchor after the other.
type tree struct {
	q      *query
	root   uint32
	uuid   UUID
	nodes  []node
	levels []level
	multi  []uint32 // classes that several levels ask for: their amounts add up

	all    []uint32 // members of the tree, then sharing providers that serve it
	home   int      // how many of all are members
	last   []int    // by position in all, of members: the last one below
	nodeAt []int32  // by position in all: the node, -1: none yet
	values []int64  // behind the nodes' room, unit and taken
}

// node is a provider that can take part.
type node struct {
	number    uint32
	uuid      UUID
	root      uint32
	sharing   bool
	kind      uint64   // equal for interchangeable siblings
	traits    []uint64 // bitset: which lists that the group without suffix requires it meets
	first     int      // position in the tree's order, parents before children; -1: of another tree
	last      int      // position of the last one below it
	ancestors []uint32 // of a provider of another tree, itself first; only when the query has same_subtree
	room      []int64  // by position in multi: what claims may still take
	unit      []int64  // by position in multi: max_unit

	taken []int64 // search state: by position in multi
	users int     // groups with a suffix that it serves
	key   uint64  // of what was put on it
}

// level is one choice: the provider of a group, or of one class of the group
// without a suffix.
type level struct {
	group   int
	want    []want
	multi   []int   // position of each want in tree.multi, -1: in no other level
	options []int32 // nodes
	last    bool    // of its group
	closes  [][]int // same_subtree conditions that can be checked after it
	key     uint64  // equal for levels that ask the same
}

// capture collects what the query needs to know of the anchor root. It
// reports false when some group finds no provider. The engine's lock is held.
func (t *tree) capture(q *query, root uint32) bool {
	w := q.w
	if !w.hasTraits(root, q.rootRequired, q.rootForbidden) {
		return false
	}
	t.q, t.root, t.uuid = q, root, w.provider(root).uuid
	t.nodes, t.levels, t.multi = t.nodes[:0], t.levels[:0], t.multi[:0]
	t.all, t.last, t.nodeAt = t.all[:0], t.last[:0], t.nodeAt[:0]
	t.addMembers(root)
	t.home = len(t.all)
	if q.shared {
		t.all = append(t.all, q.sharersOf(root, t.all)...)
	}
	for range t.all {
		t.nodeAt = append(t.nodeAt, -1)
	}
	for k := range q.groups {
		if !t.addGroup(k) {
			return false
		}
	}
	t.findMulti()
	t.describe()
	return true
}

// addMembers lists the subtree of i.
func (t *tree) addMembers(i uint32) {
	at := len(t.all)
	t.all, t.last = append(t.all, i), append(t.last, 0)
	for c := t.q.w.provider(i).child; c != none; c = t.q.w.provider(c).sibling {
		t.addMembers(c)
	}
	t.last[at] = len(t.all) - 1
}

// addGroup adds the levels of group k.
func (t *tree) addGroup(k int) bool {
	g, w := &t.q.groups[k], t.q.w
	if g.single {
		l := t.addLevel(k, g.want, true)
		for at, m := range t.all {
			if (g.inTree == none || g.inTree == w.provider(m).root) && g.alone(w, m) {
				l.options = append(l.options, t.node(at))
			}
		}
		return len(l.options) > 0
	}
	if g.inTree != none && g.inTree != t.root {
		return false
	}
	for x := range g.want {
		l := t.addLevel(k, g.want[x:x+1], x == len(g.want)-1)
		for at, m := range t.all {
			if w.fits(m, g.want[x]) && t.spreadable(g, m, at >= t.home) {
				l.options = append(l.options, t.node(at))
			}
		}
		if len(l.options) == 0 {
			return false
		}
	}
	return true
}

// addLevel starts a level on the memory of an earlier one.
func (t *tree) addLevel(group int, want []want, last bool) *level {
	if len(t.levels) < cap(t.levels) {
		t.levels = t.levels[:len(t.levels)+1]
	} else {
		t.levels = append(t.levels, level{})
	}
	l := &t.levels[len(t.levels)-1]
	*l = level{group: group, want: want, last: last, options: l.options[:0], multi: l.multi[:0], closes: l.closes[:0]}
	return l
}

// spreadable reports whether m may take a class of the group without suffix:
// it, or the anchor, is in the aggregates; neither is in a forbidden one. A
// sharing provider of another tree is in the aggregates itself and serves no
// group that is bound to a tree.
//
// Source: placement, objects/research_context.py, get_trees_matching_all.
func (t *tree) spreadable(g *group, m uint32, foreign bool) bool {
	w := t.q.w
	if foreign && g.inTree != none || w.hasAny(m, g.forbidden) || g.inBad(w, m) || g.inBad(w, t.root) {
		return false
	}
	return g.inAll(w, m) || !foreign && g.inAll(w, t.root)
}

// node returns the node of the provider at a position of all.
func (t *tree) node(at int) int32 {
	if t.nodeAt[at] >= 0 {
		return t.nodeAt[at]
	}
	t.nodeAt[at] = int32(len(t.nodes))
	if len(t.nodes) < cap(t.nodes) {
		t.nodes = t.nodes[:len(t.nodes)+1]
	} else {
		t.nodes = append(t.nodes, node{})
	}
	n, m := &t.nodes[len(t.nodes)-1], t.all[at]
	p := t.q.w.provider(m)
	*n = node{
		number: m, uuid: p.uuid, root: p.root, sharing: t.q.shared && t.q.w.hasTrait(m, t.q.w.sharing),
		first: -1, ancestors: n.ancestors[:0], traits: n.traits[:0],
	}
	if at < t.home {
		n.first, n.last = at, t.last[at]
	}
	return t.nodeAt[at]
}

// findMulti notes the classes that several levels want.
func (t *tree) findMulti() {
	for k := range t.levels {
		l := &t.levels[k]
		for x := range l.want {
			l.multi = append(l.multi, t.multiOf(k, l.want[x].class))
		}
	}
}

func (t *tree) multiOf(k int, class uint32) int {
	for pos, c := range t.multi {
		if c == class {
			return pos
		}
	}
	for other := range t.levels {
		if other == k {
			continue
		}
		for _, x := range t.levels[other].want {
			if x.class == class {
				t.multi = append(t.multi, class)
				return len(t.multi) - 1
			}
		}
	}
	return -1
}

// describe fills in what the search reads of nodes and levels.
func (t *tree) describe() {
	n := len(t.multi)
	t.values = slices.Grow(t.values[:0], 3*len(t.nodes)*n)[:3*len(t.nodes)*n]
	for k := range t.nodes {
		t.describeNode(&t.nodes[k], t.values[3*n*k:3*n*(k+1)])
	}
	for k := range t.levels {
		l := &t.levels[k]
		l.key = t.levelKey(l)
		for _, groups := range t.q.subtrees {
			if l.last && t.complete(groups, l.group) {
				l.closes = append(l.closes, groups)
			}
		}
	}
}

func (t *tree) describeNode(n *node, values []int64) {
	w, multi := t.q.w, len(t.multi)
	n.room, n.unit, n.taken = values[:multi], values[multi:2*multi], values[2*multi:]
	for pos, class := range t.multi {
		n.room[pos], n.unit[pos], n.taken[pos] = 0, 0, 0
		if row := w.provider(n.number).row(class); row != nil {
			s := &w.shapes.rows[row.shape]
			n.room[pos], n.unit[pos] = s.capacity-row.used, s.inv.MaxUnit
		}
	}
	n.kind = t.kindOf(n.number)
	t.traitsOf(n)
	if len(t.q.subtrees) > 0 && n.first < 0 {
		for a := n.number; a != none; a = w.provider(a).parent {
			n.ancestors = append(n.ancestors, a)
		}
	}
}

// complete reports whether group now is the last of groups to be placed.
func (t *tree) complete(groups []int, now int) bool {
	return slices.Contains(groups, now) && slices.Max(groups) == now
}

// kindOf is equal for leaves below one parent that differ in nothing that a
// request can see. Others are of a kind of their own.
func (t *tree) kindOf(i uint32) uint64 {
	w := t.q.w
	p := w.provider(i)
	if p.child != none || p.parent == none || p.root != t.root {
		return mix(1, uint64(i))
	}
	h := mix(2, uint64(p.parent)<<32|uint64(p.traitSet))
	h = mix(h, uint64(p.aggSet))
	for k := range p.inv {
		h = mix(h, uint64(p.inv[k].shape))
		h = mix(h, uint64(p.inv[k].used))
	}
	return h
}

// traitsOf notes which lists that the group without suffix requires n meets.
func (t *tree) traitsOf(n *node) {
	for k := range t.q.groups {
		g := &t.q.groups[k]
		if g.single || len(g.required) == 0 {
			continue
		}
		for at := range g.required {
			if at%64 == 0 {
				n.traits = append(n.traits, 0)
			}
			if t.q.w.hasTraits(n.number, g.required[at:at+1], nil) {
				n.traits[at/64] |= 1 << (at % 64)
			}
		}
	}
}

// levelKey is equal for levels that put the same on a provider. Groups that
// same_subtree names differ, as it matters where each of them is.
func (t *tree) levelKey(l *level) uint64 {
	h := uint64(3)
	if g := &t.q.groups[l.group]; !g.single || named(t.q.req.SameSubtree, g.suffix) {
		h = mix(h, uint64(l.group)+7)
	}
	for _, x := range l.want {
		h = mix(mix(h, uint64(x.class)), uint64(x.amount))
	}
	return h
}

// mix is a step of a 64-bit hash over numbers.
func mix(h, v uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, v^0xd1b54a32d192ed03)
	return hi ^ lo ^ v
}
