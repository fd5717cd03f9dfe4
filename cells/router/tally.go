package router

import (
	"maps"
	"math"
	"slices"

	"github.com/google/btree"
)

// Host is what a host of a cell has free.
type Host struct {
	// Free is what is free of a class, and Largest, where there is an entry, how
	// much of it a single instance may take at most.
	Free    map[string]int64
	Largest map[string]int64
	Traits  []string
}

// Tally counts the hosts of one cell for its summaries. A change of a host
// costs O(shapes + classes*log(hosts)). It is used by one goroutine at a time.
type Tally struct {
	shapes   []Shape
	hosts    map[string]Host
	fits     map[string]int64
	traits   map[string]int
	levels   map[string]*btree.BTreeG[level] // by class
	revision uint64
}

// level is how much of a class is free on a host.
type level struct {
	free int64
	host string
}

func (l level) less(than level) bool {
	return l.free < than.free || l.free == than.free && l.host < than.host
}

// NewTally returns a tally without hosts that counts instances of some shapes.
// Its summaries have revisions above the one given.
func NewTally(above uint64, shapes ...Shape) *Tally {
	t := &Tally{
		hosts: map[string]Host{}, fits: map[string]int64{}, traits: map[string]int{},
		levels: map[string]*btree.BTreeG[level]{}, revision: above,
	}
	for _, s := range shapes {
		if _, twice := t.fits[s.id]; !twice {
			t.shapes = append(t.shapes, s)
			t.fits[s.id] = 0
		}
	}
	return t
}

// Set notes what a host has; it must take instances. The maps and slices of h
// must not change any more.
func (t *Tally) Set(name string, h Host) {
	t.Remove(name)
	t.hosts[name] = h
	t.count(name, h, 1)
}

// Remove forgets a host, also when it only takes no more instances.
func (t *Tally) Remove(name string) {
	if old, there := t.hosts[name]; there {
		delete(t.hosts, name)
		t.count(name, old, -1)
	}
}

// count adds a host (by 1) or takes it away (by -1).
func (t *Tally) count(name string, h Host, by int) {
	for class := range h.Free {
		tree := t.levels[class]
		if tree == nil {
			tree = btree.NewG(32, level.less)
			t.levels[class] = tree
		}
		if by > 0 {
			tree.ReplaceOrInsert(level{h.takes(class), name})
		} else {
			tree.Delete(level{h.takes(class), name})
		}
	}
	for _, trait := range h.Traits {
		t.traits[trait] += by
	}
	for _, s := range t.shapes {
		t.fits[s.id] += int64(by) * h.Fits(s)
	}
}

// takes returns how much of a class an instance may take of the host.
func (h *Host) takes(class string) int64 {
	free := h.Free[class]
	if largest, bounded := h.Largest[class]; bounded {
		return min(free, largest)
	}
	return free
}

// Fits returns how many instances of the shape the host has room for, by
// amounts and traits alone. It is at most 2^31-1.
func (h *Host) Fits(s Shape) int64 {
	for _, t := range s.traits {
		if !slices.Contains(h.Traits, t) {
			return 0
		}
	}
	fits := int64(math.MaxInt32)
	for _, a := range s.amounts {
		if h.takes(a.class) < a.n {
			return 0
		}
		fits = min(fits, h.Free[a.class]/a.n)
	}
	return fits
}

// Summary returns what is free at present.
func (t *Tally) Summary() Summary {
	t.revision++
	s := Summary{Revision: t.revision, Hosts: len(t.hosts), Most: map[string]int64{}, Traits: maps.Clone(t.traits), Fits: maps.Clone(t.fits)}
	for class, tree := range t.levels {
		if top, ok := tree.Max(); ok {
			s.Most[class] = top.free
		}
	}
	return s
}
