package placement

import (
	"cmp"
	"slices"

	"github.com/google/btree"
)

// providerRecord is a provider's definition as it is stored.
type providerRecord struct {
	uuid    UUID
	name    string
	parent  UUID // zero: root
	created int64
	inv     []classInventory // ordered by class
	traits  []uint32         // ordered
	aggs    []UUID
	version uint64
}

type classInventory struct {
	class uint32
	inv   Inventory
}

// consumerRecord is a consumer with its allocations as it is stored.
type consumerRecord struct {
	uuid                UUID
	project, user, kind string
	generation          uint32
	created, updated    int64
	allocs              []allocRow // ordered by provider, then class; owned by the record
	stamps              []stamp    // of some of its providers, in order
	version             uint64
	before              uint64 // version that it replaces, 0: none; for planning
}

// A stamp is what the state of a provider came to with the write of a
// consumer, in whose record it stands: an engine that writes alone leaves the
// state's own record as it is.
type stamp struct {
	provider            uint32
	generation, updated int64
}

// stamp returns that of a provider, or nil.
func (r *consumerRecord) stamp(provider uint32) *stamp {
	for k := range r.stamps {
		if r.stamps[k].provider == provider {
			return &r.stamps[k]
		}
	}
	return nil
}

// putProvider creates or redefines a provider and tells the feed, which may
// be nil. The parent must be there.
func (w *world) putProvider(r *providerRecord, f *feed) {
	i, known := w.findProvider(r.uuid)
	if known {
		w.saveProvider(i)
	} else {
		i = w.newProvider(r)
	}
	p := w.provider(i)
	if p.name != r.name {
		w.byName.remove(w.hashName(p.name), i)
		p.name = r.name
		w.byName.add(w.hashName(p.name), i)
	}
	parent, from := none, p.root
	if !r.parent.IsZero() {
		parent, _ = w.findProvider(r.parent)
	}
	if parent != p.parent || !known {
		w.reparent(i, parent)
	}
	w.setInventories(i, r.inv)
	w.setTraits(i, r.traits)
	w.setAggregates(i, r.aggs)
	p.created, p.defVersion = r.created, r.version
	w.announce(i, from, known, f)
}

// announce tells the feed of a new definition of i: for a subtree that went
// to another tree, of every member and of the root that it left.
func (w *world) announce(i, from uint32, known bool, f *feed) {
	if f == nil {
		return
	}
	root := w.provider(i).root
	if !known || from == root {
		f.add(ChangeDefinition, w.provider(i).uuid, w.provider(root).uuid)
		return
	}
	if from != i {
		f.add(ChangeDefinition, w.provider(from).uuid, w.provider(from).uuid)
	}
	w.members(i, func(m uint32) bool {
		f.add(ChangeDefinition, w.provider(m).uuid, w.provider(root).uuid)
		return true
	})
}

func (w *world) newProvider(r *providerRecord) uint32 {
	var i uint32
	if n := len(w.freeProvider); n > 0 {
		i, w.freeProvider = w.freeProvider[n-1], w.freeProvider[:n-1]
	} else {
		i = w.providers.extend()
	}
	w.saveProvider(i)
	*w.provider(i) = provider{uuid: r.uuid, name: r.name, parent: none, root: i, child: none, last: none, sibling: none}
	w.byUUID.add(w.hashUUID(&r.uuid), i)
	w.byName.add(w.hashName(r.name), i)
	w.present.set(i)
	return i
}

// dropProvider removes a provider without children and allocations.
func (w *world) dropProvider(i uint32) {
	w.saveProvider(i)
	w.setInventories(i, nil)
	w.setTraits(i, nil)
	w.setAggregates(i, nil)
	w.reparent(i, none)
	p := w.provider(i)
	for _, key := range w.guardsOf[i] {
		delete(w.guards, key)
	}
	delete(w.guardsOf, i)
	w.byUUID.remove(w.hashUUID(&p.uuid), i)
	w.byName.remove(w.hashName(p.name), i)
	w.present.clear(i)
	*p = provider{}
	w.freeProvider = append(w.freeProvider, i)
}

// reparent moves the subtree of i below parent, or makes it a tree of its own.
func (w *world) reparent(i, parent uint32) {
	p := w.provider(i)
	oldRoot := p.root
	w.leave(i)
	root := i
	if parent != none {
		w.enter(i, parent)
		root = w.provider(parent).root
	}
	several := root != i || p.child != none
	w.members(i, func(m uint32) bool {
		w.saveProvider(m)
		w.provider(m).root = root
		w.nested.put(m, several)
		return true
	})
	w.nested.put(root, several)
	if old := w.provider(oldRoot); old.root == oldRoot && old.child == none {
		w.nested.clear(oldRoot)
	}
	w.rebindGuards(oldRoot)
}

// leave takes i out of its parent's children.
func (w *world) leave(i uint32) {
	p := w.provider(i)
	if p.parent == none {
		return
	}
	parent, before := w.provider(p.parent), none
	at := &parent.child
	for *at != i {
		before = *at
		at = &w.provider(*at).sibling
	}
	if *at = p.sibling; parent.last == i {
		parent.last = before
	}
	p.parent, p.sibling = none, none
}

// enter puts i among the children of parent, which are in order of their
// numbers: an order that does not depend on what came and went. A new
// provider mostly has the largest number.
func (w *world) enter(i, parent uint32) {
	p, above := w.provider(i), w.provider(parent)
	p.parent = parent
	if above.last != none && above.last < i {
		w.provider(above.last).sibling, above.last = i, i
		return
	}
	at := &above.child
	for *at != none && *at < i {
		at = &w.provider(*at).sibling
	}
	if p.sibling, *at = *at, i; p.sibling == none {
		above.last = i
	}
}

// rebindGuards files the guards of a tree that lost or gave away its root
// under the roots that their providers have now.
func (w *world) rebindGuards(root uint32) {
	keys := w.guardsOf[root]
	if len(keys) == 0 {
		return
	}
	delete(w.guardsOf, root)
	for _, key := range keys {
		g := w.guards[key]
		if i, ok := w.findProvider(g.bound); ok {
			g.root = w.provider(i).root
			w.guardsOf[g.root] = append(w.guardsOf[g.root], key)
		}
	}
}

// setInventories replaces the inventories of i and keeps the usage of classes
// that stay.
func (w *world) setInventories(i uint32, inv []classInventory) {
	p := w.provider(i)
	if len(p.inv) == 0 && len(inv) == 0 {
		return
	}
	old := slices.Clone(p.inv)
	if p.inv = p.few[:0]; len(inv) > len(p.few) {
		p.inv = make([]invRow, 0, len(inv))
	}
	for _, ci := range inv {
		row := invRow{class: ci.class, shape: w.shapes.hold(ci.class, ci.inv)}
		for k := range old {
			if old[k].class == ci.class {
				row.used = old[k].used
			}
		}
		p.inv = append(p.inv, row)
	}
	for k := range old {
		f := w.room[old[k].class]
		w.refile(i, old[k].class, w.roomIn(&old[k]), 0)
		f.any.clear(i)
		w.shapes.drop(old[k].class, old[k].shape)
	}
	for k := range p.inv {
		f := w.ensureRoom(p.inv[k].class)
		w.refile(i, p.inv[k].class, 0, w.roomIn(&p.inv[k]))
		f.any.set(i)
	}
}

func (w *world) ensureRoom(class uint32) *freeIndex {
	for int(class) >= len(w.room) {
		w.room = append(w.room, nil)
	}
	if w.room[class] == nil {
		w.room[class] = new(freeIndex)
	}
	return w.room[class]
}

func (w *world) setTraits(i uint32, traits []uint32) {
	p := w.provider(i)
	old := w.traitSets.sets[p.traitSet]
	if slices.Equal(old, traits) {
		return
	}
	was := p.traitSet
	p.traitSet = w.traitSets.hold(traits)
	for _, t := range old {
		w.traited[t].clear(i)
	}
	for _, t := range traits {
		for int(t) >= len(w.traited) {
			w.traited = append(w.traited, nil)
		}
		if w.traited[t] == nil {
			w.traited[t] = new(bitmap)
		}
		w.traited[t].set(i)
	}
	if was != 0 {
		w.traitSets.drop(was)
	}
}

func (w *world) setAggregates(i uint32, aggs []UUID) {
	p := w.provider(i)
	set := make([]uint32, 0, len(aggs))
	for _, a := range aggs {
		set = append(set, w.aggregate(a))
	}
	slices.Sort(set)
	old, was := w.aggregateSets.sets[p.aggSet], p.aggSet
	if slices.Equal(old, set) {
		return
	}
	p.aggSet = w.aggregateSets.hold(set)
	for _, a := range old {
		w.aggregated[a].clear(i)
	}
	for _, a := range set {
		w.aggregated[a].set(i)
	}
	if was != 0 {
		w.aggregateSets.drop(was)
	}
}

// aggregate returns the number of u. Numbers of aggregates are never reused,
// as Placement never forgets an aggregate.
func (w *world) aggregate(u UUID) uint32 {
	id, ok := w.aggregates[u]
	if !ok {
		id = uint32(len(w.aggregateIDs))
		w.aggregates[u] = id
		w.aggregateIDs = append(w.aggregateIDs, u)
		w.aggregated = append(w.aggregated, new(bitmap))
	}
	return id
}

// putState sets what every change of a provider rewrites.
func (w *world) putState(i uint32, generation, updated int64, version uint64) {
	w.saveProvider(i)
	p := w.provider(i)
	p.generation, p.updated, p.version, p.stamped = generation, updated, version, false
}

// meetState sets the state of provider i to that of its record, unless a stamp
// is newer, and tells the feed, which may be nil.
func (w *world) meetState(i uint32, s stateRecord, f *feed) {
	if p := w.provider(i); p.stamped && p.generation > s.generation {
		p.version = s.version
	} else {
		w.putState(i, s.generation, s.updated, s.version)
	}
	w.tellState(i, f)
}

// putStamps sets the states of which the stamps of r are newer than what is
// known, and tells the feed, which may be nil. Whatever makes a stamp advances
// the generation, so the greatest is the newest.
func (w *world) putStamps(r *consumerRecord, f *feed) {
	for _, s := range r.stamps {
		if p := w.provider(s.provider); s.generation > p.generation {
			w.saveProvider(s.provider)
			p.generation, p.updated, p.stamped = s.generation, s.updated, true
		}
		w.tellState(s.provider, f)
		w.stamped = true
	}
}

func (w *world) tellState(i uint32, f *feed) {
	if f != nil {
		p := w.provider(i)
		f.add(ChangeAllocations, p.uuid, w.provider(p.root).uuid)
	}
}

// putConsumer creates a consumer or replaces it with its allocations.
func (w *world) putConsumer(r *consumerRecord) {
	i, known := w.findConsumer(r.uuid)
	if known {
		w.saveConsumer(i)
		w.unlink(i)
	} else {
		if n := len(w.freeConsumer); n > 0 {
			i, w.freeConsumer = w.freeConsumer[n-1], w.freeConsumer[:n-1]
		} else {
			i = w.consumers.extend()
		}
		w.byConsumer.add(w.hashUUID(&r.uuid), i)
	}
	w.saveConsumer(i)
	c := w.consumers.at(i)
	*c = consumer{
		uuid: r.uuid, allocs: r.allocs, generation: r.generation, version: r.version,
		project: w.projects.intern(r.project), user: w.users.intern(r.user), kind: w.types.intern(r.kind),
		created: r.created, updated: r.updated,
	}
	w.link(i)
}

// dropConsumer removes a consumer and gives back what it holds.
func (w *world) dropConsumer(i uint32) {
	w.saveConsumer(i)
	w.unlink(i)
	c := w.consumers.at(i)
	w.byConsumer.remove(w.hashUUID(&c.uuid), i)
	*c = consumer{}
	w.freeConsumer = append(w.freeConsumer, i)
}

// link files consumer i with its providers and its project.
func (w *world) link(i uint32) {
	c := w.consumers.at(i)
	w.usageOf(c).count(c)
	last := none
	for _, a := range c.allocs {
		p := w.provider(a.provider)
		if a.provider != last {
			p.holders.insert(i)
			last = a.provider
		}
		w.use(a.provider, p, a.class, a.amount)
	}
	w.byProject[c.project].consumers.ReplaceOrInsert(uint64(c.user)<<32 | uint64(i))
}

func (w *world) unlink(i uint32) {
	c := w.consumers.at(i)
	usage := w.usageOf(c)
	usage.consumers--
	last := none
	for _, a := range c.allocs {
		p := w.provider(a.provider)
		if a.provider != last {
			p.holders.remove(i)
			last = a.provider
		}
		w.use(a.provider, p, a.class, -a.amount)
		usage.used[a.class] -= a.amount
	}
	w.byProject[c.project].consumers.Delete(uint64(c.user)<<32 | uint64(i))
	if usage.consumers == 0 {
		delete(w.byProject[c.project].usage, usageKey(c.user, c.kind))
	}
}

// use changes the usage of one inventory and refiles the provider.
func (w *world) use(i uint32, p *provider, class uint32, delta int64) {
	w.saveProvider(i)
	row := p.row(class)
	was := w.roomIn(row)
	row.used += delta
	w.refile(i, class, was, w.roomIn(row))
}

func (w *world) refile(i, class uint32, was, is int64) {
	if !w.bulk {
		w.room[class].move(i, was, is)
	}
}

// fileRoom ends the bulk: it files the room of all providers.
func (w *world) fileRoom() {
	w.bulk = false
	for class, f := range w.room {
		if f != nil {
			f.file(func(i uint32) int64 { return w.roomIn(w.provider(i).row(uint32(class))) })
		}
	}
}

func usageKey(user, kind uint32) uint64 { return uint64(user)<<32 | uint64(kind) }

func (w *world) usageOf(c *consumer) *usageRow {
	for int(c.project) >= len(w.byProject) {
		w.byProject = append(w.byProject, nil)
	}
	pr := w.byProject[c.project]
	if pr == nil {
		pr = &project{consumers: btree.NewG(32, cmp.Less[uint64]), usage: map[uint64]*usageRow{}}
		w.byProject[c.project] = pr
	}
	row := pr.usage[usageKey(c.user, c.kind)]
	if row == nil {
		row = new(usageRow)
		pr.usage[usageKey(c.user, c.kind)] = row
	}
	return row
}

func (w *world) putGuard(key string, bound UUID, version uint64) {
	g := w.guards[key]
	if g == nil {
		g = &guard{root: none, bound: bound}
		w.guards[key] = g
		if i, ok := w.findProvider(bound); ok && !bound.IsZero() {
			g.root = w.provider(i).root
			w.guardsOf[g.root] = append(w.guardsOf[g.root], key)
		}
	}
	g.version = version
}

func (w *world) dropGuard(key string) {
	if g := w.guards[key]; g != nil && g.root != none {
		w.guardsOf[g.root] = slices.DeleteFunc(w.guardsOf[g.root], func(k string) bool { return k == key })
	}
	delete(w.guards, key)
}
