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
