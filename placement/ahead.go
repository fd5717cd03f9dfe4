package placement

import (
	"errors"
	"slices"
)

// errBlocked: a plan needs what a batch under way is about to change.
var errBlocked = errors.New("blocked")

// ahead is what the batches that are not committed yet will change. Claims
// are planned on top of it ("two heads"): usage counts as soon as it is
// planned, and is given back only when that is committed. Everything else
// waits for the batch that holds what it needs.
//
// What concerns a provider hangs on its row, see pend.
type ahead struct {
	locks     map[lockKey]*lock
	consumers map[uint64]*batch // hash of the UUID -> the batch that changes it
	spare     []*pend
}

// pend is what batches under way will change of one provider.
type pend struct {
	generation int64 // what its state will be; when batch is set
	version    uint64
	updated    int64
	stamped    bool   // see provider
	batch      *batch // the last one that advances the state
	written    *batch // the last one that writes its record
	use        []classAmount
	tree       lock // on a root: who relies on its tree
}

type classAmount struct {
	class  uint32
	amount int64
}

// lockKey names what one call changes or relies on, besides trees and
// consumers.
type lockKey struct {
	kind lockKind
	id   uint64
}

type lockKind uint8

const (
	lockUUID    lockKind = iota // hash of a provider's UUID
	lockName                    // hash of a provider's name
	lockKeyed                   // hash of a guard's or attachment's key
	lockSymbols                 // custom classes and traits: shared by their users
)

type lock struct {
	exclusive bool
	wanted    bool // an exclusive taker waits: no more sharing
	last      *batch
}

// blocks returns the batch that a taker has to wait for, if any.
func (l *lock) blocks(exclusive bool) *batch {
	if l.last == nil || !exclusive && !l.exclusive && !l.wanted {
		return nil
	}
	l.wanted = l.wanted || exclusive
	return l.last
}

// heldLock and heldTree are what a tx relies on.
type heldLock struct {
	key       lockKey
	exclusive bool
}

type heldTree struct {
	root      uint32
	exclusive bool
}

func newAhead() *ahead {
	return &ahead{locks: map[lockKey]*lock{}, consumers: map[uint64]*batch{}}
}

// lockConsumer makes the tx the only one that changes a consumer.
func (t *tx) lockConsumer(hash uint64) error {
	if t.ahead == nil {
		return nil
	}
	if t.blocked = t.ahead.consumers[hash]; t.blocked != nil {
		return errBlocked
	}
	if n := len(t.held); n == 0 || t.held[n-1] != hash {
		t.held = append(t.held, hash)
	}
	return nil
}

// lock makes the tx rely on a key. It returns [errBlocked] when a batch under
// way holds it in a way that does not go together.
func (t *tx) lock(kind lockKind, id uint64, exclusive bool) error {
	if t.ahead == nil {
		return nil
	}
	key := lockKey{kind, id}
	if l := t.ahead.locks[key]; l != nil {
		if t.blocked = l.blocks(exclusive); t.blocked != nil {
			return errBlocked
		}
	}
	t.locks = append(t.locks, heldLock{key, exclusive})
	return nil
}

// lockTree is lock for the tree of a root: shared by claims, exclusive for
// changes of definitions.
func (t *tx) lockTree(root uint32, exclusive bool) error {
	if t.ahead == nil {
		return nil
	}
	if p := t.w.provider(root).pend; p != nil {
		if t.blocked = p.tree.blocks(exclusive); t.blocked != nil {
			return errBlocked
		}
	}
	if n := len(t.trees); n == 0 || t.trees[n-1] != (heldTree{root, exclusive}) {
		t.trees = append(t.trees, heldTree{root, exclusive})
	}
	return nil
}

// pendingUse is what claims under way add to the inventory.
func (t *tx) pendingUse(provider, class uint32) int64 {
	p := t.w.provider(provider).pend
	if p == nil {
		return 0
	}
	for _, u := range p.use {
		if u.class == class {
			return u.amount
		}
	}
	return 0
}

// of returns the pend of provider i, an empty one when there is none.
func (a *ahead) of(w *world, i uint32) *pend {
	row := w.provider(i)
	if row.pend == nil {
		if n := len(a.spare); n > 0 {
			row.pend, a.spare = a.spare[n-1], a.spare[:n-1]
		} else {
			row.pend = new(pend)
		}
	}
	return row.pend
}

// take moves a planned tx into batch b.
func (a *ahead) take(t *tx, b *batch) {
	for _, h := range t.locks {
		l := a.locks[h.key]
		if l == nil {
			l = new(lock)
			a.locks[h.key] = l
		}
		l.last, l.exclusive = b, l.exclusive || h.exclusive
		b.locks = append(b.locks, h.key)
	}
	for _, hash := range t.held {
		a.consumers[hash] = b
	}
	for _, h := range t.trees {
		l := &a.of(t.w, h.root).tree
		if l.exclusive = l.exclusive || h.exclusive; l.last != b {
			l.last = b
			b.pends = append(b.pends, h.root)
		}
	}
	a.keep(t, b)
	for _, s := range t.states {
		if s.i != none {
			a.advance(t, s, b)
		}
	}
	t.batch, t.parted, b.txs, b.weight = b, b.parted, append(b.txs, t), b.weight+t.weight()-t.moves()
}

// keep notes the consumers and the usage of a tx with its batch.
func (a *ahead) keep(t *tx, b *batch) {
	b.consumers = append(b.consumers, t.held...)
	for _, s := range t.sums {
		if grow := s.asked - s.freed; grow > 0 {
			a.of(t.w, s.provider).add(s.class, grow)
			b.use = append(b.use, pendingUse{s.provider, s.class, grow})
		}
	}
}

func (p *pend) add(class uint32, amount int64) {
	for k := range p.use {
		if p.use[k].class == class {
			p.use[k].amount += amount
			return
		}
	}
	p.use = append(p.use, classAmount{class, amount})
}

// advance moves the head of a provider's state and notes what batch b expects
// and writes.
func (a *ahead) advance(t *tx, s stateChange, b *batch) {
	row, p := t.w.provider(s.i), a.of(t.w, s.i)
	if p.batch == nil {
		p.version, p.generation, p.updated, p.stamped, p.written = row.version, row.generation, row.updated, row.stamped, nil
	}
	prior := p.batch
	if b.alone { // of all that is told of a state the newest counts, so only records have an order
		prior = p.written
	}
	if !s.told && prior != nil && prior != b && !slices.Contains(b.builds, prior) {
		b.builds = append(b.builds, prior)
	}
	if p.batch != b {
		b.pends = append(b.pends, s.i)
		p.batch = b
	}
	switch {
	case s.told:
		p.stamped = p.stamped || p.written != b
	case p.written != b:
		s := batchState{provider: s.i, uuid: row.uuid, before: stateRecord{p.version, p.generation, p.updated, p.stamped}}
		b.states = append(b.states, s)
		b.weight += s.weight()
		p.written, p.version, p.stamped = b, b.stamp, false
	}
	p.generation, p.updated = p.generation+s.bump, s.when(t.now)
}

// release takes back the usage that batch b adds: it is committed, or will
// not be.
func (a *ahead) release(w *world, b *batch) {
	for _, u := range b.use {
		if p := w.provider(u.provider).pend; p != nil {
			p.add(u.class, -u.amount)
		}
	}
	b.use = nil
}

// idle reports whether no batch under way adds usage.
func (p *pend) idle() bool {
	return !slices.ContainsFunc(p.use, func(u classAmount) bool { return u.amount != 0 })
}

// settle forgets what batch b held, committed or not.
func (a *ahead) settle(w *world, b *batch) {
	for _, key := range b.locks {
		if l := a.locks[key]; l != nil && l.last == b {
			delete(a.locks, key)
		}
	}
	for _, hash := range b.consumers {
		delete(a.consumers, hash)
	}
	a.release(w, b)
	for _, i := range b.pends {
		row := w.provider(i)
		p := row.pend
		if p == nil {
			continue // the provider is gone, or it was listed twice
		}
		if p.batch == b {
			p.batch = nil
		}
		if p.written == b {
			p.written = nil
		}
		if p.tree.last == b {
			p.tree = lock{}
		}
		if p.batch == nil && p.tree.last == nil && p.idle() {
			p.use = p.use[:0]
			a.spare = append(a.spare, p)
			row.pend = nil
		}
	}
}
