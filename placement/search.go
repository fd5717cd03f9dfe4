package placement

import "slices"

// A search walks the choices of a captured tree depth first. It can be left
// after any answer and taken up again; it holds no lock.
//
// Failed states are remembered by what matters for the rest of the search:
// how many levels are placed, and what lies on each kind of provider. So
// interchangeable siblings are not tried in every permutation, and a request
// that cannot be met is refused in time that grows with the number of kinds
// of providers. The memory is bounded; without it answers are the same.
type search struct {
	tree
	choice  []int32 // by level: position in its options
	found   []bool  // by level: an answer lies below the present choices
	started bool
	wasted  int                   // levels left without an answer
	failed  map[uint64]struct{}   // states without an answer
	tried   []map[uint64]struct{} // by level, in representative mode: kinds
}

const (
	patience  = 16      // levels left in vain before failures are remembered
	maxFailed = 1 << 16 // failures remembered
)

// begin starts at the first choice of the captured tree.
func (s *search) begin() {
	n := len(s.levels)
	s.choice, s.found = slices.Grow(s.choice[:0], n)[:n], slices.Grow(s.found[:0], n)[:n]
	s.started, s.wasted, s.failed = false, 0, nil
	for s.q.req.Representative && len(s.tried) < n {
		s.tried = append(s.tried, map[uint64]struct{}{})
	}
}

// next moves to the next answer and reports whether there is one.
func (s *search) next() bool {
	last := len(s.levels) - 1
	d := last
	if s.started {
		s.undo(d)
	} else {
		s.started = true
		d = 0
		s.enter(0)
	}
	for d >= 0 {
		switch {
		case !s.advance(d):
			s.leave(d)
			if d--; d >= 0 {
				s.undo(d)
			}
		case d == last:
			for k := range s.found {
				s.found[k] = true
			}
			return true
		default:
			if s.enter(d + 1) {
				d++
			} else {
				s.undo(d)
			}
		}
	}
	return false
}

// enter starts level d, unless its state is known to fail.
func (s *search) enter(d int) bool {
	if len(s.failed) > 0 {
		if _, known := s.failed[s.state(d)]; known {
			return false
		}
	}
	s.choice[d], s.found[d] = -1, false
	if s.q.req.Representative {
		clear(s.tried[d])
	}
	return true
}

// leave ends level d: every option has been tried.
func (s *search) leave(d int) {
	if s.found[d] {
		return
	}
	if s.wasted++; s.wasted <= patience || len(s.failed) >= maxFailed {
		return
	}
	if s.failed == nil {
		s.failed = map[uint64]struct{}{}
	}
	s.failed[s.state(d)] = struct{}{}
}

// state hashes how deep the search is and what lies on which kind of
// provider. Each provider counts once, however often it was chosen.
func (s *search) state(d int) uint64 {
	h := mix(5, uint64(d))
	for k := range d {
		n := s.chosen(k)
		first := true
		for j := range k {
			first = first && s.chosen(j) != n
		}
		if first {
			h += mix(n.kind, n.key)
		}
	}
	return h
}

func (s *search) chosen(d int) *node {
	l := &s.levels[d]
	return &s.nodes[l.options[s.choice[d]]]
}

// advance takes the next option of level d that goes with the choices above.
func (s *search) advance(d int) bool {
	l := &s.levels[d]
	for s.choice[d]++; int(s.choice[d]) < len(l.options); s.choice[d]++ {
		n := s.chosen(d)
		if !s.allowed(l, n) || s.repeats(d, n) {
			continue
		}
		s.put(l, n)
		if s.holds(d, l) {
			return true
		}
		s.take(l, n)
	}
	return false
}

// allowed checks group policy and summed-up amounts.
//
// Source: placement, objects/allocation_candidate.py, _satisfies_group_policy
// and exceeds_capacity: sums are checked against capacity and max_unit only.
func (s *search) allowed(l *level, n *node) bool {
	if s.q.req.Policy == PolicyIsolate && n.users > 0 && s.q.groups[l.group].single {
		return false
	}
	for x, pos := range l.multi {
		if pos < 0 {
			continue
		}
		if sum := n.taken[pos] + l.want[x].amount; sum > n.room[pos] || sum > n.unit[pos] {
			return false
		}
	}
	return true
}

// repeats reports, in representative mode, whether an interchangeable sibling
// in the same state has been tried at this level already.
func (s *search) repeats(d int, n *node) bool {
	if !s.q.req.Representative {
		return false
	}
	h := mix(n.kind, n.key)
	_, known := s.tried[d][h]
	s.tried[d][h] = struct{}{}
	return known
}

func (s *search) put(l *level, n *node) {
	for x, pos := range l.multi {
		if pos >= 0 {
			n.taken[pos] += l.want[x].amount
		}
	}
	if s.q.groups[l.group].single {
		n.users++
	}
	n.key += l.key
}

func (s *search) take(l *level, n *node) {
	for x, pos := range l.multi {
		if pos >= 0 {
			n.taken[pos] -= l.want[x].amount
		}
	}
	if s.q.groups[l.group].single {
		n.users--
	}
	n.key -= l.key
}

func (s *search) undo(d int) { s.take(&s.levels[d], s.chosen(d)) }

// holds checks what can be checked once level d is placed.
func (s *search) holds(d int, l *level) bool {
	g := &s.q.groups[l.group]
	if l.last && !g.single && !s.traitsMet(d, l.group, g) {
		return false
	}
	for _, groups := range l.closes {
		if !s.sameSubtree(d, groups) {
			return false
		}
	}
	return true
}

// traitsMet: the providers of the group without suffix together have the
// required traits.
func (s *search) traitsMet(d, group int, g *group) bool {
	if len(g.required) == 0 {
		return true
	}
	for word := range (len(g.required) + 63) / 64 {
		var met uint64
		for k := d; k >= 0 && s.levels[k].group == group; k-- {
			met |= s.chosen(k).traits[word]
		}
		if lists := min(64, len(g.required)-64*word); met != ^uint64(0)>>(64-lists) {
			return false
		}
	}
	return true
}

// sameSubtree: one of the providers of the groups is an ancestor of all.
func (s *search) sameSubtree(d int, groups []int) bool {
	for k := 0; k <= d; k++ {
		if slices.Contains(groups, s.levels[k].group) && s.aboveAll(s.chosen(k), d, groups) {
			return true
		}
	}
	return false
}

func (s *search) aboveAll(top *node, d int, groups []int) bool {
	for k := 0; k <= d; k++ {
		if slices.Contains(groups, s.levels[k].group) && !top.above(s.chosen(k)) {
			return false
		}
	}
	return true
}

// above reports whether n is an ancestor of m or m itself.
func (n *node) above(m *node) bool {
	if n.first < 0 || m.first < 0 {
		return slices.Contains(m.ancestors, n.number)
	}
	return n.first <= m.first && m.first <= n.last
}
