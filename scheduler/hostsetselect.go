package scheduler

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// maxHead is how many of the best hosts are told apart.
const maxHead = 16

// setScratch is what a decision of a [HostSet] needs, made once.
type setScratch struct {
	request   Request
	asked     []Filter     // filters that have to be asked about each host
	left      []int32      // hosts that they leave
	states    []*HostState // of those
	totals    []float64    // of those
	values    []float64
	head      [maxHead]ranked
	selected  [1]Selection
	alternate [maxHead]*HostState
}

// ranked is one of the best hosts.
type ranked struct {
	total float64
	host  int32
}

// window returns the time in which all windowed filters pass a host.
func (p *Pipeline) window(h *HostState) (first, last int64) {
	first, last = math.MinInt64, math.MaxInt64
	for _, f := range p.cfg.Filters {
		if w, ok := f.(Windowed); ok {
			from, to := w.Window(h)
			first, last = max(first, from), min(last, to)
		}
	}
	return first, last
}

// Select chooses hosts as [Pipeline.Select] does, which explains. The answer
// is good until the next call. If rng is nil, the first of the best hosts is
// taken.
func (s *HostSet) Select(spec *RequestSpec, now time.Time, rng *rand.Rand) ([]Selection, error) {
	if s.columnar(spec, rng) {
		s.at(now.UnixNano())
		s.scratch.request = Request{Spec: spec, Instance: spec.Instances[0], Now: now}
		if g := spec.Group; g != nil {
			s.scratch.request.GroupHosts = g.Hosts
			s.scratch.request.setMembers(g.Members)
		}
		if len(spec.Instances) > 1 {
			if selected, ok := s.selectMany(spec, &s.scratch.request); ok {
				return selected, nil
			}
		} else if totals, of, ok := s.rank(); ok {
			return s.choose(totals, of, rng), nil
		}
	} else if selected, ok := s.selectNamed(spec, now, rng); ok {
		return selected, nil
	}
	s.plain++
	return s.p.Select(&Query{Spec: spec, Hosts: s.hosts, Now: now, Rand: rng}, nil)
}

// draws reports whether chance decides.
func (s *HostSet) draws(rng *rand.Rand) bool {
	return rng != nil && (s.p.cfg.ShuffleBest || s.p.cfg.HostSubsetSize > 1)
}

// named reports whether the request allows few hosts, by name.
func named(spec *RequestSpec) bool {
	return len(spec.ForceHosts)+len(spec.ForceNodes) > 0 || spec.Destination != nil && spec.Destination.Host != nil
}

// selectNamed decides among the few hosts that the request names. It returns
// false when none of them does, which is to be explained, or it names none.
func (s *HostSet) selectNamed(spec *RequestSpec, now time.Time, rng *rand.Rand) ([]Selection, bool) {
	if !named(spec) || len(spec.Instances) > 1 && s.draws(rng) {
		return nil, false
	}
	var hosts []*HostState
	refuse := demandsOf(spec)
	for _, h := range s.hosts {
		if !slices.ContainsFunc(refuse, func(d demand) bool { r := d.refuse(h); return !r.Passes() }) {
			hosts = append(hosts, h)
		}
	}
	selected, err := s.p.Select(&Query{Spec: spec, Hosts: hosts, Now: now, Rand: rng}, nil)
	return selected, err == nil
}

// columnar reports whether columns answer the request, and notes which
// filters have to be asked.
func (s *HostSet) columnar(spec *RequestSpec, rng *rand.Rand) bool {
	cfg := &s.p.cfg
	if len(spec.Instances) == 0 || len(s.odd) > 0 || named(spec) || spec.Rebuilds() || cfg.MaxAttempts > maxHead ||
		len(spec.Instances) > 1 && s.draws(rng) ||
		rng != nil && (cfg.ShuffleBest || cfg.HostSubsetSize+cfg.MaxAttempts > maxHead) {
		return false
	}
	s.scratch.asked = s.scratch.asked[:0]
	for _, f := range cfg.Filters {
		scope := Scope(0)
		if scoped, ok := f.(Scoped); ok {
			scope = scoped.Scope(spec)
		}
		_, windowed := f.(Windowed)
		narrower, narrows := f.(Narrower)
		switch every := scope&EveryHost != 0; {
		case narrows && !every && narrower.Narrows(spec):
			return false
		case windowed && (every || len(s.scratch.asked) > 0): // it is kept as one that is asked, and first
			return false
		case !windowed && !every:
			s.scratch.asked = append(s.scratch.asked, f)
		}
	}
	return true
}

// rank returns the totals of the hosts that are left, and their numbers, nil
// if all have one. It returns false when columns do not tell: no host is left,
// only one, or a filter or weigher fails.
func (s *HostSet) rank() (totals []float64, of []int32, ok bool) {
	s.refresh()
	weighers := s.requestWeighers()
	if len(s.scratch.asked) == 0 && !weighers && len(s.scratch.request.Spec.IgnoreHosts) == 0 {
		return s.totals, nil, len(s.hosts)-s.shut > 1
	}
	if !s.ask() || len(s.scratch.left) < 2 {
		return nil, nil, false
	}
	if !weighers && s.extremesLeft() {
		s.gather()
	} else if !s.weighLeft() {
		return nil, nil, false
	}
	return s.scratch.totals, s.scratch.left, true
}

// requestWeighers reports whether a weigher has to be asked.
func (s *HostSet) requestWeighers() bool {
	for c := range s.columns {
		if s.columns[c].asked(s.scratch.request.Spec) {
			return true
		}
	}
	return false
}

// asked reports whether the weigher has to be asked for this request.
func (c *column) asked(spec *RequestSpec) bool {
	return !c.hostOnly && (c.idler == nil || !c.idler.Idle(spec))
}

// ask leaves the hosts that the request does not ignore and that pass the
// filters which are asked.
func (s *HostSet) ask() bool {
	left := s.scratch.left[:0]
	refuse := demandsOf(s.scratch.request.Spec)
	for i, h := range s.hosts {
		if !s.open[i] {
			continue
		}
		passes := !slices.ContainsFunc(refuse, func(d demand) bool { r := d.refuse(h); return !r.Passes() })
		if !passes {
			continue
		}
		for _, f := range s.scratch.asked {
			reason, err := f.Pass(&s.scratch.request, h)
			if err != nil {
				return false
			}
			if passes = reason.Passes(); !passes {
				break
			}
		}
		if passes {
			left = append(left, int32(i))
		}
	}
	s.scratch.left = left
	return true
}

// extremesLeft reports whether the lowest and highest scores of open hosts
// are also those of the hosts that are left.
func (s *HostSet) extremesLeft() bool {
	if len(s.scratch.left) == len(s.hosts)-s.shut {
		return true
	}
	for c := range s.columns {
		col := &s.columns[c]
		if !col.hostOnly || col.low.value == col.high.value {
			continue
		}
		low, high := col.floored, false
		for _, i := range s.scratch.left {
			v := col.raw[i]
			low = low || v == col.low.value
			high = high || v == col.high.value
			if low && high {
				break
			}
		}
		if !low || !high {
			return false
		}
	}
	return true
}

// gather takes the totals of the hosts that are left.
func (s *HostSet) gather() {
	totals := s.scratch.totals[:0]
	for _, i := range s.scratch.left {
		totals = append(totals, s.totals[i])
	}
	s.scratch.totals = totals
}

// weighLeft makes the totals of the hosts that are left. It reports whether
// all weighers could be asked, and multipliers and scores are finite.
func (s *HostSet) weighLeft() bool {
	sc := &s.scratch
	n := len(sc.left)
	sc.totals, sc.values = resize(sc.totals, n), resize(sc.values, n)
	clear(sc.totals)
	sc.states = sc.states[:0]
	for _, i := range sc.left {
		sc.states = append(sc.states, s.hosts[i])
	}
	for c := range s.columns {
		col := &s.columns[c]
		switch {
		case col.hostOnly:
			for k, i := range sc.left {
				sc.values[k] = col.raw[i]
			}
		case !col.asked(sc.request.Spec):
			continue
		default:
			if col.weigher.Weigh(&sc.request, sc.states, sc.values) != nil {
				return false
			}
			if col.floored {
				for k, v := range sc.values {
					sc.values[k] = max(v, col.least)
				}
			}
		}
		if !col.addTo(sc.totals, sc.values, sc.left) {
			return false
		}
	}
	return true
}

// addTo adds the weights of some hosts, of which values has the scores. It
// reports whether these are finite.
func (c *column) addTo(totals, values []float64, hosts []int32) bool {
	low, high := values[0], values[0]
	for _, v := range values {
		low, high = min(low, v), max(high, v)
	}
	if c.floored {
		low = c.least
	}
	if !(high-low <= hugeScore) {
		return false
	}
	if c.flat(low, high) {
		return true
	}
	span, m := high-low, c.multiplier
	for k, v := range values {
		if c.times != nil {
			m = c.times[hosts[k]]
		}
		totals[k] += float64(m * ((v - low) / span))
	}
	return true
}

func resize(list []float64, n int) []float64 {
	if cap(list) < n {
		return make([]float64, n)
	}
	return list[:n]
}

// best puts the highest totals into the head, the highest first and equal ones
// in the order of the hosts, and returns how many there are: at most most.
// Hosts are numbered by of, or all of them if it is nil. Unless beside is -1,
// only other hosts of its cell count.
func (s *HostSet) best(totals []float64, of []int32, most int, beside int32) int {
	head, worst := s.scratch.head[:0], none
	for k, total := range totals {
		if total <= worst {
			continue
		}
		host := int32(k)
		if of != nil {
			host = of[k]
		}
		if beside >= 0 && (host == beside || s.hosts[host].Cell != s.hosts[beside].Cell) {
			continue
		}
		if len(head) < most {
			head = append(head, ranked{})
		}
		at := len(head) - 1
		for ; at > 0 && head[at-1].total < total; at-- {
			head[at] = head[at-1]
		}
		head[at] = ranked{total, host}
		if len(head) == most {
			worst = head[most-1].total
		}
	}
	return len(head)
}

// choose draws one of the best hosts and finds alternates.
func (s *HostSet) choose(totals []float64, of []int32, rng *rand.Rand) []Selection {
	sc, cfg := &s.scratch, &s.p.cfg
	subset, others := 1, cfg.MaxAttempts-1
	if rng != nil {
		subset = cfg.HostSubsetSize
	}
	n, drawn := s.best(totals, of, subset+others, -1), 0
	if subset = min(subset, n); subset > 1 {
		drawn = rng.IntN(subset)
	}
	chosen := sc.head[drawn].host
	alternates := s.alternates(sc.head[:n], chosen)
	if len(alternates) < others && n == subset+others { // perhaps further down
		alternates = s.alternates(sc.head[:s.best(totals, of, others, chosen)], chosen)
	}
	sc.selected[0] = Selection{
		Instance: sc.request.Instance, Host: s.hosts[chosen], Topology: s.topology(chosen), Candidate: s.hosts[chosen].offer(),
		Alternates: alternates[:min(others, len(alternates))],
	}
	return sc.selected[:]
}

// alternates returns those of some hosts that may stand in for the chosen one.
func (s *HostSet) alternates(head []ranked, chosen int32) []*HostState {
	list := s.scratch.alternate[:0]
	for _, r := range head {
		if h := s.hosts[r.host]; r.host != chosen && h.Cell == s.hosts[chosen].Cell {
			list = append(list, h)
		}
	}
	return list
}

// topology returns what the instance gets on a host.
func (s *HostSet) topology(chosen int32) any {
	sc := &s.scratch
	if s.p.cfg.Topology == nil || sc.request.Spec.Topology == nil {
		return sc.request.Spec.Topology
	}
	spec, h := *sc.request.Spec, *s.hosts[chosen]
	_ = s.p.cfg.Topology.Consume(&spec, &h, true) // does not undo the choice
	return spec.Topology
}
