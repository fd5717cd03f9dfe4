package topology

import "slices"

// The order in which Nova takes host CPUs from a core is the order in which
// CPython happens to iterate over a set of integers. Here is as much of that
// hash table as decides it: open addressing with nine linear probes, then a
// perturbed walk; an integer is its own hash.
//
// Source: CPython 3.11, Objects/setobject.c.

const (
	setLeast     = 8 // slots
	linearProbes = 9
	noCPU        = -1
)

// intSet is a set of integers of 0 or more, to which they are only added.
type intSet struct {
	slots []int // noCPU is free
	used  int
}

func newIntSet(size int) *intSet {
	s := &intSet{slots: make([]int, size)}
	for i := range s.slots {
		s.slots[i] = noCPU
	}
	return s
}

// slot returns where n is, or where it belongs.
func (s *intSet) slot(n int) int {
	mask := len(s.slots) - 1
	for i, perturb := n&mask, n; ; {
		last := i
		if i+linearProbes <= mask {
			last = i + linearProbes
		}
		for j := i; j <= last; j++ {
			if s.slots[j] == noCPU || s.slots[j] == n {
				return j
			}
		}
		perturb >>= 5
		i = (i*5 + 1 + perturb) & mask
	}
}

func (s *intSet) add(n int) {
	at := s.slot(n)
	if s.slots[at] == n {
		return
	}
	s.slots[at] = n
	s.used++
	if s.used*5 >= (len(s.slots)-1)*3 {
		*s = *s.copy(sizeAbove(s.used * 4))
	}
}

// copy returns the same set in a table of the given size.
func (s *intSet) copy(size int) *intSet {
	to := newIntSet(size)
	for _, n := range s.slots {
		if n != noCPU {
			to.slots[to.slot(n)] = n
			to.used++
		}
	}
	return to
}

func (s *intSet) order() []int {
	list := make([]int, 0, s.used)
	for _, n := range s.slots {
		if n != noCPU {
			list = append(list, n)
		}
	}
	return list
}

func sizeAbove(n int) int {
	size := setLeast
	for size <= n {
		size *= 2
	}
	return size
}

func setOf(list []int) *intSet {
	s := newIntSet(setLeast)
	for _, n := range list {
		s.add(n)
	}
	return s
}

func (s *intSet) has(n int) bool { return s.slots[s.slot(n)] == n }

// few is how many integers the smallest table holds: most cores have no more
// threads.
const few = 4

// appendSet appends the set of a list in its order.
func appendSet(to, list []int) []int {
	if len(list) > few {
		return append(to, setOf(list).order()...)
	}
	var slots [setLeast]int
	for i := range slots {
		slots[i] = noCPU
	}
	s := intSet{slots: slots[:]}
	for _, n := range list {
		slots[s.slot(n)] = n
	}
	for _, n := range slots {
		if n != noCPU {
			to = append(to, n)
		}
	}
	return to
}

// appendCoerced appends a set in the order that it has once a field of one of
// Nova's objects has taken it, which adds it to a new set and updates an empty
// one with that.
//
// Source: oslo.versionedobjects, fields.py, Set.coerce and CoercedSet.update.
func appendCoerced(to, order []int) []int {
	if len(order) <= few {
		return appendSet(to, order)
	}
	s := setOf(order)
	if size := sizeAbove(s.used * 2); size != len(s.slots) {
		s = s.copy(size)
	}
	return append(to, s.order()...)
}

// difference returns the order of pcpus - pinned, which is in any order.
func difference(pcpus, pinned []int) []int {
	taken := setOf(pinned)
	left := make([]int, 0, len(pcpus))
	for _, n := range pcpus {
		if !taken.has(n) {
			left = append(left, n)
		}
	}
	if len(pcpus)/4 > taken.used {
		return left // CPython copies the table, then deletes from it
	}
	return setOf(left).order()
}

// appendIntersection appends core & free in its order; set is free as a set.
func appendIntersection(to, core, free []int, set *intSet) []int {
	var buffer [few]int
	left := buffer[:0]
	if len(free) > len(core) { // CPython iterates over the smaller one
		for _, n := range core {
			if set.has(n) {
				left = append(left, n)
			}
		}
	} else {
		for _, n := range free {
			if slices.Contains(core, n) {
				left = append(left, n)
			}
		}
	}
	return appendSet(to, left)
}
