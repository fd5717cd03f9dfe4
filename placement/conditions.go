package placement

import (
	"fmt"
	"slices"
)

// conditions are a request group with its names looked up.
type conditions struct {
	want      []want
	required  [][]uint32 // traits: one of each list
	forbidden []uint32   // traits
	memberOf  [][]uint32 // aggregates: one of each list
	outside   []uint32   // aggregates
}

// want is an amount of a class.
type want struct {
	class  uint32
	amount int64
	name   string // of the class
}

// compile looks up g's names in w. Unknown classes and traits are an
// [*InputError]; unknown aggregates match nothing.
func (c *conditions) compile(w *world, g *RequestGroup) error {
	c.want = c.want[:0]
	for _, r := range g.Resources {
		class, known := w.classes.ids[r.Class]
		if !known {
			return badInput("resources"+g.Suffix, r.Class, "an existing resource class")
		}
		if r.Amount < 1 {
			return badInput("resources"+g.Suffix, fmt.Sprint(r.Class, ":", r.Amount), "amounts of 1 or more")
		}
		if slices.ContainsFunc(c.want, func(o want) bool { return o.class == class }) {
			return badInput("resources"+g.Suffix, r.Class, "each class once in a group")
		}
		c.want = append(c.want, want{class, r.Amount, r.Class})
	}
	var err error
	if c.required, err = w.traitLists(c.required[:0], "required"+g.Suffix, g.Required); err != nil {
		return err
	}
	if c.forbidden, err = w.traitIDs(c.forbidden[:0], "required"+g.Suffix, g.Forbidden); err != nil {
		return err
	}
	c.memberOf = c.memberOf[:0]
	for _, list := range g.MemberOf {
		var ids *[]uint32
		c.memberOf, ids = another(c.memberOf)
		*ids = w.aggregateNumbers(*ids, list)
	}
	c.outside = w.aggregateNumbers(c.outside[:0], g.ForbiddenAggregates)
	return nil
}

// checkConflict refuses a list of which every trait is forbidden.
//
// Source: placement, lib.py, _check_forbidden.
func checkConflict(suffix string, c *conditions) error {
	for _, list := range c.required {
		if len(c.forbidden) > 0 && !slices.ContainsFunc(list, func(t uint32) bool { return !slices.Contains(c.forbidden, t) }) {
			return badInput("required"+suffix, "a trait", "traits that are not forbidden in the same group")
		}
	}
	return nil
}

func (w *world) traitLists(dst [][]uint32, field string, lists [][]string) ([][]uint32, error) {
	for _, names := range lists {
		if len(names) == 0 {
			return dst, badInput(field, names, "at least one trait in each list")
		}
		var ids *[]uint32
		dst, ids = another(dst)
		var err error
		if *ids, err = w.traitIDs(*ids, field, names); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// another adds an empty list to lists, on memory that an earlier use left.
func another(lists [][]uint32) ([][]uint32, *[]uint32) {
	if len(lists) < cap(lists) {
		lists = lists[:len(lists)+1]
	} else {
		lists = append(lists, nil)
	}
	last := &lists[len(lists)-1]
	*last = (*last)[:0]
	return lists, last
}

func (w *world) traitIDs(dst []uint32, field string, names []string) ([]uint32, error) {
	for _, name := range names {
		id, known := w.traits.ids[name]
		if !known {
			return dst, badInput(field, name, "an existing trait")
		}
		dst = append(dst, id)
	}
	return dst, nil
}

func (w *world) aggregateNumbers(dst []uint32, uuids []UUID) []uint32 {
	for _, u := range uuids {
		if id, known := w.aggregates[u]; known {
			dst = append(dst, id)
		}
	}
	return dst
}

// fits reports whether provider i has room for one want.
func (w *world) fits(i uint32, x want) bool {
	row := w.provider(i).row(x.class)
	if row == nil {
		return false
	}
	s := &w.shapes.rows[row.shape]
	return x.amount <= s.capacity-row.used && s.inv.unitRule(x.amount) == ""
}

// fitsAll reports whether provider i alone has room for everything.
func (c *conditions) fitsAll(w *world, i uint32) bool {
	for _, x := range c.want {
		if !w.fits(i, x) {
			return false
		}
	}
	return true
}

// alone reports whether provider i alone satisfies the group.
func (c *conditions) alone(w *world, i uint32) bool {
	return c.fitsAll(w, i) && w.hasTraits(i, c.required, c.forbidden) && c.inAll(w, i) && !c.inBad(w, i)
}

func (w *world) hasTraits(i uint32, required [][]uint32, forbidden []uint32) bool {
	for _, list := range required {
		if !slices.ContainsFunc(list, func(t uint32) bool { return w.hasTrait(i, t) }) {
			return false
		}
	}
	return !w.hasAny(i, forbidden)
}

func (w *world) hasAny(i uint32, traits []uint32) bool {
	for _, t := range traits {
		if w.hasTrait(i, t) {
			return true
		}
	}
	return false
}

// inAll reports whether i itself is in one aggregate of every list.
func (c *conditions) inAll(w *world, i uint32) bool {
	for _, list := range c.memberOf {
		if !slices.ContainsFunc(list, func(a uint32) bool { return w.inAggregate(i, a) }) {
			return false
		}
	}
	return true
}

// inBad reports whether i itself is in a forbidden aggregate.
func (c *conditions) inBad(w *world, i uint32) bool {
	for _, a := range c.outside {
		if w.inAggregate(i, a) {
			return true
		}
	}
	return false
}

// A mask finds the providers that alone can satisfy conditions, a word of 64
// at a time, up to the exact fit of amounts.
type mask struct {
	and   []*bitmap
	anyOf [][]*bitmap
	not   []*bitmap
	empty bool // nothing can match
}

func (m *mask) reset() { m.and, m.anyOf, m.not, m.empty = m.and[:0], m.anyOf[:0], m.not[:0], false }

// require keeps the rarest bitmap first: it ends most words early.
func (m *mask) require(b *bitmap) {
	if b == nil || b.n == 0 {
		m.empty = true
		return
	}
	m.and = append(m.and, b)
	for k := len(m.and) - 1; k > 0 && m.and[k].n < m.and[k-1].n; k-- {
		m.and[k], m.and[k-1] = m.and[k-1], m.and[k]
	}
}

// conditions adds everything that c asks of a provider that stands alone.
func (m *mask) conditions(w *world, c *conditions) {
	for _, x := range c.want {
		m.require(w.roomOf(x.class).atLeast(x.amount))
	}
	m.traits(w, c.required, c.forbidden)
	for _, list := range c.memberOf {
		m.oneOf(list, func(a uint32) *bitmap { return w.aggregated[a] })
	}
	for _, a := range c.outside {
		m.not = append(m.not, w.aggregated[a])
	}
}

func (m *mask) traits(w *world, required [][]uint32, forbidden []uint32) {
	for _, list := range required {
		m.oneOf(list, w.traitBits)
	}
	for _, t := range forbidden {
		if b := w.traitBits(t); b != nil {
			m.not = append(m.not, b)
		}
	}
}

func (m *mask) oneOf(list []uint32, bits func(uint32) *bitmap) {
	if len(list) == 1 {
		m.require(bits(list[0]))
		return
	}
	var some []*bitmap
	for _, id := range list {
		if b := bits(id); b != nil && b.n > 0 {
			some = append(some, b)
		}
	}
	m.anyOf = append(m.anyOf, some)
	m.empty = m.empty || len(some) == 0
}

// smallest is the size of the smallest set that every match is in.
func (m *mask) smallest() int {
	if m.empty {
		return 0
	}
	return m.and[0].n
}

// words returns which words of page p can hold a match.
func (m *mask) words(p uint32) uint64 {
	if m.empty {
		return 0
	}
	some := ^uint64(0)
	for _, b := range m.and {
		page := b.page(p)
		if page == nil {
			return 0
		}
		some &= page.some
	}
	return some
}

// word returns the possible matches among providers w*64 to w*64+63, of which
// words has said that there can be some.
func (m *mask) word(w uint32) uint64 {
	p, k := w/pageWords, w%pageWords
	bits := ^uint64(0)
	for _, b := range m.and {
		if bits &= b.pages[p].words[k]; bits == 0 {
			return 0
		}
	}
	for _, some := range m.anyOf {
		var or uint64
		for _, b := range some {
			or |= b.word(w)
		}
		bits &= or
	}
	for _, b := range m.not {
		bits &^= b.word(w)
	}
	return bits
}
