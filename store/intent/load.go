package intent

import (
	"context"
	"fmt"
	"iter"
	"maps"

	"github.com/kilonova-cloud/kilonova/store"
)

// maxLoads is for how many Loads it is remembered which intents were open.
const maxLoads = 8

// snapshot is what a Load has seen of the intents that were open.
type snapshot struct {
	revision uint64
	pending  map[store.BatchID]*pending
}

// Load implements [store.Store]. At its end it settles what dead writers have
// left, as far as ctx allows; Follow tells what came of it.
func (s *Store) Load(ctx context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		var d directory
		var held []store.Record // the directory may come after them
		for r, err := range s.inner.Load(ctx, rev) {
			if err == nil && r.Key.Kind == kindDirectory {
				d, err = decodeDirectory(r.Version, r.Value)
			}
			if err != nil {
				yield(store.Record{}, fmt.Errorf("load without intents: %w", err))
				return
			}
			if r.Key.Kind == kindDirectory || r.Key.Kind == kindChunk {
				continue
			}
			s.note(r.Version, 0)
			if _, maybe := parseEnvelope(r.Key, r.Value); maybe {
				held = append(held, r)
				continue
			}
			if !yield(r, nil) {
				return
			}
		}
		s.adopt(d)
		s.note(0, *rev)
		if !s.unfold(*rev, d, held, yield) {
			return
		}
		s.tell(d.turn)
		// What cannot be settled now is met again by the next writer.
		_, _ = s.bury(ctx, d)
	}
}

// unfold yields the records that intents hold as others see them, and
// remembers the open intents for Follow.
func (s *Store) unfold(rev uint64, d directory, held []store.Record, yield func(store.Record, error) bool) bool {
	open := map[store.BatchID]*pending{}
	for _, x := range d.intents {
		if x.phase == phaseOpen {
			open[x.id] = &pending{}
		}
	}
	sights := make([]sight, 0, len(held))
	for _, r := range held {
		g := sightOf(r, d)
		if p := open[g.by.id]; g.held != nil && p != nil {
			p.add(r.Key, g.held)
		}
		sights = append(sights, g)
	}
	s.remember(rev, open)
	for _, g := range sights {
		if r := g.logical(); r.Version != 0 && !yield(r, nil) {
			return false
		}
	}
	return true
}

func (s *Store) remember(rev uint64, open map[store.BatchID]*pending) {
	if len(open) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads = append(s.loads, snapshot{rev, open})
	if len(s.loads) > maxLoads {
		s.loads = s.loads[1:]
	}
}

// loaded returns what a Load has seen of the intents that were open at
// revision rev; the maps are the caller's.
func (s *Store) loaded(rev uint64) map[store.BatchID]*pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loads {
		if l.revision == rev {
			own := maps.Clone(l.pending)
			for id, p := range own {
				own[id] = p.clone()
			}
			return own
		}
	}
	return map[store.BatchID]*pending{}
}
