package router

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// DefaultSummaryAge is Config.SummaryAge where it says nothing.
const DefaultSummaryAge = 10 * time.Second

// Shape is what one instance takes of a host. Use [NewShape].
type Shape struct {
	amounts []amount // by class, each above 0
	traits  []string // in order
	id      string
}

type amount struct {
	class string
	n     int64
}

// NewShape returns the shape of amounts by resource class and required traits.
// Amounts below 1 are as good as none.
func NewShape(amounts map[string]int64, traits ...string) Shape {
	var s Shape
	var id strings.Builder
	for _, class := range slices.Sorted(maps.Keys(amounts)) {
		if n := amounts[class]; n > 0 {
			s.amounts = append(s.amounts, amount{class, n})
			id.WriteString(class + "=" + strconv.FormatInt(n, 10) + " ")
		}
	}
	s.traits = slices.Compact(slices.Sorted(slices.Values(traits)))
	for _, t := range s.traits {
		id.WriteString(t + " ")
	}
	s.id = strings.TrimSuffix(id.String(), " ")
	return s
}

// String returns the amounts and traits in order. It is the same for the same
// shape, and for no other.
func (s Shape) String() string { return s.id }

// Summary says what is free in a cell.
type Summary struct {
	Revision uint64 // grows with every summary of a cell
	Hosts    int    // that may take instances
	// Most is the most of a class that is free on one host. A class that no host
	// has is not in it.
	Most map[string]int64
	// Traits is how many hosts have a trait.
	Traits map[string]int
	// Fits is how many instances of a shape, by its text, would find a host if all
	// were of that shape. Shapes that are not in it were not counted.
	Fits map[string]int64
}

// Refuses returns why no host of the cell takes an instance of the shape; ""
// when one may.
func (s *Summary) Refuses(shape Shape) string {
	if s.Hosts == 0 {
		return "no host takes instances"
	}
	for _, a := range shape.amounts {
		if most := s.Most[a.class]; most < a.n {
			return fmt.Sprintf("%s is %d, no host has more than %d free", a.class, a.n, most)
		}
	}
	for _, t := range shape.traits {
		if s.Traits[t] == 0 {
			return "no host has " + t
		}
	}
	if n, counted := s.Fits[shape.id]; counted && n == 0 {
		return "no host has room for " + shape.id
	}
	return ""
}

// outlook is the last summary of a cell.
type outlook struct {
	summary Summary
	come    time.Time
}

// outlooks are those of all cells.
type outlooks struct {
	mu     sync.RWMutex
	byUUID map[string]outlook
}

func (o *outlooks) forget(uuid string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byUUID, uuid)
}

// note keeps a summary unless it is older than the one that is there.
func (o *outlooks) note(uuid string, s Summary, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.byUUID == nil {
		o.byUUID = map[string]outlook{}
	}
	if was, there := o.byUUID[uuid]; !there || s.Revision >= was.summary.Revision {
		o.byUUID[uuid] = outlook{s, at}
	}
}

// Report takes the summary of a cell, which must not change any more. One that
// was overtaken by a later revision is dropped. It returns [ErrUnknownCell].
func (r *Router[C]) Report(uuid string, s Summary) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Load().member(uuid) == nil {
		return fmt.Errorf("summary of cell %q: %w", uuid, ErrUnknownCell)
	}
	r.outlooks.note(uuid, s, now())
	return nil
}

// Skipped is a cell that need not be asked for hosts, and why.
type Skipped struct {
	Cell   Cell
	Reason string
}

// Choice is where to look for hosts.
type Choice struct {
	// Ask are the cells where a host may be found, by how many instances of the
	// shape fit, most first; then those of which that is not known. Equals are in
	// the order of the cells.
	Ask  []Cell
	Skip []Skipped // in the order of the cells
}

// Choose returns the cells in which a host for an instance of the shape may be
// found. Disabled cells, cell0, cells that are away and cells whose summary, not
// older than Config.SummaryAge, refuses the shape are skipped.
func (r *Router[C]) Choose(shape Shape) Choice {
	type option struct {
		cell Cell
		fits int64
	}
	var options []option
	var c Choice
	earliest := now().Add(-r.cfg.SummaryAge)
	r.outlooks.mu.RLock()
	defer r.outlooks.mu.RUnlock()
	for _, p := range r.current.Load().cells {
		known, there := r.outlooks.byUUID[p.cell.UUID]
		fresh := there && !known.come.Before(earliest)
		if why := p.unfit(&known.summary, fresh, shape); why != "" {
			c.Skip = append(c.Skip, Skipped{p.cell, why})
			continue
		}
		options = append(options, option{p.cell, weight(&known.summary, fresh, shape)})
	}
	slices.SortStableFunc(options, func(a, b option) int { return cmp.Compare(b.fits, a.fits) })
	for _, o := range options {
		c.Ask = append(c.Ask, o.cell)
	}
	return c
}

// unfit returns why a cell need not be asked; "" when it is to be.
func (p *placed[C]) unfit(s *Summary, fresh bool, shape Shape) string {
	switch {
	case p.cell.Disabled:
		return "the cell is disabled"
	case p.cell.UUID == Cell0:
		return "cell0 has no hosts"
	case p.member.status(p.cell).Away:
		return "the cell is away"
	case fresh:
		return s.Refuses(shape)
	}
	return ""
}

// weight is how many instances of a shape fit; -1 when that is not known.
func weight(s *Summary, fresh bool, shape Shape) int64 {
	if n, counted := s.Fits[shape.id]; fresh && counted {
		return n
	}
	return -1
}
