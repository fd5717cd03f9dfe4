package scheduler

import (
	"cmp"
	"slices"
)

// ReasonCount is how many hosts a step refused for one reason.
type ReasonCount struct {
	Reason string // without what is peculiar to a host
	Hosts  int
}

// A Stage collects what one step of a decision refuses, in memory that does
// not grow with the hosts: how many have each reason, and which missed it by
// least.
type Stage struct {
	name    string
	refused int
	counts  map[Reason]*counted
	reasons []*counted // in the order in which they came
	last    *counted
	nearest []Rejection
	worst   float64 // what misses by as much is not kept any more; 0: all is
}

type counted struct {
	Reason
	hosts int
}

// NewStage makes a stage that refused nothing.
func NewStage(name string) *Stage { return &Stage{name: name} }

// Reject counts a host that is refused.
func (s *Stage) Reject(r Rejection) {
	s.refused++
	general := r.Reason
	general.Have, general.Text = 0, ""
	if s.last == nil || general != s.last.Reason {
		s.last = s.count(general)
	}
	s.last.hosts++
	if s.worst > 0 && r.Reason.miss() >= s.worst {
		return
	}
	if s.nearest = append(s.nearest, r); len(s.nearest) == 2*mostKept {
		sortByMiss(s.nearest)
		s.nearest = s.nearest[:mostKept]
		s.worst = s.nearest[mostKept-1].Reason.miss()
	}
}

// count returns where hosts with a reason are counted.
func (s *Stage) count(general Reason) *counted {
	if c := s.counts[general]; c != nil {
		return c
	}
	if len(s.counts) >= mostKept {
		general = Reason{Why: "other reasons"}
		if c := s.counts[general]; c != nil {
			return c
		}
	}
	if s.counts == nil {
		s.counts = map[Reason]*counted{}
	}
	c := &counted{general, 0}
	s.counts[general], s.reasons = c, append(s.reasons, c)
	return c
}

// mostKept is how many rejections are kept of each step, and reasons.
const mostKept = 100

// Result returns what was collected, when after hosts passed.
func (s *Stage) Result(after int) FilterResult {
	sortByMiss(s.nearest)
	out := FilterResult{Name: s.name, Before: after + s.refused, After: after, Rejected: slices.Clip(s.nearest[:min(mostKept, len(s.nearest))])}
	slices.SortStableFunc(s.reasons, func(a, b *counted) int { return b.hosts - a.hosts })
	for _, c := range s.reasons {
		out.Reasons = append(out.Reasons, ReasonCount{c.general(), c.hosts})
	}
	return out
}

func sortByMiss(list []Rejection) {
	slices.SortStableFunc(list, func(a, b Rejection) int { return cmp.Compare(a.Reason.miss(), b.Reason.miss()) })
}

// shortened is the same with no more rejections than are worth keeping, and
// with their reasons counted.
func (r *FilterResult) shortened() FilterResult {
	if r.Name == "" || r.Reasons != nil {
		return *r
	}
	s := NewStage(r.Name)
	for _, rejection := range r.Rejected {
		s.Reject(rejection)
	}
	out := s.Result(r.After)
	out.Before = r.Before
	return out
}

// shortened is the same in memory that does not grow with the hosts.
func (e *Explanation) shortened() Explanation {
	out := Explanation{
		Placement: e.Placement.shortened(), Demands: e.Demands.shortened(), Filters: shortened(e.Filters),
		Weights: slices.Clone(e.Weights[:min(mostKept, len(e.Weights))]),
	}
	return out
}

func shortened(list []FilterResult) []FilterResult {
	out := make([]FilterResult, len(list))
	for k := range list {
		out[k] = list[k].shortened()
	}
	return out
}
