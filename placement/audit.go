package placement

import (
	"context"
	"fmt"
	"slices"
)

// auditIndexes compares every index with the rows (INV-8), a few rows at a
// time so that nobody waits for it.
func (e *Engine) auditIndexes(ctx context.Context, found []Violation) ([]Violation, error) {
	report := func(subject, format string, args ...any) {
		found = append(found, Violation{"INV-8", subject, fmt.Sprintf(format, args...)})
	}
	for at := uint32(0); e.auditSome(at, report); at += snapRows {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	return found, nil
}

func (e *Engine) auditSome(at uint32, report func(string, string, ...any)) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	w := e.world
	for i := at; i < min(at+snapRows, w.providers.n); i++ {
		if w.present.has(i) {
			w.auditProvider(i, report)
		}
	}
	for i := at; i < min(at+snapRows, w.consumers.n); i++ {
		if len(w.consumers.at(i).allocs) > 0 {
			w.auditConsumer(i, report)
		}
	}
	if at == 0 {
		w.auditUsage(report)
		w.auditGuards(report)
	}
	return at+snapRows < max(w.providers.n, w.consumers.n)
}

func (w *world) auditProvider(i uint32, report func(string, string, ...any)) {
	p := w.provider(i)
	subject := "provider " + p.uuid.String()
	if n, ok := w.findProvider(p.uuid); !ok || n != i {
		report(subject, "not found by its UUID")
	}
	if n, ok := w.findName(p.name); !ok || n != i {
		report(subject, "not found by its name")
	}
	if several := p.root != i || p.child != none; w.nested.has(i) != several {
		report(subject, "filed as nested: %v", !several)
	}
	for id, b := range w.traited {
		if b != nil && b.has(i) != slices.Contains(w.traitSets.sets[p.traitSet], uint32(id)) {
			report(subject, "trait %s: bitmap says %v", w.traits.names[id], b.has(i))
		}
	}
	for id, b := range w.aggregated {
		if b.has(i) != slices.Contains(w.aggregateSets.sets[p.aggSet], uint32(id)) {
			report(subject, "aggregate %s: bitmap says %v", w.aggregateIDs[id], b.has(i))
		}
	}
	for class, f := range w.room {
		if f == nil {
			continue
		}
		row := p.row(uint32(class))
		if f.any.has(i) != (row != nil) {
			report(subject, "class %s: bitmap says %v", w.classes.names[class], f.any.has(i))
		}
		n := 0
		if row != nil {
			n = levels(w.roomIn(row))
		}
		for k := range f.level {
			if f.level[k].has(i) != (k < n) {
				report(subject, "class %s: room level %d says %v", w.classes.names[class], k, f.level[k].has(i))
			}
		}
	}
	p.holders.all(func(c uint32) bool {
		if !slices.ContainsFunc(w.consumers.at(c).allocs, func(a allocRow) bool { return a.provider == i }) {
			report(subject, "lists consumer %s, which holds nothing here", w.consumers.at(c).uuid)
		}
		return true
	})
}

func (w *world) auditConsumer(i uint32, report func(string, string, ...any)) {
	c := w.consumers.at(i)
	subject := "consumer " + c.uuid.String()
	if n, ok := w.findConsumer(c.uuid); !ok || n != i {
		report(subject, "not found by its UUID")
	}
	if !w.byProject[c.project].consumers.Has(uint64(c.user)<<32 | uint64(i)) {
		report(subject, "not listed by its project %s", w.projects.names[c.project])
	}
	for _, a := range c.allocs {
		if !w.provider(a.provider).holders.has(i) {
			report(subject, "not listed by provider %s", w.provider(a.provider).uuid)
		}
	}
}

// auditUsage compares the sums of every project with its consumers.
func (w *world) auditUsage(report func(string, string, ...any)) {
	for id, pr := range w.byProject {
		if pr == nil {
			continue
		}
		sums := map[uint64]*usageRow{}
		pr.consumers.Ascend(func(key uint64) bool {
			c := w.consumers.at(uint32(key))
			row := sums[usageKey(c.user, c.kind)]
			if row == nil {
				row = new(usageRow)
				sums[usageKey(c.user, c.kind)] = row
			}
			row.count(c)
			return true
		})
		for key, row := range pr.usage {
			want := sums[key]
			if want == nil || want.consumers != row.consumers || !sameUsage(want.used, row.used) {
				report("project "+w.projects.names[id], "usage %v, its consumers hold %v", row, want)
			}
			delete(sums, key)
		}
		if len(sums) > 0 {
			report("project "+w.projects.names[id], "%d users and types without sums", len(sums))
		}
	}
}

// auditGuards compares the guards with the lists by tree.
func (w *world) auditGuards(report func(string, string, ...any)) {
	bound, listed := 0, 0
	for key, g := range w.guards {
		i, known := w.findProvider(g.bound)
		if !known {
			continue
		}
		bound++
		if root := w.provider(i).root; g.root != root || !slices.Contains(w.guardsOf[root], key) {
			report("guard "+key, "not filed with the tree of provider %s", g.bound)
		}
	}
	for _, keys := range w.guardsOf {
		listed += len(keys)
	}
	if bound != listed {
		report("guards", "trees list %d, %d are bound", listed, bound)
	}
}

func sameUsage(a, b []int64) bool {
	for k := range max(len(a), len(b)) {
		var x, y int64
		if k < len(a) {
			x = a[k]
		}
		if k < len(b) {
			y = b[k]
		}
		if x != y {
			return false
		}
	}
	return true
}
