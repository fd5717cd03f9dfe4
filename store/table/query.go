package table

import (
	"slices"
	"strings"
)

// Equal demands that a column has a value, in its ordered form.
type Equal struct {
	Column, Value string
}

// Query asks for a page of rows.
type Query[R any] struct {
	Where []Equal       // all of them hold
	Match func(*R) bool // and this; nil: every row
	// Sort orders the rows. Rows that are equal in all of it are in the order
	// of their primary keys, in the direction of the last column.
	Sort  []Sort
	After *R  // only rows that come after this one, which need not exist; nil: from the first
	Limit int // rows at most; 0: all
}

// Get returns the row with a primary key, and whether there is one.
func (t *Table[R]) Get(tx *Tx, key string) (R, bool) {
	if w := tx.read(t, key); w != nil {
		v, _ := w.value.(R)
		return v, !w.deleted
	}
	if r := t.state.rows[key]; r != nil {
		return r.value, true
	}
	var none R
	return none, false
}

// Count returns how many rows there are. Within an Update it does not see the
// Update's own changes, and does not make it run again when the number changes.
func (t *Table[R]) Count(*Tx) int { return len(t.state.rows) }

// Page returns rows in order; nil when there are none. It is answered from an
// index when one begins with the columns of Where and goes on with those of
// Sort, all in their directions or all against; the cost is then that of the
// rows returned. Otherwise it is that of all rows that Where leaves to sort; a
// table of up to 262,144 rows grows an index for what is asked for again, and
// keeps the four used last.
//
// Within an Update it does not see the Update's own changes, and does not
// make it run again when the page changes.
func (t *Table[R]) Page(_ *Tx, q Query[R]) ([]R, error) {
	p, err := t.plan(q)
	if err != nil {
		return nil, err
	}
	p.walk()
	if p.seen-len(p.rows) >= t.worth && (p.rest != nil || p.equal < len(p.where)) {
		p.wish()
	}
	return p.rows, nil
}

// plan is how a page is made.
type plan[R any] struct {
	table  *Table[R]
	query  Query[R]
	where  map[string]string
	order  []Sort
	index  *index[R]
	tree   *tree[R] // of the index
	back   bool     // the index is walked from its end
	seen   int      // rows that were looked at
	equal  int      // leading columns of the index that Where gives
	prefix string
	sorted int             // columns after those that serve the order
	filter []func(*R) bool // what Where and Match demand
	rest   []rest[R]       // what rows equal in the columns before, a group, are sorted by; nil: all in order
	skip   string          // the place of the row that the page begins after
	start  []string        // what that row has in rest
	group  string
	held   []held[R] // the rows of the group
	worst  []string  // what the last row of the group that may be of use has in rest; nil: not known yet
	rows   []R
}

// rest is a column that no index serves.
type rest[R any] struct {
	value func(*R) string
	desc  bool
}

// heldMore is how many rows more than twice what is wanted are held before
// they are sorted.
const heldMore = 32

// held is a row of a group with what it is sorted by.
type held[R any] struct {
	by  string
	row *row[R]
}

// total returns the order with the primary key in it, and nothing after that.
func total(order []Sort) []Sort {
	if i := slices.IndexFunc(order, func(s Sort) bool { return s.Column == Key }); i >= 0 {
		return order[:i+1]
	}
	last := Sort{Column: Key}
	if n := len(order); n > 0 {
		last.Desc = order[n-1].Desc
	}
	return append(slices.Clip(order), last)
}

func (t *Table[R]) plan(q Query[R]) (*plan[R], error) {
	p := &plan[R]{table: t, query: q, where: map[string]string{}, order: total(q.Sort)}
	for _, w := range q.Where {
		value, err := t.column(w.Column)
		if err != nil {
			return nil, err
		}
		if was, twice := p.where[w.Column]; twice && was != w.Value {
			p.filter = append(p.filter, func(*R) bool { return false })
		}
		p.where[w.Column] = w.Value
		p.filter = append(p.filter, func(v *R) bool { return value(v) == w.Value })
	}
	if q.Match != nil {
		p.filter = append(p.filter, q.Match)
	}
	p.choose()
	for _, s := range p.order[p.sorted:] {
		value, err := t.column(s.Column)
		if err != nil {
			return nil, err
		}
		p.rest = append(p.rest, rest[R]{value, s.Desc})
	}
	if q.After != nil {
		p.start = p.values(q.After)
	}
	return p, nil
}

// choose takes the index that serves most.
func (p *plan[R]) choose() {
	p.equal = -1
	st := p.table.state
	for i := range p.table.indexes {
		p.consider(&p.table.indexes[i], st.trees[i])
	}
	var used *grown[R]
	for _, x := range st.garden.all() {
		if p.consider(&x.index, x.tree) {
			used = x
		}
	}
	if used != nil {
		used.used.Store(st.garden.clock.Add(1))
	}
	for _, s := range p.index.sort[:p.equal] {
		p.prefix += directed(p.where[s.Column], s.Desc)
	}
}

// consider takes an index if it serves more than what was taken before.
func (p *plan[R]) consider(x *index[R], t *tree[R]) bool {
	equal, sorted, back := x.serves(p.where, p.order)
	better := equal > p.equal || equal == p.equal && sorted > p.sorted
	if better {
		p.index, p.tree, p.back, p.equal, p.sorted = x, t, back, equal, sorted
	}
	return better
}

// serves returns how many leading columns of the index are given, how many
// columns of the order follow in it, and whether it is to be walked backward.
func (x *index[R]) serves(where map[string]string, order []Sort) (equal, sorted int, back bool) {
	for equal < len(x.sort) {
		if _, given := where[x.sort[equal].Column]; !given {
			break
		}
		equal++
	}
	columns := append(slices.Clip(x.sort[equal:]), Sort{Column: Key})
	for sorted < len(order) && sorted < len(columns) && columns[sorted].Column == order[sorted].Column {
		against := columns[sorted].Desc != order[sorted].Desc
		if sorted > 0 && against != back {
			break
		}
		back = against
		sorted++
	}
	return equal, sorted, back
}

func (p *plan[R]) full() bool { return p.query.Limit > 0 && len(p.rows) >= p.query.Limit }

// at returns what the places of the rows of v's group begin with.
func (p *plan[R]) at(v *R) string {
	x, at := p.index, p.prefix
	for i := p.equal; i < min(p.equal+p.sorted, len(x.sort)); i++ {
		at += directed(x.values[i](v), x.sort[i].Desc)
	}
	return at
}

// bounds returns where the walk begins and ends, forward.
func (p *plan[R]) bounds() (first, end string) {
	first, end = p.prefix, past(p.prefix)
	after := p.query.After
	if after == nil {
		return first, end
	}
	p.skip = p.at(after)
	if p.rest == nil {
		p.skip += p.table.spec.Key(after)
	}
	switch {
	case !p.back:
		return max(first, p.skip), end
	case p.rest == nil:
		return first, sooner(end, p.skip)
	}
	return first, sooner(end, past(p.skip))
}

func (p *plan[R]) walk() {
	t := p.tree
	first, end := p.bounds()
	visit := func(e entry[R]) bool {
		p.seen++
		switch {
		case !strings.HasPrefix(e.at, p.prefix):
			return false
		case p.rest == nil:
			return p.take(e)
		}
		return p.gather(e)
	}
	if p.back {
		t.descend(end, visit)
	} else {
		t.ascend(first, visit)
	}
	p.flush()
}

// sooner returns the lesser of two ends, where "" is no end.
func sooner(a, b string) string {
	if a == "" || b != "" && b < a {
		return b
	}
	return a
}

// take takes the next row in order, and reports whether to go on.
func (p *plan[R]) take(e entry[R]) bool {
	if p.query.After != nil && e.at == p.skip {
		return true
	}
	if p.wanted(&e.row.value) {
		p.rows = append(p.rows, e.row.value)
	}
	return !p.full()
}

// gather takes the next row of a group, and reports whether to go on.
func (p *plan[R]) gather(e entry[R]) bool {
	if group := p.at(&e.row.value); group != p.group {
		p.flush()
		p.group = group
		if p.full() {
			return false
		}
	}
	if p.wanted(&e.row.value) {
		p.hold(e.row)
	}
	return true
}

func (p *plan[R]) wanted(v *R) bool {
	for _, holds := range p.filter {
		if !holds(v) {
			return false
		}
	}
	return true
}

// hold adds a row to the group. No more are kept than the page may still take.
func (p *plan[R]) hold(r *row[R]) {
	if p.worst != nil && p.compare(&r.value, p.worst) > 0 {
		return
	}
	if p.query.After != nil && p.group == p.skip && p.compare(&r.value, p.start) <= 0 {
		return
	}
	p.held = append(p.held, held[R]{p.by(&r.value), r})
	if room := p.query.Limit - len(p.rows); p.query.Limit > 0 && len(p.held) >= 2*room+heldMore {
		p.sortHeld()
		clear(p.held[room:])
		p.held = p.held[:room]
		p.worst = p.values(&p.held[room-1].row.value)
	}
}

func (p *plan[R]) values(v *R) []string {
	all := make([]string, len(p.rest))
	for i, c := range p.rest {
		all[i] = c.value(v)
	}
	return all
}

// compare returns whether v comes before (negative) or after (positive) the
// row of the group with these values. Most rows are told apart by their first
// column, so that those of no use cost little.
func (p *plan[R]) compare(v *R, values []string) int {
	for i, c := range p.rest {
		if n := strings.Compare(c.value(v), values[i]); n != 0 {
			if c.desc {
				return -n
			}
			return n
		}
	}
	return 0
}

func (p *plan[R]) by(v *R) string {
	var b strings.Builder
	for _, c := range p.rest {
		b.WriteString(directed(c.value(v), c.desc))
	}
	return b.String()
}

func (p *plan[R]) sortHeld() {
	slices.SortFunc(p.held, func(a, b held[R]) int { return strings.Compare(a.by, b.by) })
}

// flush ends the group.
func (p *plan[R]) flush() {
	p.sortHeld()
	for _, h := range p.held {
		if p.full() {
			break
		}
		p.rows = append(p.rows, h.row.value)
	}
	clear(p.held)
	p.held, p.worst = p.held[:0], nil
}
