package placement

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// records turns a batch into what the store takes; plan and mu are held for
// reading. Every record that the writes relied on is expected at the version
// that they saw.
func (e *Engine) records(b *batch) store.Batch {
	r := recorder{w: e.world, weighs: e.weighs, shared: e.cfg.Store.Limits().Shared, out: store.Batch{ID: b.id, Version: b.stamp}}
	if b.alone {
		e.world.stamp(b)
	}
	r.reserve(b)
	b.extents = make([]extent, len(b.txs))
	for k, t := range b.txs {
		r.add(t)
		b.extents[k] = extent{len(r.out.Expect), len(r.out.Puts), len(r.out.Deletes)}
	}
	for k := range b.states {
		s, key := &b.states[k], store.Key{Kind: kindState, ID: r.nextID()}
		if !b.alone {
			r.expect(key, s.before.version)
		}
		if r.weighs && !b.alone && !s.before.stamped {
			r.out.Expect[len(r.out.Expect)-1].Value = r.close(encodeState(r.open(maxState), s.before.generation, s.before.updated))
		}
		p := e.world.provider(s.provider).pend
		s.after = stateRecord{version: b.stamp, generation: p.generation, updated: p.updated}
		r.put(key, r.close(encodeState(r.open(maxState), p.generation, p.updated)))
	}
	for _, key := range r.fences {
		r.expect(store.Key{Kind: kindGuard, ID: key}, r.w.guardVersion(key))
	}
	b.kept, b.fences = r.kept, r.fences
	return r.out
}

type recorder struct {
	w      *world
	shared bool // other engines may want the same names and symbols
	weighs bool // an expectation that comes with a value is cheaper
	kept   []store.Key
	fences []string // guards that are expected and kept
	out    store.Batch
	ids    string // keys of the consumers that are put, then of the states, in order
	slab   []byte // room for values
}

// reserve makes room for what most batches are made of: consumers and states.
// One string holds their keys and one slab their values.
func (r *recorder) reserve(b *batch) {
	n, size := len(b.states), len(b.states)*maxState
	if r.weighs {
		size *= 2
	}
	for _, t := range b.txs {
		n += len(t.consumers) + len(t.gone)
		for k := range t.consumers {
			size += r.w.consumerBytes(&t.consumers[k])
		}
	}
	r.slab = make([]byte, 0, min(size, slabBytes)) // the store may keep it for long
	r.out.Expect = make([]store.Expectation, 0, n)
	r.out.Puts = make([]store.Put, 0, n)
	ids := make([]byte, 0, 16*n)
	for _, t := range b.txs {
		for k := range t.consumers {
			ids = append(ids, t.consumers[k].uuid[:]...)
		}
	}
	for k := range b.states {
		ids = append(ids, b.states[k].uuid[:]...)
	}
	r.ids = string(ids)
}

func (r *recorder) nextID() string {
	id := r.ids[:16]
	r.ids = r.ids[16:]
	return id
}

// open returns an empty slice with room for size bytes, close keeps what was
// written to it.
func (r *recorder) open(size int) []byte {
	if cap(r.slab)-len(r.slab) < size {
		r.slab = make([]byte, 0, max(size, slabBytes))
	}
	at := len(r.slab)
	return r.slab[at : at : at+size]
}

func (r *recorder) close(value []byte) []byte {
	r.slab = r.slab[:len(r.slab)+len(value)]
	return value[:len(value):len(value)]
}

const slabBytes = 32 << 10

func (r *recorder) expect(key store.Key, version uint64) {
	r.out.Expect = append(r.out.Expect, store.Expectation{Key: key, Version: version})
}

func (r *recorder) put(key store.Key, value []byte) {
	r.out.Puts = append(r.out.Puts, store.Put{Key: key, Value: value})
}

func (r *recorder) drop(key store.Key) { r.out.Deletes = append(r.out.Deletes, key) }

func (r *recorder) add(t *tx) {
	for _, s := range t.symbols {
		r.symbol(s)
	}
	for k := range t.defs {
		r.definition(&t.defs[k])
	}
	for _, i := range t.parents {
		def := r.w.definition(i)
		r.definition(&def)
	}
	for _, i := range t.dropped {
		p := r.w.provider(i)
		r.rename(p.name, "", p.uuid)
		def, state := store.Key{Kind: kindProvider, ID: string(p.uuid[:])}, store.Key{Kind: kindState, ID: string(p.uuid[:])}
		r.expect(def, p.defVersion)
		r.expect(state, p.version)
		r.drop(def)
		r.drop(state)
	}
	for k := range t.consumers {
		r.consumer(&t.consumers[k])
	}
	for _, i := range t.gone {
		c := r.w.consumers.at(i)
		key := store.Key{Kind: kindConsumer, ID: string(c.uuid[:])}
		r.expect(key, c.version)
		r.drop(key)
	}
	for _, s := range t.states {
		if s.i == none {
			key := store.Key{Kind: kindState, ID: string(s.uuid[:])}
			r.expect(key, 0)
			r.put(key, encodeState(nil, s.bump, s.when(t.now)))
		}
	}
	for _, g := range t.guards {
		r.guard(g)
	}
	for _, a := range t.attached {
		key := store.Key{Kind: kindAttachment, ID: a.Key}
		if a.Value == nil {
			r.drop(key)
		} else {
			r.put(key, append([]byte{recordFormat}, a.Value...))
		}
	}
}

func (r *recorder) symbol(s symbolChange) {
	table := &r.w.classes
	if s.trait {
		table = &r.w.traits
	}
	key := store.Key{Kind: s.kindOf(), ID: s.name}
	if s.remove {
		r.expect(key, table.versions[table.ids[s.name]])
		r.drop(key)
		return
	}
	r.expect(key, 0)
	r.put(key, []byte{recordFormat})
}

func (r *recorder) definition(def *providerRecord) {
	key := store.Key{Kind: kindProvider, ID: string(def.uuid[:])}
	r.expect(key, def.version)
	r.put(key, r.w.encodeProvider(def))
	if !r.shared {
		return
	}
	var old providerRecord
	if i, known := r.w.findProvider(def.uuid); known {
		old = r.w.definition(i)
	}
	r.rename(old.name, def.name, def.uuid)
	for _, ci := range def.inv {
		if !slices.ContainsFunc(old.inv, func(o classInventory) bool { return o.class == ci.class }) {
			r.keep(kindClass, &r.w.classes, ci.class)
		}
	}
	for _, trait := range def.traits {
		if !slices.Contains(old.traits, trait) {
			r.keep(kindTrait, &r.w.traits, trait)
		}
	}
}

// keep writes a custom class or trait that comes into use again, so that its
// removal elsewhere conflicts.
func (r *recorder) keep(kind store.Kind, table *symtab, id uint32) {
	key := store.Key{Kind: kind, ID: table.names[id]}
	if id < table.standard || slices.Contains(r.kept, key) {
		return
	}
	r.kept = append(r.kept, key)
	r.expect(key, table.versions[id])
	r.put(key, []byte{recordFormat})
}

// rename gives up one name and takes another, which nobody may have. A name
// belongs to who may change the definition of its provider.
func (r *recorder) rename(old, name string, owner UUID) {
	if !r.shared || old == name {
		return
	}
	if old != "" {
		r.drop(store.Key{Kind: kindName, ID: old})
	}
	if name != "" {
		key := store.Key{Kind: kindName, ID: name}
		r.expect(key, 0)
		r.put(key, encodeGuard(owner))
	}
}

func (r *recorder) consumer(c *consumerRecord) {
	key := store.Key{Kind: kindConsumer, ID: r.nextID()}
	if c.before != 0 || len(c.stamps) == 0 { // who writes alone knows that there is none
		r.expect(key, c.before)
	}
	r.put(key, r.close(r.w.encodeConsumer(r.open(r.w.consumerBytes(c)), c)))
}

func (r *recorder) guard(g guardChange) {
	if g.keep {
		if !slices.Contains(r.fences, g.key) { // writes of one batch may share it
			r.fences = append(r.fences, g.key)
		}
		return
	}
	key := store.Key{Kind: kindGuard, ID: g.key}
	r.expect(key, r.w.guardVersion(g.key))
	if g.remove {
		r.drop(key)
	} else {
		r.put(key, encodeGuard(g.bound))
	}
}
