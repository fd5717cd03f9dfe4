package scheduler

import (
	"slices"
	"sort"
)

// many places several instances of a request on the hosts of a [HostSet], in
// the order in which a [Pipeline] would that sorts all hosts for each of them.
// What instances take lies over the set, which does not change.
//
// Only the hosts in sight are kept in order: the best ones of a look at all.
// None of the others comes first while the best in sight beats what those had
// then and can have gained since. They gain when the lowest or the highest
// score of a weigher moves.
type many struct {
	s       *HostSet
	request Request
	spec    RequestSpec
	again   []Filter // asked about a host once more when an instance is on it
	spans   []span   // of the weighers that have a say
	left    []int32  // hosts that passed the filters, in their order
	taken   []*taken // by host, nil: nothing is on it
	placed  []int32  // hosts with an instance, each once

	bounds []bounds // by instance
	sight  []ranked // the best first
	beyond float64  // total of the best host out of sight when all were looked at
	gained float64  // what one of those has gained since, at most
	moved  bool     // a bound has moved since
	totals []float64
	latest int32 // host of the latest instance
}

// taken is a host with what instances took from it.
type taken struct {
	state  HostState
	closed bool     // a filter refuses it by now
	scores []scores // the latest last
}

// scores are the raw scores of a host by span, from an instance on.
type scores struct {
	from int
	raw  []float64
}

// bounds are those of all spans, from an instance on.
type bounds struct {
	from int
	list []bound
}

// inSight is how many hosts are kept in order.
const inSight = 128

// selectMany is Select for several instances. It returns false where columns
// do not tell, or there is no host.
func (s *HostSet) selectMany(spec *RequestSpec, request *Request) ([]Selection, bool) {
	m := &many{s: s, request: *request, spec: *spec, taken: make([]*taken, len(s.hosts))}
	m.request.Spec, m.request.GroupHosts = &m.spec, slices.Clip(request.GroupHosts)
	if !m.begin() {
		return nil, false
	}
	selected := make([]Selection, 0, len(spec.Instances))
	for k, uuid := range spec.Instances {
		m.request.Index, m.request.Instance = k, uuid
		if k > 0 && !m.proceed() {
			return nil, false
		}
		if m.latest = m.best(); m.latest < 0 || !m.take(m.latest) {
			return nil, false
		}
		selected = append(selected, Selection{Instance: uuid, Host: s.hosts[m.latest], Candidate: s.hosts[m.latest].offer()})
	}
	if s.p.cfg.MaxAttempts > 1 {
		if !m.proceed() {
			return nil, false
		}
		m.alternates(selected)
	}
	return selected, true
}

// begin reports whether columns tell, and looks at all hosts.
func (m *many) begin() bool {
	s := m.s
	if m.spec.Topology != nil || !s.ask() || m.spec.Group != nil && m.known() {
		return false
	}
	for _, f := range s.p.cfg.Filters {
		scope := Scope(0)
		if scoped, ok := f.(Scoped); ok {
			scope = scoped.Scope(&m.spec)
		}
		if scope&(EveryHost|FirstInstance) != 0 {
			continue
		}
		if f.Reads() == 0 || f.Reads().Has(ReadsGroup) && !isLocal(f) {
			return false // hosts without an instance may differ from one to the next
		}
		m.again = append(m.again, f)
	}
	m.left = s.scratch.left
	for c := range s.columns {
		col := &s.columns[c]
		if !col.hostOnly && !col.asked(&m.spec) || col.multiplier == 0 && col.times == nil {
			continue
		}
		sp, ok := m.newSpan(col)
		if !ok {
			return false
		}
		m.spans = append(m.spans, sp)
	}
	for k := range m.spans {
		m.spans[k].measure(m)
	}
	m.note(true)
	m.look()
	return true
}

// known reports whether an instance of the request is on a host already, or
// is there twice.
func (m *many) known() bool {
	own := make(map[string]struct{}, len(m.spec.Instances))
	for _, uuid := range m.spec.Instances {
		own[uuid] = struct{}{}
	}
	for _, host := range m.s.scratch.left {
		for uuid := range m.s.hosts[host].Instances {
			if _, is := own[uuid]; is {
				return true
			}
		}
	}
	return len(own) < len(m.spec.Instances)
}

// note remembers the bounds of the present instance.
func (m *many) note(moved bool) {
	now := bounds{from: len(m.bounds)}
	if moved {
		now.list = make([]bound, len(m.spans))
		for k := range m.spans {
			now.list[k] = m.spans[k].now
		}
	} else {
		now = m.bounds[now.from-1]
	}
	m.bounds = append(m.bounds, now)
}

// raw returns the present score of a host.
func (m *many) raw(span int, host int32) float64 {
	if t := m.taken[host]; t != nil {
		return t.scores[len(t.scores)-1].raw[span]
	}
	return m.spans[span].raw[host]
}

// take lays an instance over a host. It reports whether its scores are
// numbers that columns hold.
func (m *many) take(host int32) bool {
	t := m.taken[host]
	if t == nil {
		t = &taken{state: *m.s.hosts[host], scores: []scores{{0, make([]float64, len(m.spans))}}}
		for k := range m.spans {
			t.scores[0].raw[k] = m.spans[k].raw[host]
		}
		m.taken[host], m.placed = t, append(m.placed, host)
	}
	m.s.p.take(&m.spec, &t.state, true)
	m.request.join(&t.state)
	if m.spec.Topology != nil {
		return false
	}
	next := scores{m.request.Index + 1, make([]float64, len(m.spans))}
	for k := range m.spans {
		v, ok := m.spans[k].scoreOf(&t.state)
		if !ok {
			return false
		}
		next.raw[k] = v
	}
	t.scores = append(t.scores, next)
	return true
}

// proceed makes the order that the next instance finds. It returns false when
// a filter fails.
func (m *many) proceed() bool {
	t := m.taken[m.latest]
	for _, f := range m.again {
		reason, err := f.Pass(&m.request, &t.state)
		if err != nil {
			return false
		}
		if t.closed = !reason.Passes(); t.closed {
			break
		}
	}
	moved := false
	for k := range m.spans {
		sp := &m.spans[k]
		before := sp.now
		sp.change(m, m.latest, t)
		if before != sp.now {
			moved = true
			m.gained += sp.gain(before)
		}
	}
	m.note(moved)
	m.moved = m.moved || moved
	if t.closed {
		m.sight = slices.DeleteFunc(m.sight, func(r ranked) bool { return r.host == m.latest })
	}
	for k := range m.sight {
		if r := &m.sight[k]; moved || r.host == m.latest {
			r.total = m.totalAt(r.host, len(m.bounds)-1)
		}
	}
	for k := range m.sight { // stable, and mostly there is little to do
		for at := k; at > 0 && m.sight[at-1].total < m.sight[at].total; at-- {
			m.sight[at-1], m.sight[at] = m.sight[at], m.sight[at-1]
		}
	}
	return true
}

// best returns the first of all hosts, -1 if there is none.
func (m *many) best() int32 {
	switch {
	case len(m.sight) == 0:
		m.look()
	case m.sight[0].total > m.beyond+m.gained, !m.moved && m.sight[0].total == m.beyond:
	default:
		m.look()
	}
	if len(m.sight) == 0 {
		return -1
	}
	return m.sight[0].host
}

// look brings the best of all hosts into sight.
func (m *many) look() {
	m.sum()
	m.sight, m.beyond, m.gained, m.moved = m.sight[:0], none, 0, false
	for k, host := range m.left {
		if m.taken[host] == nil {
			m.show(ranked{m.totals[k], host})
		}
	}
	for _, host := range m.placed { // mostly not in sight any more
		k, _ := slices.BinarySearch(m.left, host)
		m.show(ranked{m.totals[k], host})
	}
}

// show brings a host into sight if it is good enough.
func (m *many) show(r ranked) {
	n := len(m.sight)
	switch {
	case r.total == none:
		return
	case n < inSight:
	case !m.before(&r, &m.sight[n-1]):
		m.beyond = max(m.beyond, r.total)
		return
	default:
		m.beyond = max(m.beyond, m.sight[n-1].total)
		m.sight = m.sight[:n-1]
	}
	m.sight = m.insert(m.sight, r)
}

// insert puts a host where it belongs among sorted ones.
func (m *many) insert(list []ranked, r ranked) []ranked {
	at := sort.Search(len(list), func(k int) bool { return m.before(&r, &list[k]) })
	return slices.Insert(list, at, r)
}

// before reports whether a host comes before another: by its total, else by
// where they were before, as far back as they differ.
func (m *many) before(a, b *ranked) bool {
	if a.total != b.total {
		return a.total > b.total
	}
	for step := len(m.bounds) - 1; step >= 0; {
		x, y := m.scoresAt(a.host, step), m.scoresAt(b.host, step)
		before := max(x.from, y.from) - 1
		if !m.same(a.host, b.host, x, y) {
			if one, other := m.totalOf(a.host, x, step), m.totalOf(b.host, y, step); one != other {
				return one > other
			}
			before = max(before, m.bounds[step].from-1)
		}
		step = before // until then nothing was different
	}
	return a.host < b.host
}

// same reports whether two hosts have equal totals because of these scores.
func (m *many) same(a, b int32, x, y scores) bool {
	for k := range m.spans {
		if sp := &m.spans[k]; sp.rawOf(a, x) != sp.rawOf(b, y) || sp.times != nil && sp.times[a] != sp.times[b] {
			return false
		}
	}
	return true
}

// scoresAt returns the scores that a host had when an instance was placed.
func (m *many) scoresAt(host int32, step int) scores {
	t := m.taken[host]
	if t == nil {
		return scores{}
	}
	v := len(t.scores) - 1
	for t.scores[v].from > step {
		v--
	}
	return t.scores[v]
}

// totalAt returns the total that a host had when an instance was placed.
func (m *many) totalAt(host int32, step int) float64 {
	return m.totalOf(host, m.scoresAt(host, step), step)
}

func (m *many) totalOf(host int32, x scores, step int) float64 {
	sum := 0.0
	for k := range m.spans {
		if sp, b := &m.spans[k], m.bounds[step].list[k]; !sp.flat(b.low, b.high) {
			sum += sp.weightOf(int(host), sp.rawOf(host, x), b)
		}
	}
	return sum
}

// sum makes the totals of all hosts that are left, none for closed ones.
func (m *many) sum() {
	m.totals = resize(m.totals, len(m.left))
	clear(m.totals)
	for k := range m.spans {
		sp := &m.spans[k]
		if sp.flat(sp.now.low, sp.now.high) {
			continue
		}
		if sp.times != nil {
			for j, host := range m.left {
				m.totals[j] += sp.weightOf(int(host), sp.raw[host], sp.now)
			}
			continue
		}
		low, width, by := sp.now.low, sp.now.high-sp.now.low, sp.multiplier
		for j, host := range m.left {
			m.totals[j] += float64(by * ((sp.raw[host] - low) / width))
		}
	}
	for _, host := range m.placed {
		t := m.taken[host]
		j, _ := slices.BinarySearch(m.left, host)
		if m.totals[j] = none; !t.closed {
			m.totals[j] = m.totalAt(host, len(m.bounds)-1)
		}
	}
}

// alternates finds hosts without an instance in the cells of the selected
// ones.
func (m *many) alternates(selected []Selection) {
	most := m.s.p.cfg.MaxAttempts - 1
	cells := map[string][]ranked{}
	for k := range selected {
		cells[selected[k].Host.Cell] = nil
	}
	m.sum()
	for k, host := range m.left {
		r := ranked{m.totals[k], host}
		cell := m.s.hosts[host].Cell
		list, wanted := cells[cell]
		if !wanted || m.taken[host] != nil || len(list) == most && !m.before(&r, &list[most-1]) {
			continue
		}
		cells[cell] = m.insert(list[:min(len(list), most-1)], r)
	}
	hosts := map[string][]*HostState{}
	for cell, list := range cells {
		for _, r := range list {
			hosts[cell] = append(hosts[cell], m.s.hosts[r.host])
		}
	}
	for k := range selected {
		selected[k].Alternates = slices.Clip(hosts[selected[k].Host.Cell])
	}
}
