package placement

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// A tx is one planned change: what a call will do to the world once it is
// durable. Planning reads the world and, for usage and generations, what
// claims under way will make of it; it changes nothing.
type tx struct {
	w     *world
	ahead *ahead // nil: memory only, nothing is ever under way
	now   int64
	alone bool // its states come with those of the batch, or with consumers' stamps

	consumers []consumerRecord
	gone      []uint32 // consumers to drop
	states    []stateChange
	defs      []providerRecord
	dropped   []uint32 // providers to drop
	symbols   []symbolChange
	guards    []guardChange
	attached  []Attachment
	parents   []uint32 // definitions to rewrite unchanged, so that a delete elsewhere conflicts

	locks   []heldLock
	held    []uint64 // consumers, by the hash of the UUID
	trees   []heldTree
	found   []*consumer    // planning scratch: of a write, as they are; nil: not yet
	seen    map[UUID]int   // consumers of a write
	sums    []sum          // planning scratch: usage asked for, by provider and class
	sumAt   map[uint64]int // place in sums by provider and class; when they are many
	stateAt map[uint32]int // place in states by provider; when they are many
	summed  int            // how many of sums are in sumAt
	blocked *batch         // the plan must wait for it
	batch   *batch         // what it is in
	parted  chan struct{}  // the batch's when it came there
}

// stateChange advances a provider: bump is added to the API generation, the
// version always moves. For a provider that the same tx creates, i is none
// and uuid names it.
type stateChange struct {
	i    uint32
	bump int64
	uuid UUID
	time int64 // to note as that of the change; 0: the tx's own
	told bool  // by the stamps of the tx's consumers
	sums int   // from where on in the tx's sums those of the provider are
}

func (s stateChange) when(now int64) int64 {
	if s.time != 0 {
		return s.time
	}
	return now
}

type symbolChange struct {
	trait  bool
	name   string
	remove bool
}

type guardChange struct {
	key    string
	bound  UUID
	remove bool
	keep   bool // only expected
}

// sum is what a write asks of one inventory.
type sum struct {
	provider, class uint32
	asked           int64 // by the new allocations
	freed           int64 // held now by the consumers of this write
}

func (t *tx) reset() {
	clear(t.consumers) // let go of what they point at
	clear(t.found)
	*t = tx{
		consumers: t.consumers[:0], gone: t.gone[:0], states: t.states[:0], defs: t.defs[:0], dropped: t.dropped[:0],
		symbols: t.symbols[:0], guards: t.guards[:0], attached: t.attached[:0], parents: t.parents[:0],
		locks: t.locks[:0], held: t.held[:0], trees: t.trees[:0], sums: t.sums[:0],
		sumAt: emptied(t.sumAt), stateAt: emptied(t.stateAt), found: t.found[:0], seen: emptied(t.seen),
	}
}

// touch notes that provider i changes; bump is added to its generation.
func (t *tx) touch(i uint32, bump int64) { t.state(i).bump += bump }

// many is how many entries of a tx are found by looking at each.
const many = 32

// emptied keeps the memory of a map that is not too large.
func emptied[K comparable](m map[K]int) map[K]int {
	if len(m) > 1<<12 {
		return nil
	}
	if len(m) > 0 {
		clear(m)
	}
	return m
}

// sum returns what the tx asks of an inventory, nothing so far when that is
// new. Providers with sums have states, which were there first.
func (t *tx) sum(provider, class uint32) *sum {
	if n := len(t.states) - 1; n >= 0 && t.states[n].i == provider && len(t.sums)-t.states[n].sums < many {
		return t.sumFrom(t.states[n].sums, provider, class)
	}
	if len(t.sums) < many {
		return t.sumFrom(0, provider, class)
	}
	if t.sumAt == nil {
		t.sumAt = map[uint64]int{}
	}
	for ; t.summed < len(t.sums); t.summed++ {
		t.sumAt[t.sums[t.summed].key()] = t.summed
	}
	s := sum{provider: provider, class: class}
	k, known := t.sumAt[s.key()]
	if !known {
		k = len(t.sums)
		t.sums = append(t.sums, s)
	}
	return &t.sums[k]
}

// sumFrom looks for a sum at each from a place on.
func (t *tx) sumFrom(at int, provider, class uint32) *sum {
	for k := at; k < len(t.sums); k++ {
		if t.sums[k].provider == provider && t.sums[k].class == class {
			return &t.sums[k]
		}
	}
	t.sums = append(t.sums, sum{provider: provider, class: class})
	return &t.sums[len(t.sums)-1]
}

func (s *sum) key() uint64 { return uint64(s.provider)<<32 | uint64(s.class) }

// state returns what the tx does to the state of provider i, nothing so far
// when that is new.
func (t *tx) state(i uint32) *stateChange {
	if n := len(t.states) - 1; n >= 0 && t.states[n].i == i {
		return &t.states[n] // mostly the same as before
	}
	if len(t.states) < many {
		for k := range t.states {
			if t.states[k].i == i {
				return &t.states[k]
			}
		}
		t.states = append(t.states, stateChange{i: i, sums: len(t.sums)})
		return &t.states[len(t.states)-1]
	}
	if len(t.stateAt) == 0 {
		if t.stateAt == nil {
			t.stateAt = map[uint32]int{}
		}
		for k := range t.states {
			t.stateAt[t.states[k].i] = k
		}
	}
	k, known := t.stateAt[i]
	if !known {
		k = len(t.states)
		t.states, t.stateAt[i] = append(t.states, stateChange{i: i, sums: len(t.sums)}), k
	}
	return &t.states[k]
}

// apply makes the planned change with every record at version stamp. It
// cannot fail.
func (w *world) apply(t *tx, stamp uint64, feed *feed) {
	if len(t.defs)+len(t.dropped) > 0 {
		w.release(t) // inventories may go only after the allocations on them
	}
	for _, s := range t.symbols {
		w.applySymbol(s, stamp)
	}
	for k := range t.defs {
		t.defs[k].version = stamp
		w.putProvider(&t.defs[k], feed)
	}
	for _, i := range t.parents {
		w.provider(i).defVersion = stamp
	}
	for k := range t.consumers {
		t.consumers[k].version = stamp
		w.putConsumer(&t.consumers[k])
		w.putStamps(&t.consumers[k], feed)
	}
	for _, i := range t.gone {
		w.dropConsumer(i)
	}
	for _, i := range t.dropped {
		feed.add(ChangeRemoved, w.provider(i).uuid, w.provider(w.provider(i).root).uuid)
		w.dropProvider(i)
	}
	w.applyStates(t, stamp, feed)
	for _, g := range t.guards {
		if g.keep {
			continue
		}
		if g.remove {
			w.dropGuard(g.key)
		} else {
			w.putGuard(g.key, g.bound, stamp)
		}
		feed.addKey(ChangeGuard, g.key)
	}
	for _, a := range t.attached {
		if a.Value == nil {
			w.attachments.Delete(a)
		} else {
			w.attachments.ReplaceOrInsert(a)
		}
		feed.addKey(ChangeAttachment, a.Key)
	}
}

func (w *world) applyStates(t *tx, stamp uint64, feed *feed) {
	for _, s := range t.states {
		i := s.i
		if i == none {
			i, _ = w.findProvider(s.uuid)
		} else if t.alone {
			continue
		}
		p := w.provider(i)
		w.putState(i, p.generation+s.bump, s.when(t.now), stamp)
		feed.add(ChangeAllocations, p.uuid, w.provider(p.root).uuid)
	}
}

// release takes the old allocations of every consumer of the tx away.
func (w *world) release(t *tx) {
	for k := range t.consumers {
		if i, ok := w.findConsumer(t.consumers[k].uuid); ok {
			w.dropConsumer(i)
		}
	}
	for _, i := range t.gone {
		w.dropConsumer(i)
	}
	t.gone = t.gone[:0]
}

func (w *world) applySymbol(s symbolChange, stamp uint64) {
	table := &w.classes
	if s.trait {
		table = &w.traits
	}
	if s.remove {
		table.remove(table.ids[s.name])
		w.symbolEpoch++
		return
	}
	table.versions[table.intern(s.name)] = stamp
}

// keep notes that classes and traits were written again.
func (w *world) keep(symbols []store.Key, stamp uint64) {
	for _, key := range symbols {
		table := &w.classes
		if key.Kind == kindTrait {
			table = &w.traits
		}
		if id, known := table.ids[key.ID]; known {
			table.versions[id] = stamp
		}
	}
}

// definition returns the present definition of provider i for planning a
// change of it. The slices are the caller's own.
func (w *world) definition(i uint32) providerRecord {
	p := w.provider(i)
	r := providerRecord{
		uuid: p.uuid, name: p.name, created: p.created, version: p.defVersion,
		traits: slices.Clone(w.traitSets.sets[p.traitSet]),
	}
	if p.parent != none {
		r.parent = w.provider(p.parent).uuid
	}
	for k := range p.inv {
		r.inv = append(r.inv, classInventory{p.inv[k].class, w.shapes.rows[p.inv[k].shape].inv})
	}
	r.aggs = w.aggregatesOf(i)
	return r
}
