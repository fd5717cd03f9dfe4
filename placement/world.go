package placement

import (
	"hash/maphash"

	"github.com/google/btree"
)

// none is the number of no provider.
const none = ^uint32(0)

// A world is the committed state of the engine in memory. Records have dense
// numbers; names and UUIDs are looked up once, at the edge. It is changed by
// the put and drop methods (apply.go) only, one record at a time, and read
// under the engine's lock.
//
// Costs: a lookup by UUID, a change of one allocation and a change of one
// inventory row are O(1) in hosts and consumers, plus O(log n) in the
// consumers of one project.
type world struct {
	seed     uint64
	nameSeed maphash.Seed

	providers    pages[provider]
	freeProvider []uint32
	byUUID       index // of providers
	byName       index // of providers
	consumers    pages[consumer]
	freeConsumer []uint32
	byConsumer   index

	classes, traits, types, users symtab
	projects                      symtab
	byProject                     []*project // by number of the project
	aggregates                    map[UUID]uint32
	aggregateIDs                  []UUID

	traitSets, aggregateSets setTable
	shapes                   shapeTable

	room       []*freeIndex // by class
	traited    []*bitmap    // by trait
	aggregated []*bitmap    // by aggregate
	nested     bitmap       // members of trees of two and more
	present    bitmap       // every provider
	bulk       bool         // room is not kept up: fileRoom makes it at the end

	guards      map[string]*guard
	guardsOf    map[uint32][]string // root's number -> keys of guards bound to its tree
	attachments *btree.BTreeG[Attachment]
	snaps       []*Snapshot
	sharing     uint32 // number of the trait MISC_SHARES_VIA_AGGREGATE
	symbolEpoch uint64 // grows when the number of a class or trait may mean another
	stamped     bool   // consumers' records have stamps
}

// provider is one row. Rows of a page lie together, so that a scan in order
// of numbers streams through memory.
type provider struct {
	// What a scan and a claim read stands first, together.
	inv        []invRow  // ordered by class; in few while there is room
	few        [3]invRow // rows do not move, so inv may point into its own row
	holders    idset     // consumers with allocations here
	root       uint32
	parent     uint32
	generation int64
	version    uint64 // of the state's record
	pend       *pend  // guarded by Engine.plan; nil: nothing is under way
	updated    int64  // nanoseconds since 1970
	uuid       UUID

	name       string
	child      uint32 // first child
	last       uint32 // last child
	sibling    uint32 // next child of the parent
	traitSet   uint32
	aggSet     uint32
	stamped    bool   // generation and updated are those of a stamp, newer than the state's record
	defVersion uint64 // of the definition's record
	created    int64
}

// invRow is one inventory with its usage.
type invRow struct {
	class uint32
	shape uint32
	used  int64
}

// consumer is one row.
type consumer struct {
	uuid       UUID
	allocs     []allocRow // ordered by provider, then class
	project    uint32
	user       uint32
	kind       uint32 // consumer type; 0: unknown
	generation uint32
	version    uint64
	created    int64
	updated    int64
}

type allocRow struct {
	provider uint32
	class    uint32
	amount   int64
}

// project is what is kept of all consumers of one project.
type project struct {
	consumers *btree.BTreeG[uint64] // user and consumer number
	usage     map[uint64]*usageRow  // by user and consumer type
}

type usageRow struct {
	consumers int64
	used      []int64 // by class
}

// count adds one consumer.
func (u *usageRow) count(c *consumer) {
	u.consumers++
	for _, a := range c.allocs {
		for int(a.class) >= len(u.used) {
			u.used = append(u.used, 0)
		}
		u.used[a.class] += a.amount
	}
}

type guard struct {
	version uint64
	root    uint32 // none: bound to no tree
	bound   UUID
}

func newWorld(seed uint64) *world {
	w := &world{
		seed: seed, nameSeed: maphash.MakeSeed(),
		classes: newSymtab(StandardClasses()), traits: newSymtab(StandardTraits()),
		types: newSymtab(nil), users: newSymtab(nil), projects: newSymtab(nil),
		aggregates: map[UUID]uint32{}, traitSets: newSetTable(), aggregateSets: newSetTable(),
		shapes: shapeTable{ids: map[shapeKey]uint32{}},
		guards: map[string]*guard{}, guardsOf: map[uint32][]string{},
		attachments: btree.NewG(32, func(a, b Attachment) bool { return a.Key < b.Key }),
	}
	w.types.intern("") // unknown
	w.sharing = w.traits.ids[SharingTrait]
	return w
}

// SharingTrait marks providers whose inventories are shared with every tree
// that has an aggregate in common.
const SharingTrait = "MISC_SHARES_VIA_AGGREGATE"

func (w *world) provider(i uint32) *provider { return w.providers.at(i) }

func (w *world) findProvider(u UUID) (uint32, bool) {
	return w.byUUID.find(w.hashUUID(&u), func(i uint32) bool { return w.provider(i).uuid == u })
}

func (w *world) findName(name string) (uint32, bool) {
	return w.byName.find(w.hashName(name), func(i uint32) bool { return w.provider(i).name == name })
}

func (w *world) hashName(name string) uint64 {
	return fold(maphash.String(w.nameSeed, name) >> 32)
}

func (w *world) findConsumer(u UUID) (uint32, bool) {
	return w.byConsumer.find(w.hashUUID(&u), func(i uint32) bool { return w.consumers.at(i).uuid == u })
}

// row returns the inventory of class on p, or nil.
func (p *provider) row(class uint32) *invRow {
	for i := range p.inv {
		if p.inv[i].class == class {
			return &p.inv[i]
		}
	}
	return nil
}

// roomIn is the most that one more allocation could take by capacity and
// max_unit alone, 0 to MaxInt.
func (w *world) roomIn(r *invRow) int64 {
	s := &w.shapes.rows[r.shape]
	return max(0, min(s.capacity-r.used, s.inv.MaxUnit))
}

// members yields the tree or subtree below i, i first, parents before
// children.
func (w *world) members(i uint32, yield func(uint32) bool) bool {
	if !yield(i) {
		return false
	}
	for c := w.provider(i).child; c != none; c = w.provider(c).sibling {
		if !w.members(c, yield) {
			return false
		}
	}
	return true
}

func (w *world) hasTrait(i, trait uint32) bool {
	return int(trait) < len(w.traited) && w.traited[trait] != nil && w.traited[trait].has(i)
}

func (w *world) inAggregate(i, agg uint32) bool { return w.aggregated[agg].has(i) }

func (w *world) roomOf(class uint32) *freeIndex {
	if int(class) < len(w.room) {
		return w.room[class]
	}
	return nil
}

func (w *world) traitBits(trait uint32) *bitmap {
	if int(trait) < len(w.traited) {
		return w.traited[trait]
	}
	return nil
}

// A shapeTable interns inventories without their usage: a cloud has a few
// kinds of host.
type shapeTable struct {
	ids  map[shapeKey]uint32
	rows []shape
	free []uint32
}

type shapeKey struct {
	class uint32
	inv   Inventory
}

type shape struct {
	inv      Inventory
	capacity int64
	refs     int
}

func (t *shapeTable) hold(class uint32, inv Inventory) uint32 {
	key := shapeKey{class, inv}
	id, known := t.ids[key]
	if !known {
		row := shape{inv: inv, capacity: inv.Capacity()}
		if n := len(t.free); n > 0 {
			id, t.free = t.free[n-1], t.free[:n-1]
			t.rows[id] = row
		} else {
			id = uint32(len(t.rows))
			t.rows = append(t.rows, row)
		}
		t.ids[key] = id
	}
	t.rows[id].refs++
	return id
}

func (t *shapeTable) drop(class, id uint32) {
	if t.rows[id].refs--; t.rows[id].refs > 0 {
		return
	}
	delete(t.ids, shapeKey{class, t.rows[id].inv})
	t.free = append(t.free, id)
}

// pages is a slice that grows without copying: rows stay where they are.
type pages[T any] struct {
	page []*[pageRows]T
	n    uint32 // rows ever used
}

const pageRows = 1024

func (p *pages[T]) at(i uint32) *T { return &p.page[i/pageRows][i%pageRows] }

// extend returns the number of a new row at the end.
func (p *pages[T]) extend() uint32 {
	if p.n%pageRows == 0 {
		p.page = append(p.page, new([pageRows]T))
	}
	p.n++
	return p.n - 1
}
