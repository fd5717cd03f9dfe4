package intent

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// pending gathers the changes of an intent that is not visible yet.
type pending struct{ puts, deletes []placed }

// placed is a change and its place in the batch.
type placed struct {
	at  int
	put store.Put
}

func (p *pending) add(k store.Key, e *envelope) {
	if e.delete {
		p.deletes = append(p.deletes, placed{e.at, store.Put{Key: k}})
	} else {
		p.puts = append(p.puts, placed{e.at, store.Put{Key: k, Value: e.value}})
	}
}

func (p *pending) clone() *pending {
	return &pending{slices.Clone(p.puts), slices.Clone(p.deletes)}
}

// event is the batch of intent x, exactly as its writer gave it.
func (p *pending) event(x intent, revision uint64) store.Event {
	ev := store.Event{Revision: revision, ID: x.id, Version: x.version}
	byPlace := func(a, b placed) int { return a.at - b.at }
	slices.SortFunc(p.puts, byPlace)
	slices.SortFunc(p.deletes, byPlace)
	for _, c := range p.puts {
		ev.Puts = append(ev.Puts, c.put)
	}
	for _, c := range p.deletes {
		ev.Deletes = append(ev.Deletes, c.put.Key)
	}
	return ev
}

// Follow implements [store.Store]. What goes on inside an intent shows as
// progress marks. It yields [store.ErrCompacted] also when an intent that was
// under way at revision after becomes visible and its beginning is gone from
// the history, unless a Load of this store ended at that revision.
func (s *Store) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		f := follower{s: s, pending: s.loaded(after)}
		for ev, err := range s.inner.Follow(ctx, after) {
			if err == nil {
				ev, err = f.take(ctx, ev)
			}
			if err != nil {
				yield(store.Event{}, fmt.Errorf("follow without intents: %w", err))
				return
			}
			s.note(ev.Version, ev.Revision)
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// follower turns the events of the store below into those of this one.
type follower struct {
	s       *Store
	pending map[store.BatchID]*pending // no entry: its beginning was not seen
}

// traces is what an event shows of intents.
type traces struct {
	directory *store.Put
	written   *store.Key // a chunk that came
	settled   *store.Key // a chunk that went
}

func tracesOf(ev *store.Event) (t traces) {
	for i := range ev.Puts {
		switch ev.Puts[i].Key.Kind {
		case kindDirectory:
			t.directory = &ev.Puts[i]
		case kindChunk:
			t.written = &ev.Puts[i].Key
		}
	}
	for i := range ev.Deletes {
		if ev.Deletes[i].Kind == kindChunk {
			t.settled = &ev.Deletes[i]
		}
	}
	return t
}

// take returns what others see of ev: itself, a whole large batch, or a
// progress mark.
func (f *follower) take(ctx context.Context, ev store.Event) (store.Event, error) {
	t := tracesOf(&ev)
	mark := store.Event{Revision: ev.Revision}
	switch {
	case t.directory != nil:
		d, err := decodeDirectory(ev.Version, t.directory.Value)
		if err != nil {
			return mark, err
		}
		f.s.adopt(d)
		f.s.tell(d.turn)
		return f.directory(ctx, d, mark)
	case t.written != nil:
		f.written(&ev, *t.written)
		return mark, nil
	case t.settled != nil:
		if _, version := parseChunkKey(*t.settled); version == ev.Version || len(ev.Puts) == 0 {
			return mark, nil
		}
		// Rolled back: old values at new versions. What goes was never seen.
		return store.Event{Revision: ev.Revision, ID: ev.ID, Version: ev.Version, Puts: ev.Puts}, nil
	}
	return ev, nil
}

// directory follows a change of the directory to d.
func (f *follower) directory(ctx context.Context, d directory, mark store.Event) (store.Event, error) {
	switch d.change {
	case changeOpen:
		f.pending[d.about] = &pending{}
	case changeAbort:
		delete(f.pending, d.about)
	case changeDone:
		x, _ := d.find(d.about)
		p, seen := f.pending[x.id]
		if !seen {
			var err error
			if p, err = f.s.history(ctx, x, mark.Revision); err != nil {
				return mark, err
			}
		}
		delete(f.pending, x.id)
		return p.event(x, mark.Revision), nil
	case changeRenew, changeRemove, changeTurn:
	}
	return mark, nil
}

func (f *follower) written(ev *store.Event, chunk store.Key) {
	id, _ := parseChunkKey(chunk)
	if p, seen := f.pending[id]; seen {
		gather(p, id, ev.Puts)
	}
}

func gather(p *pending, id store.BatchID, puts []store.Put) {
	for i := range puts {
		if e, ok := parseEnvelope(puts[i].Key, puts[i].Value); ok && e.id == id {
			p.add(puts[i].Key, e)
		}
	}
}

// history gathers the changes of intent x, which became visible at revision
// until, from the feed.
func (s *Store) history(ctx context.Context, x intent, until uint64) (*pending, error) {
	p := &pending{}
	for ev, err := range s.inner.Follow(ctx, x.since) {
		if err != nil {
			return nil, fmt.Errorf("changes of batch %x from revision %d: %w", x.id, x.since, err)
		}
		if ev.Revision >= until {
			break
		}
		t := tracesOf(&ev)
		switch {
		case t.directory != nil:
			d, err := decodeDirectory(ev.Version, t.directory.Value)
			if err != nil {
				return nil, err
			}
			if d.change == changeOpen && d.about == x.id {
				p = &pending{} // an earlier try was rolled back
			}
		case t.written != nil:
			if id, _ := parseChunkKey(*t.written); id == x.id {
				gather(p, id, ev.Puts)
			}
		}
	}
	return p, nil
}
