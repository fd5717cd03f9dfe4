package table

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// grownIndexes is how many indexes a table grows at most, and remembered
	// how many of those that it has not grown were asked for once.
	grownIndexes, remembered = 4, 16
	// worthIndex is how many rows more than it returns a page has to look at to
	// be worth one.
	worthIndex = 4096
	// largestGrown is how many rows a table that grows one may have: writers
	// wait meanwhile, for about 1 us a row.
	largestGrown = 1 << 18
)

// garden is the indexes that a table grew for orders that its own do not
// serve. Readers change it while they keep writers out; writers keep its trees
// current.
type garden[R any] struct {
	grown atomic.Pointer[[]*grown[R]]
	clock atomic.Int64

	growing sync.Mutex // of who adds one; who comes second goes without
	asked   [][]Sort   // what pages would have liked once, latest last
}

type grown[R any] struct {
	index[R]
	tree *tree[R]
	used atomic.Int64 // by the garden's clock
}

func (g *garden[R]) all() []*grown[R] {
	if all := g.grown.Load(); all != nil {
		return *all
	}
	return nil
}

// wish asks for an index that serves a page wholly. The second time that
// somebody does it is grown, in place of the one that was not used for longest.
func (p *plan[R]) wish() {
	st := p.table.state
	g := &st.garden
	if len(st.rows) > largestGrown || !g.growing.TryLock() {
		return
	}
	defer g.growing.Unlock()
	x := &grown[R]{index: p.ideal()}
	if equal, sorted, _ := x.serves(p.where, p.order); equal < len(p.where) || sorted < len(p.order) {
		return // a column is given and sorted by as well
	}
	same := func(s []Sort) bool { return slices.Equal(s, x.sort) }
	if slices.ContainsFunc(g.all(), func(o *grown[R]) bool { return same(o.sort) }) {
		return
	}
	i := slices.IndexFunc(g.asked, same)
	if i < 0 {
		g.asked = append(g.asked[max(0, len(g.asked)-remembered+1):], x.sort)
		return
	}
	g.asked = slices.Delete(g.asked, i, i+1)
	x.tree = x.grow(slices.Collect(maps.Values(st.rows)), &sorting{})
	x.used.Store(g.clock.Add(1))
	all := append([]*grown[R]{x}, g.all()...)
	if len(all) > grownIndexes {
		slices.SortFunc(all, func(a, b *grown[R]) int { return cmp.Compare(b.used.Load(), a.used.Load()) })
		all = all[:grownIndexes]
	}
	g.grown.Store(&all)
}

// ideal returns the index that serves the page wholly: the columns that are
// given, then those of the order. It ends with the primary key forward, so one
// for an order that ends with it backward is to be walked from its end.
func (p *plan[R]) ideal() index[R] {
	var x index[R]
	for _, c := range slices.Sorted(maps.Keys(p.where)) {
		x.sort = append(x.sort, Sort{Column: c})
	}
	last := len(p.order) - 1
	for _, s := range p.order[:last] {
		x.sort = append(x.sort, Sort{s.Column, s.Desc != p.order[last].Desc})
	}
	for _, s := range x.sort {
		value, _ := p.table.column(s.Column) // the plan has found it before
		x.values = append(x.values, value)
	}
	return x
}
