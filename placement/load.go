package placement

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// A loader puts records into the world in whatever order they come: one that
// refers to what is not there yet waits.
type loader struct {
	w       *world
	feed    *feed                   // nil: nobody follows yet
	waiting []store.Record          // for a class or trait, or malformed
	orphans map[UUID][]store.Record // by the provider that they wait for
	at      uint32                  // provider of the latest state
	fetcher fetcher

	provider providerRecord // reused, as the world copies all but texts
	consumer consumerRecord // reused, but for allocs
}

// load makes a world of what the store holds and returns the revision to
// follow. The clock of versions is ahead of all that it saw.
func (e *Engine) load(ctx context.Context) (w *world, revision uint64, err error) {
	w = newWorld(e.cfg.Seed)
	l := loader{w: w, fetcher: fetcher{w: w}}
	w.bulk = true
	stamp := uint64(0)
	next := make([]store.Record, 0, fetchRecords)
	for rec, err := range e.cfg.Store.Load(ctx, &revision) {
		if err != nil {
			return nil, 0, err
		}
		stamp = max(stamp, rec.Version)
		if next = append(next, rec); len(next) == fetchRecords {
			if err := l.addAll(next); err != nil {
				return nil, 0, err
			}
			next = next[:0]
		}
	}
	if err := l.addAll(next); err != nil {
		return nil, 0, err
	}
	if err := l.finish(); err != nil {
		return nil, 0, err
	}
	w.fileRoom()
	e.mu.Lock()
	e.stamp = max(e.stamp, stamp, revision) // versions of what was deleted do not come back either
	e.mu.Unlock()
	return w, revision, l.complete()
}

// complete demands the second record of every provider.
func (l *loader) complete() error {
	for i := range l.w.providers.n {
		if p := l.w.provider(i); p.version == 0 {
			return fmt.Errorf("provider %s: %w: its state is missing", p.uuid, store.ErrDamaged)
		}
	}
	return nil
}

// addAll adds as many records as a fetch is good for.
func (l *loader) addAll(records []store.Record) error {
	l.fetcher.fetch(records)
	for _, rec := range records {
		if err := l.add(rec); err != nil {
			return err
		}
	}
	return nil
}

// add applies rec, and what waited for it, or keeps it for later.
func (l *loader) add(rec store.Record) error {
	ready, err := l.try(rec)
	for err == nil && len(ready) > 0 {
		last := len(ready) - 1
		var more []store.Record
		more, err = l.try(ready[last])
		ready = append(ready[:last], more...)
	}
	return err
}

// try applies rec and returns what waited for it.
func (l *loader) try(rec store.Record) ([]store.Record, error) {
	err := l.apply(rec)
	var missing *missingError
	switch {
	case errors.As(err, &missing):
		if l.orphans == nil {
			l.orphans = map[UUID][]store.Record{}
		}
		l.orphans[missing.provider] = append(l.orphans[missing.provider], rec)
		return nil, nil
	case errors.Is(err, errRecord):
		l.waiting = append(l.waiting, rec)
		return nil, nil
	case err != nil || rec.Key.Kind != kindProvider || len(l.orphans) == 0:
		return nil, err
	}
	uuid := UUID([]byte(rec.Key.ID))
	ready := l.orphans[uuid]
	delete(l.orphans, uuid)
	return ready, nil
}

// finish applies what waits, until nothing is left or nothing helps.
func (l *loader) finish() error {
	for len(l.waiting) > 0 {
		again := l.waiting
		l.waiting = nil
		for _, rec := range again {
			if err := l.add(rec); err != nil {
				return err
			}
		}
		if len(l.waiting) == len(again) {
			return l.damaged(again[0])
		}
	}
	for _, list := range l.orphans {
		return l.damaged(list[0])
	}
	return nil
}

func (l *loader) damaged(rec store.Record) error {
	return fmt.Errorf("record %v: %w: %w", rec.Key, store.ErrDamaged, l.apply(rec))
}

func (l *loader) apply(rec store.Record) error {
	switch rec.Key.Kind {
	case kindClass:
		return l.symbol(&l.w.classes, rec)
	case kindTrait:
		return l.symbol(&l.w.traits, rec)
	case kindProvider:
		return l.define(rec)
	case kindState:
		return l.state(rec)
	case kindConsumer:
		r := &l.consumer
		if err := l.w.readConsumer(r, rec); err != nil {
			return fmt.Errorf("consumer: %w", err)
		}
		l.w.putConsumer(r)
		l.w.putStamps(r, l.feed)
	case kindGuard:
		bound, err := decodeGuard(rec.Value)
		if err != nil {
			return fmt.Errorf("guard: %w", err)
		}
		if _, known := l.w.findProvider(bound); !known && !bound.IsZero() {
			return fmt.Errorf("guard: %w", &missingError{bound})
		}
		l.w.putGuard(rec.Key.ID, bound, rec.Version)
		l.tellKey(ChangeGuard, rec.Key.ID)
	case kindAttachment:
		d := decoder{buf: rec.Value}
		if d.open(); d.err != nil {
			return fmt.Errorf("attachment: %w", d.err)
		}
		l.w.attachments.ReplaceOrInsert(Attachment{rec.Key.ID, d.buf})
		l.tellKey(ChangeAttachment, rec.Key.ID)
	case kindName:
	default:
		return fmt.Errorf("record of kind %d: %w", rec.Key.Kind, store.ErrNewerFormat)
	}
	return nil
}

func (l *loader) symbol(t *symtab, rec store.Record) error {
	d := decoder{buf: rec.Value}
	d.open()
	if err := d.close(); err != nil {
		return fmt.Errorf("symbol: %w", err)
	}
	if checkCustomName("name", rec.Key.ID) != nil {
		return fmt.Errorf("symbol %q: %w", rec.Key.ID, store.ErrDamaged)
	}
	t.versions[t.intern(rec.Key.ID)] = rec.Version
	return nil
}

func (l *loader) define(rec store.Record) error {
	r := &l.provider
	if err := l.w.readProvider(r, rec); err != nil {
		return fmt.Errorf("provider: %w", err)
	}
	parent, known := l.w.findProvider(r.parent)
	if !known && !r.parent.IsZero() {
		return fmt.Errorf("parent: %w", &missingError{r.parent})
	}
	if i, there := l.w.findProvider(r.uuid); there && known {
		for a := parent; a != none; a = l.w.provider(a).parent {
			if a == i {
				return fmt.Errorf("provider: %w: it is its own ancestor", errRecord)
			}
		}
	}
	l.w.putProvider(r, l.feed)
	return nil
}

func (l *loader) state(rec store.Record) error {
	generation, updated, err := decodeState(rec.Value)
	if err == nil && len(rec.Key.ID) != 16 {
		err = errRecord
	}
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	uuid := UUID([]byte(rec.Key.ID))
	// States and providers often come in the same order.
	i, known := l.at+1, true
	if i >= l.w.providers.n || l.w.provider(i).uuid != uuid {
		i, known = l.w.findProvider(uuid)
	}
	if !known {
		return fmt.Errorf("state: %w", &missingError{uuid})
	}
	l.at = i
	l.w.meetState(i, stateRecord{version: rec.Version, generation: generation, updated: updated}, l.feed)
	return nil
}

func (l *loader) tellKey(kind ChangeKind, key string) {
	if l.feed != nil {
		l.feed.addKey(kind, key)
	}
}

// applyForeign makes a batch visible that another engine wrote; plan and mu
// are held.
func (e *Engine) applyForeign(ev *store.Event) error {
	w := e.world
	for _, p := range ev.Puts { // old allocations first: their inventories may go
		e.dropForeignConsumer(p.Key)
	}
	for _, k := range ev.Deletes {
		e.dropForeignConsumer(k)
	}
	l := loader{w: w, feed: e.feed}
	puts := slices.Clone(ev.Puts)
	slices.SortStableFunc(puts, func(a, b store.Put) int { return int(a.Key.Kind) - int(b.Key.Kind) })
	for _, p := range puts {
		if err := l.add(store.Record{Key: p.Key, Version: ev.Version, Value: p.Value}); err != nil {
			return err
		}
	}
	if err := l.finish(); err != nil {
		return err
	}
	for _, k := range ev.Deletes {
		e.dropForeign(k)
	}
	return nil
}

func (e *Engine) dropForeignConsumer(k store.Key) {
	if k.Kind != kindConsumer || len(k.ID) != 16 {
		return
	}
	if i, known := e.world.findConsumer(UUID([]byte(k.ID))); known {
		e.world.dropConsumer(i)
	}
}

func (e *Engine) dropForeign(k store.Key) {
	w := e.world
	switch k.Kind {
	case kindProvider:
		var uuid UUID
		copy(uuid[:], k.ID)
		if i, known := w.findProvider(uuid); known {
			e.feed.add(ChangeRemoved, w.provider(i).uuid, w.provider(w.provider(i).root).uuid)
			w.dropProvider(i)
		}
	case kindClass, kindTrait:
		table := &w.classes
		if k.Kind == kindTrait {
			table = &w.traits
		}
		if id, known := table.ids[k.ID]; known && id >= table.standard {
			table.remove(id)
			w.symbolEpoch++
		}
	case kindGuard:
		w.dropGuard(k.ID)
		e.feed.addKey(ChangeGuard, k.ID)
	case kindAttachment:
		w.attachments.Delete(Attachment{Key: k.ID})
		e.feed.addKey(ChangeAttachment, k.ID)
	}
}
