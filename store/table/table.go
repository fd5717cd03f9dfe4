package table

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/store"
)

// LastKind is the greatest kind that a table may have; those above it are the
// schema's and other users' of the store.
const LastKind store.Kind = 180

// Key names the primary key where the name of a column is asked for.
const Key = ""

// Column is a value of a row that pages are sorted by and found by.
type Column[R any] struct {
	Name  string
	Value func(*R) string // by [Text], [Int], [Time] or [Bool]
}

// Sort orders rows by one column.
type Sort struct {
	Column string
	Desc   bool
}

// Spec says what the rows of a table are.
type Spec[R any] struct {
	Name    string
	Kind    store.Kind // of its records, from 1 to LastKind
	Key     func(*R) string
	Encode  func(*R) []byte
	Decode  func(*Decoder) R
	Columns []Column[R]
	// Indexes lists orders in which rows are kept, beside that of the primary
	// key, which also ends each of them. Pages in any other order are sorted
	// when they are asked for, until [Table.Page] grows an index for it.
	Indexes [][]Sort
}

// Table holds rows of type R once it is part of an open [DB].
type Table[R any] struct {
	spec    Spec[R]
	columns map[string]func(*R) string
	indexes []index[R] // the first one is the primary key's
	state   *state[R]  // guarded by the DB's mu
	decoder Decoder    // used by who loads or follows the store
	worth   int        // how many rows a page looks at in vain before it asks for an index
	db      *DB
}

// Definition is a [Table] of any type of row.
type Definition interface {
	name() string
	kind() store.Kind
	bind(db *DB) error
	unbind()
	content
}

// content is what a table holds. A state is that of all rows at a revision:
// those that are loaded into it until it is indexed. Put, remove and version are
// about the one in use.
type content interface {
	fresh() (state any)
	load(state, row any)
	index(state any)
	use(state any)
	decode(key string, version uint64, value []byte) (row any, err error)
	put(row any)
	remove(key string) (was bool)
	version(key string) uint64
}

// row is one row; it never changes.
type row[R any] struct {
	key     string
	version uint64
	value   R
}

type state[R any] struct {
	loaded []*row[R] // until it is indexed
	rows   map[string]*row[R]
	trees  []*tree[R] // by index
	garden garden[R]
}

// index is an order in which rows are kept. The primary key ends it.
type index[R any] struct {
	sort   []Sort
	values []func(*R) string
}

// New returns a table that is not part of a database yet. What is wrong with
// s is reported by [Open].
func New[R any](s Spec[R]) *Table[R] {
	t := &Table[R]{spec: s, columns: map[string]func(*R) string{}, worth: worthIndex}
	for _, c := range s.Columns {
		t.columns[c.Name] = c.Value
	}
	t.indexes = append(t.indexes, index[R]{})
	for _, order := range s.Indexes {
		x := index[R]{sort: order}
		for _, c := range order {
			x.values = append(x.values, t.columns[c.Column])
		}
		t.indexes = append(t.indexes, x)
	}
	return t
}

func (t *Table[R]) name() string     { return t.spec.Name }
func (t *Table[R]) kind() store.Kind { return t.spec.Kind }

func (t *Table[R]) bind(db *DB) error {
	s := &t.spec
	if s.Kind == 0 || s.Kind > LastKind {
		return fmt.Errorf("kind of table %q is %d, allowed are 1 to %d", s.Name, s.Kind, LastKind)
	}
	if s.Key == nil || s.Encode == nil || s.Decode == nil {
		return fmt.Errorf("table %q lacks Key, Encode or Decode", s.Name)
	}
	for _, x := range t.indexes {
		for i, c := range x.sort {
			if x.values[i] == nil {
				return fmt.Errorf("index of table %q names column %q: %w", s.Name, c.Column, ErrUnknownColumn)
			}
		}
	}
	if t.db != nil {
		return fmt.Errorf("table %q is part of another open database", s.Name)
	}
	t.db = db
	return nil
}

func (t *Table[R]) unbind() { t.db = nil }

func (t *Table[R]) fresh() any { return &state[R]{} }

// load puts a row, of which there is no other version, into a state that is
// not indexed yet.
func (t *Table[R]) load(into, r any) {
	st, _ := into.(*state[R])
	one, _ := r.(*row[R])
	st.loaded = append(st.loaded, one)
}

// index makes the trees of a state.
func (t *Table[R]) index(of any) {
	st, _ := of.(*state[R])
	st.rows = make(map[string]*row[R], len(st.loaded))
	for _, r := range st.loaded {
		st.rows[r.key] = r
	}
	with := &sorting{places: make([]string, 0, len(st.loaded))}
	for i := range t.indexes {
		st.trees = append(st.trees, t.indexes[i].grow(st.loaded, with))
	}
	st.loaded = nil
}

func (t *Table[R]) use(st any) { t.state, _ = st.(*state[R]) }

func (t *Table[R]) decode(key string, version uint64, value []byte) (any, error) {
	d := &t.decoder
	d.buf, d.err, d.key = value, nil, key
	v := t.spec.Decode(d)
	err := d.Err()
	if err == nil && t.spec.Key(&v) != key {
		err = fmt.Errorf("it has the key %q: %w", t.spec.Key(&v), errMalformed)
	}
	if err != nil {
		return nil, fmt.Errorf("decode row %q of table %q: %w", key, t.spec.Name, err)
	}
	return &row[R]{key, version, v}, nil
}

// put puts a row in, in place of the one with its key.
func (t *Table[R]) put(r any) {
	now, _ := r.(*row[R])
	old := t.state.rows[now.key]
	t.state.rows[now.key] = now
	for i := range t.indexes {
		t.indexes[i].put(t.state.trees[i], old, now)
	}
	for _, x := range t.state.garden.all() {
		x.put(x.tree, old, now)
	}
}

// put puts a row into the index's tree, in place of another, which may be nil.
func (x *index[R]) put(t *tree[R], old, now *row[R]) {
	at := x.place(now)
	if old != nil {
		if was := x.place(old); was != at {
			t.remove(was)
		}
	}
	t.set(entry[R]{at, now})
}

// remove takes a row out, and reports whether it was there.
func (t *Table[R]) remove(key string) bool {
	old := t.state.rows[key]
	if old == nil {
		return false
	}
	delete(t.state.rows, key)
	for i := range t.indexes {
		t.state.trees[i].remove(t.indexes[i].place(old))
	}
	for _, x := range t.state.garden.all() {
		x.tree.remove(x.place(old))
	}
	return true
}

func (t *Table[R]) version(key string) uint64 {
	if r := t.state.rows[key]; r != nil {
		return r.version
	}
	return 0
}

// place returns where a row stands in the index.
func (x *index[R]) place(r *row[R]) string {
	if len(x.sort) == 0 {
		return r.key
	}
	parts := make([]string, 0, 8)
	for i, value := range x.values {
		parts = append(parts, directed(value(&r.value), x.sort[i].Desc))
	}
	return strings.Join(append(parts, r.key), "")
}

func directed(s string, desc bool) string {
	if desc {
		return reversed(s)
	}
	return s
}

// column returns how the values of a column are had.
func (t *Table[R]) column(name string) (func(*R) string, error) {
	if value := t.columns[name]; value != nil {
		return value, nil
	}
	if name == Key {
		return func(v *R) string { return Text(t.spec.Key(v)) }, nil
	}
	known := make([]string, 0, len(t.columns))
	for c := range t.columns {
		known = append(known, c)
	}
	slices.Sort(known)
	return nil, fmt.Errorf("column of table %q is %q, allowed are %q: %w", t.spec.Name, name, known, ErrUnknownColumn)
}
