package placement

import (
	"errors"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// errConflict: the batch was not applied; plan anew.
var errConflict = errors.New("conflict in the store")

// A batch is a set of writes that become durable together.
type batch struct {
	id        store.BatchID
	stamp     uint64
	txs       []*tx
	states    []batchState
	use       []pendingUse
	locks     []lockKey
	consumers []uint64
	pends     []uint32      // providers with a pend of this batch
	kept      []store.Key   // classes and traits written again unchanged
	fences    []string      // guards that are expected and kept; their expectations are the last
	revision  uint64        // at which the store said that it took effect; 0: it has not said so
	sent      bool          // the store may have it: only who sends it changes it
	orphan    bool          // planned on a world that is gone
	epoch     uint64        // of the turn in which it was begun
	alone     bool          // the engine has the turn
	weight    int           // of what is in it, as Engine.limit counts
	builds    []*batch      // earlier ones under way that moved the same states
	records   store.Batch   // when sealed
	extents   []extent      // of the writes in records; nil: not sealed
	after     uint64        // refused: the feed knows why when it is there; 0: not known
	answered  chan struct{} // closed when the store said that it took effect
	parted    chan struct{} // closed, and made anew, when some of its writes are taken out
	settled   bool          // err is known; done waits for earlier batches
	done      chan struct{} // closed when settled
	err       error         // read after done
}

type batchState struct {
	provider uint32
	uuid     UUID
	before   stateRecord
	after    stateRecord // when sealed
}

// stateRecord is what the record of a provider's state holds, or only its
// version, where a stamp is newer.
type stateRecord struct {
	version             uint64
	generation, updated int64
	stamped             bool
}

// weight is what it takes of Engine.limit to expect the record and to put it.
func (s *batchState) weight() int {
	if s.before.stamped {
		return 2
	}
	return 1
}

type pendingUse struct {
	provider, class uint32
	amount          int64
}

func (b *batch) finish(err error) {
	b.err = err
	close(b.done)
}

// worthwhile is how many writes must wait before a second batch is sent beside
// one that is under way: a smaller one had better gather on.
const worthwhile = 64

// due reports whether the open batch should be sent now; plan is held. One that
// may overtake what it builds on would be sent in vain, so it gathers on.
func (e *Engine) due() bool {
	b, n := e.open, len(e.flying)
	return b != nil && (n == 0 || n < e.inFlight && e.worth(b) && (!e.Shared() || !b.waits()))
}

// worth reports whether b may be sent beside others. Where nothing is refused,
// fewer and fuller ones are better.
func (e *Engine) worth(b *batch) bool {
	if b.alone {
		return b.weight >= e.limit-e.limit/8
	}
	return len(b.txs) >= worthwhile
}

// waits reports whether the store has not said of every batch that b builds on
// that it took effect.
func (b *batch) waits() bool {
	return slices.ContainsFunc(b.builds, func(x *batch) bool { return x.revision == 0 && !x.settled })
}

// seal closes the open batch for further writes; plan is held.
func (e *Engine) seal() {
	b := e.open
	e.mu.RLock()
	b.records = e.records(b)
	e.mu.RUnlock()
	if len(e.flying) > 0 {
		e.turns.beside++
	}
	e.open, e.flying, e.sealed = nil, append(e.flying, b), append(e.sealed, b)
	e.kick()
}

// next returns a batch to send, nil when there is none.
func (e *Engine) next() *batch {
	e.plan.Lock()
	defer e.plan.Unlock()
	if e.failed != nil {
		return nil
	}
	if e.due() {
		e.seal()
	}
	if len(e.sealed) == 0 {
		return nil
	}
	b := e.sealed[0]
	e.sealed = slices.Delete(e.sealed, 0, 1)
	e.kick() // another loop, when there is more
	return b
}

// inAir returns the batch under way that has an ID, nil when there is none;
// plan is held.
func (e *Engine) inAir(id store.BatchID) *batch {
	for _, b := range e.flying {
		if b.id == id && !b.settled {
			return b
		}
	}
	return nil
}

// unanswered notes that b is sent, and returns the last batch before it of
// which the store has not said that it took effect, nil when there is none.
func (e *Engine) unanswered(b *batch) *batch {
	e.plan.Lock()
	defer e.plan.Unlock()
	b.sent = true
	for _, x := range slices.Backward(e.flying[:max(0, slices.Index(e.flying, b))]) {
		if x.revision == 0 && !x.settled {
			return x
		}
	}
	return nil
}

// committed notes at which revision b took effect. The follow loop lands it,
// unless that was before the snapshot that it follows from.
func (e *Engine) committed(b *batch, revision uint64) {
	e.plan.Lock()
	defer e.plan.Unlock()
	b.revision = revision
	close(b.answered)
	e.landLoaded(b)
	e.kick()
}

// landLoaded lands b when its effect came with the snapshot; plan is held.
func (e *Engine) landLoaded(b *batch) {
	if b.orphan && b.revision != 0 && b.revision <= e.loaded && !b.settled {
		e.land(b, nil)
	}
}

// land notes how b ended and finishes it after the batches before it: what
// they hold is let go in the order in which it was taken. plan is held.
func (e *Engine) land(b *batch, err error) {
	b.settled, b.err = true, err
	e.ahead.release(e.world, b)
	for len(e.flying) > 0 && e.flying[0].settled {
		first := e.flying[0]
		e.flying = slices.Delete(e.flying, 0, 1)
		e.ahead.settle(e.world, first)
		first.finish(first.err)
		if first.err != nil {
			e.dropOpen(errConflict, first.after)
		}
	}
}

// dropOpen has the writes of the open batch planned anew; plan is held.
func (e *Engine) dropOpen(why error, after uint64) {
	if b := e.open; b != nil {
		e.open, b.after = nil, after
		e.ahead.settle(e.world, b)
		b.finish(why)
	}
}

// openBatch returns the batch that takes new writes; plan is held.
func (e *Engine) openBatch() *batch {
	if e.open == nil {
		e.mu.Lock()
		e.stamp++
		stamp := e.stamp
		e.mu.Unlock()
		e.open = &batch{
			stamp: stamp, epoch: e.turns.now.Epoch, alone: e.alone(),
			answered: make(chan struct{}), done: make(chan struct{}), parted: make(chan struct{}),
		}
		e.name(e.open)
	}
	return e.open
}

// crowded reports whether the open batch has to go without t, because the
// store cannot hold both in one batch. What is too large alone makes none wait.
func (e *Engine) crowded(t *tx) bool {
	if e.limit <= 0 || e.open == nil {
		return false
	}
	w := t.weight()
	return w <= e.limit && e.open.weight+w > e.limit
}

// weight is how many records t changes at most, or what its expectations
// weigh if that is more, without those of existing providers' states that the
// open batch moves already.
func (t *tx) weight() int {
	n := len(t.consumers) + 2*len(t.gone) + 3*len(t.defs) + 2*len(t.parents) + 4*len(t.dropped) +
		2*len(t.symbols) + 2*len(t.guards) + len(t.attached)
	for k := range t.states {
		if !t.states[k].told {
			n++
		}
	}
	for k := range t.consumers {
		if t.consumers[k].before != 0 {
			n++
		}
	}
	return n
}

// moves is how many existing providers' states t moves, and writes.
func (t *tx) moves() (n int) {
	for k := range t.states {
		if t.states[k].i != none && !t.states[k].told {
			n++
		}
	}
	return n
}

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
