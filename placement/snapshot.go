package placement

import (
	"iter"
	"slices"

	"github.com/google/btree"
)

// A Snapshot is the whole world at one moment, read while the engine goes on.
// It is copy-on-write: rows are copied when they are read or, if that comes
// first, when they change. Close it when done. One goroutine may use it.
type Snapshot struct {
	e *Engine
	w *world // it stays when the engine loads another
	// LastChange is the newest change of the feed that it contains.
	LastChange uint64
	// Classes and Traits are all that are known, standard ones first.
	Classes, Traits []string

	providers   rows[ProviderRecord]
	consumers   rows[ConsumerRecord]
	guards      *btree.BTreeG[guardRow]
	attachments *btree.BTreeG[Attachment]
}

// ProviderRecord is a provider with all that belongs to it.
type ProviderRecord struct {
	Provider
	Inventories []InventoryRecord // ordered by class number
	Traits      []string
	Aggregates  []UUID
}

// InventoryRecord is one inventory and what is allocated of it.
type InventoryRecord struct {
	Class     string
	Inventory Inventory
	Used      int64
}

// ConsumerRecord is a consumer and what it holds.
type ConsumerRecord struct {
	Consumer
	Allocations []Allocation
}

// rows tells how far a table has been read, and keeps the rows that changed
// before the reader came to them.
type rows[T any] struct {
	next, end uint32
	saved     map[uint32]*T // nil: the row was not in use
}

// wants reports whether row i must be saved before it changes.
func (r *rows[T]) wants(i uint32) bool {
	if i < r.next || i >= r.end {
		return false
	}
	_, known := r.saved[i]
	return !known
}

// Snapshot takes a snapshot. It costs nothing in the number of providers and
// consumers.
func (e *Engine) Snapshot() *Snapshot {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := e.world
	named := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "" })
	}
	s := &Snapshot{
		e: e, w: w, LastChange: e.LastChange(), Classes: named(w.classes.names), Traits: named(w.traits.names),
		providers:   rows[ProviderRecord]{end: w.providers.n, saved: map[uint32]*ProviderRecord{}},
		consumers:   rows[ConsumerRecord]{end: w.consumers.n, saved: map[uint32]*ConsumerRecord{}},
		attachments: w.attachments.Clone(),
		guards:      btree.NewG(32, func(a, b guardRow) bool { return a.Key < b.Key }),
	}
	for key, g := range w.guards {
		s.guards.ReplaceOrInsert(guardRow{Guard{Key: key, Version: g.version, Provider: g.bound}})
	}
	w.snaps = append(w.snaps, s)
	return s
}

type guardRow struct{ Guard }

// Close lets the engine forget the snapshot.
func (s *Snapshot) Close() {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	s.w.snaps = slices.DeleteFunc(s.w.snaps, func(o *Snapshot) bool { return o == s })
}

// snapRows is how many rows are read under one lock.
const snapRows = 64

// Providers yields every provider once, in the order of their numbers. It can
// be called once.
func (s *Snapshot) Providers() iter.Seq[ProviderRecord] {
	return func(yield func(ProviderRecord) bool) {
		readRows(s, &s.providers, func(w *world, i uint32) *ProviderRecord {
			if !w.present.has(i) {
				return nil
			}
			r := w.providerSnapshot(i)
			return &r
		}, yield)
	}
}

// Consumers yields every consumer once. It can be called once.
func (s *Snapshot) Consumers() iter.Seq[ConsumerRecord] {
	return func(yield func(ConsumerRecord) bool) {
		readRows(s, &s.consumers, func(w *world, i uint32) *ConsumerRecord {
			if len(w.consumers.at(i).allocs) == 0 {
				return nil
			}
			r := w.consumerSnapshot(i)
			return &r
		}, yield)
	}
}

func readRows[T any](s *Snapshot, r *rows[T], row func(*world, uint32) *T, yield func(T) bool) {
	chunk := make([]T, 0, snapRows)
	for r.next < r.end {
		chunk = chunk[:0]
		s.e.mu.RLock()
		for range min(snapRows, r.end-r.next) {
			saved, known := r.saved[r.next]
			if !known {
				saved = row(s.w, r.next)
			}
			if saved != nil {
				chunk = append(chunk, *saved)
			}
			r.next++
		}
		s.e.mu.RUnlock()
		for _, rec := range chunk {
			if !yield(rec) {
				return
			}
		}
	}
}

// Guards yields every guard with its version, ordered by key.
func (s *Snapshot) Guards() iter.Seq[Guard] {
	return func(yield func(Guard) bool) {
		s.guards.Ascend(func(g guardRow) bool { return yield(g.Guard) })
	}
}

// Attachments yields every attachment, ordered by key.
func (s *Snapshot) Attachments() iter.Seq[Attachment] {
	return func(yield func(Attachment) bool) {
		s.attachments.Ascend(func(a Attachment) bool { return yield(a) })
	}
}

func (w *world) providerSnapshot(i uint32) ProviderRecord {
	p := w.provider(i)
	r := ProviderRecord{Provider: w.view(i), Traits: w.traitsOf(i), Aggregates: w.aggregatesOf(i)}
	for k := range p.inv {
		row := &p.inv[k]
		r.Inventories = append(r.Inventories, InventoryRecord{w.classes.names[row.class], w.shapes.rows[row.shape].inv, row.used})
	}
	return r
}

func (w *world) consumerSnapshot(i uint32) ConsumerRecord {
	return ConsumerRecord{Consumer: w.viewConsumer(i), Allocations: w.viewAllocs(w.consumers.at(i).allocs)}
}

// saveProvider keeps row i for the snapshots that have not read it. Every
// change of a provider calls it first.
func (w *world) saveProvider(i uint32) {
	for _, s := range w.snaps {
		if !s.providers.wants(i) {
			continue
		}
		s.providers.saved[i] = nil
		if w.present.has(i) {
			r := w.providerSnapshot(i)
			s.providers.saved[i] = &r
		}
	}
}

// saveConsumer is saveProvider for consumers.
func (w *world) saveConsumer(i uint32) {
	for _, s := range w.snaps {
		if !s.consumers.wants(i) {
			continue
		}
		s.consumers.saved[i] = nil
		if len(w.consumers.at(i).allocs) > 0 {
			r := w.consumerSnapshot(i)
			s.consumers.saved[i] = &r
		}
	}
}
