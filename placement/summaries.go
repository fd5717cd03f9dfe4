package placement

import "iter"

// EachSummary yields every provider of the trees that the given providers are
// in: each tree once and read at one moment, parents before children. UUIDs
// that name no provider are passed over. It is [Engine.Summaries] in bounded
// memory: a summary is valid until the next step.
func (e *Engine) EachSummary(providers []UUID) iter.Seq[*ProviderSummary] {
	return func(yield func(*ProviderSummary) bool) {
		r, _ := e.summaries.Get().(*summaryReader)
		defer r.release()
		r.e = e
		for len(providers) > 0 {
			providers = r.read(providers)
			for i := range r.list {
				if !yield(&r.list[i]) {
					return
				}
			}
		}
	}
}

// summariesAtOnce is how many summaries are gathered under one lock, unless a
// tree has more.
const summariesAtOnce = 32

const keptSummaries = 256 // of which the memory is kept

// summaryReader reads trees into the same memory again and again.
type summaryReader struct {
	e    *Engine
	w    *world // the one that the first tree was read in
	seen bitmap // roots
	list []ProviderSummary
}

func (r *summaryReader) release() {
	if r.w = nil; cap(r.list) <= keptSummaries {
		r.seen = bitmap{}
		r.e.summaries.Put(r)
	}
}

// read fills list with the next trees and returns the providers left.
func (r *summaryReader) read(providers []UUID) []UUID {
	r.list = r.list[:0]
	r.e.mu.RLock()
	defer r.e.mu.RUnlock()
	if r.w == nil {
		r.w = r.e.world
	}
	w := r.w
	for k := range providers {
		if len(r.list) >= summariesAtOnce {
			return providers[k:]
		}
		i, known := w.findProvider(providers[k])
		if !known {
			continue
		}
		root := w.provider(i).root
		if r.seen.has(root) {
			continue
		}
		r.seen.set(root)
		w.members(root, func(m uint32) bool {
			r.add(w, m)
			return true
		})
	}
	return nil
}

func (r *summaryReader) add(w *world, m uint32) {
	if len(r.list) < cap(r.list) {
		r.list = r.list[:len(r.list)+1]
	} else {
		r.list = append(r.list, ProviderSummary{})
	}
	s := &r.list[len(r.list)-1]
	s.Resources, s.Traits = s.Resources[:0], s.Traits[:0]
	w.fill(&s.Provider, m)
	p := w.provider(m)
	for k := range p.inv {
		row := &p.inv[k]
		sh := &w.shapes.rows[row.shape]
		s.Resources = append(s.Resources, ResourceSummary{w.classes.names[row.class], sh.capacity, row.used, sh.inv.MaxUnit})
	}
	for _, t := range w.traitSets.sets[p.traitSet] {
		s.Traits = append(s.Traits, w.traits.names[t])
	}
}
