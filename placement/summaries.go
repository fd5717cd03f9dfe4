package placement

import "iter"

// EachSummary yields every provider of the trees that the given providers are
// in: each tree once and read at one moment, parents before children. UUIDs
// that name no provider are passed over. It is [Engine.Summaries] in bounded
// memory: a summary is valid until the next step.
func (e *Engine) EachSummary(providers []UUID) iter.Seq[*ProviderSummary] {
	return func(yield func(*ProviderSummary) bool) {
		r := summaryReader{e: e, seen: make(map[uint32]struct{}, len(providers))}
		for k := range providers {
			r.read(&providers[k])
			for i := range r.list {
				if !yield(&r.list[i]) {
					return
				}
			}
		}
	}
}

// summaryReader reads tree after tree into the same memory.
type summaryReader struct {
	e    *Engine
	seen map[uint32]struct{} // roots
	list []ProviderSummary   // of the present tree
}

// read fills list with the tree of a provider, unless it was there before.
func (r *summaryReader) read(uuid *UUID) {
	r.list = r.list[:0]
	r.e.mu.RLock()
	defer r.e.mu.RUnlock()
	w := r.e.world
	i, known := w.findProvider(*uuid)
	if !known {
		return
	}
	root := w.provider(i).root
	if _, twice := r.seen[root]; twice {
		return
	}
	r.seen[root] = struct{}{}
	w.members(root, func(m uint32) bool {
		r.add(w, m)
		return true
	})
}

func (r *summaryReader) add(w *world, m uint32) {
	if len(r.list) < cap(r.list) {
		r.list = r.list[:len(r.list)+1]
	} else {
		r.list = append(r.list, ProviderSummary{})
	}
	s := &r.list[len(r.list)-1]
	s.Provider, s.Resources, s.Traits = w.view(m), s.Resources[:0], s.Traits[:0]
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
