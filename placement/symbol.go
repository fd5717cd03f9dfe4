package placement

import (
	_ "embed" // the standard names are data
	"slices"
	"strings"
)

//go:embed data/classes.txt
var classNames string

//go:embed data/traits.txt
var traitNames string

const (
	customPrefix = "CUSTOM_"
	maxName      = 255
)

// StandardClasses returns the resource classes that every engine knows, in
// the order of os-resource-classes. The caller owns the slice.
func StandardClasses() []string { return dataLines(classNames) }

// StandardTraits returns the traits that every engine knows, the os-traits
// list in its stored order. The caller owns the slice.
func StandardTraits() []string { return dataLines(traitNames) }

func dataLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, "#") })
}

// A symtab numbers names. Standard names have the first numbers, the same in
// every engine; numbers of removed names are used again.
type symtab struct {
	ids      map[string]uint32
	names    []string // "": free
	versions []uint64 // of the store record; 0 for standard and implied names
	free     []uint32
	standard uint32
}

func newSymtab(standard []string) symtab {
	t := symtab{ids: make(map[string]uint32, len(standard)), standard: uint32(len(standard))}
	for _, name := range standard {
		t.intern(name)
	}
	return t
}

// intern returns the number of name, a new one when it is unknown.
func (t *symtab) intern(name string) uint32 {
	if id, ok := t.ids[name]; ok {
		return id
	}
	name = strings.Clone(name)
	id := uint32(len(t.names))
	if n := len(t.free); n > 0 {
		id, t.free = t.free[n-1], t.free[:n-1]
		t.names[id], t.versions[id] = name, 0
	} else {
		t.names, t.versions = append(t.names, name), append(t.versions, 0)
	}
	t.ids[name] = id
	return id
}

func (t *symtab) remove(id uint32) {
	delete(t.ids, t.names[id])
	t.names[id], t.versions[id] = "", 0
	t.free = append(t.free, id)
}

// checkCustomName accepts CUSTOM_ and at least one of A-Z, 0-9 and _, up to
// 255 characters in all.
//
// Source: placement, schemas/common.py, CUSTOM_RC_PATTERN.
func checkCustomName(field, name string) error {
	rest, custom := strings.CutPrefix(name, customPrefix)
	if !custom || rest == "" || len(name) > maxName || !onlyNameChars(rest) {
		return badInput(field, name, "CUSTOM_ followed by A-Z, 0-9 and _, at most 255 characters")
	}
	return nil
}

const nameChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"

func onlyNameChars(s string) bool {
	for i := range len(s) {
		if strings.IndexByte(nameChars, s[i]) < 0 {
			return false
		}
	}
	return true
}

// A setTable interns sets of numbers, since a million hosts have a handful of
// different sets of traits and of aggregates. Set 0 is the empty one.
type setTable struct {
	ids  map[string]uint32
	sets [][]uint32
	refs []uint32
	free []uint32
}

func newSetTable() setTable {
	return setTable{ids: map[string]uint32{"": 0}, sets: [][]uint32{nil}, refs: []uint32{1}}
}

// hold returns the number of the sorted set and counts a reference.
func (t *setTable) hold(set []uint32) uint32 {
	key := make([]byte, 0, len(set)*4)
	for _, v := range set {
		key = append(key, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	id, known := t.ids[string(key)]
	if !known {
		set = slices.Clone(set)
		if n := len(t.free); n > 0 {
			id, t.free = t.free[n-1], t.free[:n-1]
			t.sets[id] = set
		} else {
			id = uint32(len(t.sets))
			t.sets, t.refs = append(t.sets, set), append(t.refs, 0)
		}
		t.ids[string(key)] = id
	}
	t.refs[id]++
	return id
}

// drop gives one reference back.
func (t *setTable) drop(id uint32) {
	if t.refs[id]--; t.refs[id] > 0 || id == 0 {
		return
	}
	key := make([]byte, 0, len(t.sets[id])*4)
	for _, v := range t.sets[id] {
		key = append(key, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	delete(t.ids, string(key))
	t.sets[id] = nil
	t.free = append(t.free, id)
}
