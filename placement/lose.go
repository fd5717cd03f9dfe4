package placement

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// errDropped: the write was not sent, as what it was planned on has changed;
// plan anew, and at once.
var errDropped = errors.New("planned on what has changed")

// lost is what other engines have changed: plans that rely on it are void.
type lost struct {
	providers map[uint32]struct{}
	consumers map[uint64]struct{} // by the hash of the UUID
	guards    map[string]struct{}
}

// losing returns what records stand for. It reports false when one of them is
// of a kind that may void any plan. mu is held for reading.
func (w *world) losing(keys func(yield func(store.Key) bool)) (*lost, bool) {
	l := &lost{map[uint32]struct{}{}, map[uint64]struct{}{}, map[string]struct{}{}}
	for k := range keys {
		switch {
		case k.Kind == kindState && len(k.ID) == 16:
			i, known := w.findProvider(UUID([]byte(k.ID)))
			if !known {
				return nil, false
			}
			l.providers[i] = struct{}{}
		case k.Kind == kindConsumer && len(k.ID) == 16:
			u := UUID([]byte(k.ID))
			l.consumers[w.hashUUID(&u)] = struct{}{}
		case k.Kind == kindGuard:
			l.guards[k.ID] = struct{}{}
		case k.Kind != kindAttachment:
			return nil, false
		}
	}
	return l, true
}

func (l *lost) hits(t *tx) bool {
	for k := range t.states {
		if _, hit := l.providers[t.states[k].i]; hit {
			return true
		}
	}
	for _, i := range t.dropped {
		if _, hit := l.providers[i]; hit {
			return true
		}
	}
	for _, hash := range t.held {
		if _, hit := l.consumers[hash]; hit {
			return true
		}
	}
	for k := range t.guards {
		if _, hit := l.guards[t.guards[k].key]; hit {
			return true
		}
	}
	return false
}

// claims reports whether t changes nothing but consumers, the states of
// providers, guards and attachments.
func (t *tx) claims() bool {
	return len(t.defs)+len(t.dropped)+len(t.symbols)+len(t.parents) == 0 &&
		!slices.ContainsFunc(t.states, func(s stateChange) bool { return s.i == none })
}

// losers returns which writes of b rely on what is lost, or on what another of
// them was to change, which is lost then too; and how many they are, -1 when
// one of them is not a claim.
func (l *lost) losers(b *batch) (which []bool, n int) {
	which = make([]bool, len(b.txs))
	for before := -1; n > before; {
		before = n
		for k, t := range b.txs {
			if which[k] || !l.hits(t) {
				continue
			}
			if !t.claims() {
				return nil, -1
			}
			which[k], n = true, n+1
			for _, s := range t.states {
				l.providers[s.i] = struct{}{}
			}
		}
	}
	return which, n
}

// part takes the writes that rely on what is lost out of b, and out of the
// batches after it that are not sent yet, as those that build on b are not. It
// reports false, and does nothing, when nothing of b would stay, when nothing
// of one that was refused would go, or when some that would go are not claims.
// What is taken out ends with why, and is planned anew when the feed has
// reached revision after. plan is held.
func (e *Engine) part(b *batch, l *lost, why error, after uint64) bool {
	var chain []*batch
	if at := slices.Index(e.flying, b); at >= 0 {
		chain = slices.Clone(e.flying[at:])
	}
	if e.open != nil {
		chain = append(chain, e.open)
	}
	which, gone := make([][]bool, len(chain)), make([]map[uint32]struct{}, len(chain))
	for k, c := range chain {
		if c != b && c.sent {
			continue // it will be refused
		}
		var n int
		if which[k], n = l.losers(c); n < 0 || k == 0 && (n == len(c.txs) || n == 0 && c != e.open) {
			return false
		} else if n > 0 {
			gone[k] = maps.Clone(l.providers) // those that come later are not lost to c
		}
	}
	for k, c := range chain {
		if gone[k] != nil {
			e.takeOut(c, which[k], gone[k], &batch{err: why, after: after})
		}
	}
	if e.open != nil && len(e.open.txs) == 0 {
		e.dropOpen(why, after)
	}
	return true
}

// takeOut takes writes out of b, whose writers find them in nowhere.
func (e *Engine) takeOut(b *batch, which []bool, lost map[uint32]struct{}, nowhere *batch) {
	e.stripRecords(b, which, lost)
	e.retract(b, which, lost)
	var stay []*tx
	b.weight = 0
	for k := range b.states {
		b.weight += b.states[k].weight()
	}
	for k, t := range b.txs {
		if which[k] {
			t.batch = nowhere
			continue
		}
		stay = append(stay, t)
		b.weight += t.weight() - t.moves()
	}
	b.txs = stay
	close(b.parted)
	b.parted = make(chan struct{})
}

// extent is where the records of a write end in those of its batch.
type extent struct{ expect, puts, deletes int }

// stripRecords takes the records of writes, and those of states that are lost,
// out of a sealed batch, which becomes another one.
func (e *Engine) stripRecords(b *batch, which []bool, lost map[uint32]struct{}) {
	if b.extents == nil {
		return
	}
	e.name(b)
	old := b.records
	r := store.Batch{ID: b.id, Version: old.Version}
	var from extent
	var stay []extent
	for k, to := range b.extents {
		if !which[k] {
			r.Expect = append(r.Expect, old.Expect[from.expect:to.expect]...)
			r.Puts = append(r.Puts, old.Puts[from.puts:to.puts]...)
			r.Deletes = append(r.Deletes, old.Deletes[from.deletes:to.deletes]...)
			stay = append(stay, extent{len(r.Expect), len(r.Puts), len(r.Deletes)})
		}
		from = to
	}
	for k := range b.states {
		if _, gone := lost[b.states[k].provider]; !gone {
			r.Expect = append(r.Expect, old.Expect[from.expect+k])
			r.Puts = append(r.Puts, old.Puts[from.puts+k])
		}
	}
	at, fences := from.expect+len(b.states), []string(nil)
	for k, key := range b.fences {
		if b.relies(which, key) {
			r.Expect, fences = append(r.Expect, old.Expect[at+k]), append(fences, key)
		}
	}
	b.fences = fences
	b.records, b.extents = r, stay
}

// relies reports whether a write that stays in b has a guard.
func (b *batch) relies(which []bool, key string) bool {
	for k, t := range b.txs {
		if !which[k] && slices.ContainsFunc(t.guards, func(g guardChange) bool { return g.key == key }) {
			return true
		}
	}
	return false
}

// retract takes back what writes of b hold and will change.
func (e *Engine) retract(b *batch, which []bool, lost map[uint32]struct{}) {
	a := e.ahead
	a.release(e.world, b)
	b.consumers = b.consumers[:0]
	for k, t := range b.txs {
		if !which[k] {
			a.keep(t, b)
			continue
		}
		for _, hash := range t.held {
			delete(a.consumers, hash)
		}
		for _, h := range t.locks {
			if held := a.locks[h.key]; h.exclusive && held != nil && held.last == b {
				delete(a.locks, h.key)
			}
		}
	}
	b.states = slices.DeleteFunc(b.states, func(s batchState) bool {
		if _, gone := lost[s.provider]; !gone {
			return false
		}
		if p := e.world.provider(s.provider).pend; p != nil && p.batch == b {
			p.batch = nil // who plans on what is in the world now is refused while an earlier batch moves it
		}
		return true
	})
}

// name gives b an ID.
func (e *Engine) name(b *batch) {
	binary.LittleEndian.PutUint64(b.id[:8], e.ids.Uint64())
	binary.LittleEndian.PutUint64(b.id[8:], e.ids.Uint64()|1)
}

// lose takes the losers out of b, which the store has refused, and reports
// whether the rest of it is to be sent. It is not while an earlier try may
// still take effect.
func (e *Engine) lose(b *batch, res store.Result, sure bool) bool {
	e.plan.Lock()
	defer e.plan.Unlock()
	b.after = res.Revision
	if !sure || b.orphan || b.alone || len(res.Conflicts) == 0 {
		return false
	}
	e.mu.RLock()
	l, some := e.world.losing(func(yield func(store.Key) bool) {
		for k := range res.Conflicts {
			if !yield(res.Conflicts[k].Key) {
				return
			}
		}
	})
	e.mu.RUnlock()
	return some && e.part(b, l, errConflict, res.Revision)
}

// invalidate takes what another engine's batch has made void out of the open
// one; plan and mu are held.
func (e *Engine) invalidate(ev *store.Event) {
	if e.open == nil {
		return
	}
	l, some := e.world.losing(func(yield func(store.Key) bool) {
		for k := range ev.Puts {
			if !yield(ev.Puts[k].Key) {
				return
			}
		}
		for _, k := range ev.Deletes {
			if !yield(k) {
				return
			}
		}
	})
	if !some || e.open.alone || !e.part(e.open, l, errDropped, 0) {
		e.dropOpen(errDropped, 0) // its plans may name rows that are another's after this
	}
	if b := e.open; b != nil { // what joins it from now on may build on what was just seen
		e.stamp++
		b.stamp = e.stamp
		for k := range b.states {
			if p := e.world.provider(b.states[k].provider).pend; p.batch == b {
				p.version = b.stamp
			}
		}
	}
}
