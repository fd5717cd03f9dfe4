package scheduler

import (
	"math"
)

// HostSet holds hosts for one worker that decides about them again and again:
// a [Pipeline] with what does not depend on the request kept in columns.
// [HostSet.Select] answers what [Pipeline.Select] would, and for one instance
// costs neither an allocation nor, as a rule, a look at a host. Several
// instances cost a few looks at all hosts, unless there is an affinity group or
// a topology, or chance decides. Hosts that a request names are all that is
// looked at.
//
// Kept are the windows of the [Windowed] filters and the scores of weighers
// that read nothing but the host. The lowest and the highest score of the
// hosts whose windows are open follow every [HostSet.Set]; the weights, which
// depend on both, are made anew only when one of them moved. So are those of
// a request whose own filters leave out the host that has one of them.
//
// A HostSet is not safe for concurrent use. The states in it may be shared.
type HostSet struct {
	p       *Pipeline
	hosts   []*HostState
	columns []column         // of the weighers, in their order
	odd     map[int]struct{} // hosts with a score or multiplier that is not finite, or an error

	first, last []int64 // window of all windowed filters, nanoseconds since 1970
	open        []bool  // whether it is open, at any time from opened to closes
	shut        int     // how many are not open
	now         int64   // when open was right
	opened      int64
	closes      int64

	totals  []float64 // of open hosts, were they all; the others have none
	touched []int32   // hosts whose weights are old
	all     bool      // all totals are old

	scratch setScratch
	plain   int // decisions that columns did not answer
}

// none is the total of a host that is not open.
var none = math.Inf(-1)

// NewHostSet makes a set of hosts, in the order in which equal ones are
// chosen. It keeps the slice.
func (p *Pipeline) NewHostSet(hosts []*HostState) *HostSet {
	n := len(hosts)
	s := &HostSet{
		p: p, hosts: hosts, odd: map[int]struct{}{},
		first: make([]int64, n), last: make([]int64, n), open: make([]bool, n), shut: n,
		opened: math.MaxInt64, closes: math.MinInt64,
		totals: make([]float64, n), all: true,
	}
	for _, w := range p.cfg.Weighers {
		s.columns = append(s.columns, newColumn(w, n))
	}
	for i, h := range hosts {
		s.first[i], s.last[i] = p.window(h)
		for c := range s.columns {
			s.columns[c].read(h, i)
		}
		s.judge(i)
	}
	return s
}

// Len returns the number of hosts.
func (s *HostSet) Len() int { return len(s.hosts) }

// Host returns host number i, from 0.
func (s *HostSet) Host(i int) *HostState { return s.hosts[i] }

// Set replaces host number i.
func (s *HostSet) Set(i int, h *HostState) {
	s.hosts[i] = h
	s.first[i], s.last[i] = s.p.window(h)
	was := s.open[i]
	s.open[i] = s.isOpen(i, s.now)
	s.limit(i, s.now)
	switch {
	case was && !s.open[i]:
		s.shut++
	case !was && s.open[i]:
		s.shut--
	}
	for c := range s.columns {
		col := &s.columns[c]
		if was && col.hostOnly {
			col.leave(i)
		}
		col.read(h, i)
		if s.open[i] && col.hostOnly {
			col.enter(i)
		}
	}
	s.judge(i)
	s.touch(i)
}

// judge notes whether host number i is beyond what columns can hold.
func (s *HostSet) judge(i int) {
	delete(s.odd, i)
	for c := range s.columns {
		if s.columns[c].isOdd(i) {
			s.odd[i] = struct{}{}
		}
	}
}

// touch notes that the weights of host number i are old.
func (s *HostSet) touch(i int) {
	if s.all {
		return
	}
	if len(s.touched) > len(s.hosts)/8 {
		s.all = true
		for c := range s.columns {
			s.columns[c].madeLow = math.NaN()
		}
		return
	}
	s.touched = append(s.touched, int32(i))
}

// isOpen reports whether the window of host number i is open.
func (s *HostSet) isOpen(i int, now int64) bool { return s.first[i] <= now && now <= s.last[i] }

// limit narrows the time for which open is right to that in which host number
// i is as it is now.
func (s *HostSet) limit(i int, now int64) {
	first, last := s.first[i], s.last[i]
	switch {
	case first > last:
	case now < first:
		s.closes = min(s.closes, first-1)
	case now > last:
		s.opened = max(s.opened, last+1)
	default:
		s.opened, s.closes = max(s.opened, first), min(s.closes, last)
	}
}

// at opens the windows that are open now.
func (s *HostSet) at(now int64) {
	if s.opened <= now && now <= s.closes {
		return
	}
	s.now, s.opened, s.closes = now, math.MinInt64, math.MaxInt64
	for i := range s.hosts {
		s.limit(i, now)
		if is := s.isOpen(i, now); is != s.open[i] {
			s.flip(i, is)
		}
	}
}

func (s *HostSet) flip(i int, open bool) {
	s.open[i] = open
	if open {
		s.shut--
	} else {
		s.shut++
	}
	for c := range s.columns {
		switch col := &s.columns[c]; {
		case !col.hostOnly:
		case open:
			col.enter(i)
		default:
			col.leave(i)
		}
	}
	s.touch(i)
}

// refresh makes the totals anew where they are old.
func (s *HostSet) refresh() {
	for c := range s.columns {
		if col := &s.columns[c]; col.hostOnly && col.refresh(s) {
			s.all = true
		}
	}
	if s.all {
		s.sum()
	} else {
		for _, i := range s.touched {
			s.sumOne(int(i))
		}
	}
	s.all, s.touched = false, s.touched[:0]
}

// blockSize is how many totals are added up at once, so that they stay close.
const blockSize = 2048

// sum makes all totals.
func (s *HostSet) sum() {
	for from := 0; from < len(s.totals); from += blockSize {
		to := min(from+blockSize, len(s.totals))
		block := s.totals[from:to]
		clear(block)
		for c := range s.columns {
			col := &s.columns[c]
			if !col.hostOnly || col.flat(col.madeLow, col.madeHigh) {
				continue
			}
			for i, w := range col.weighted[from:to][:len(block)] {
				block[i] += w
			}
		}
		if s.shut > 0 {
			for i, open := range s.open[from:to] {
				if !open {
					block[i] = none
				}
			}
		}
	}
}

// sumOne makes the total of host number i.
func (s *HostSet) sumOne(i int) {
	if s.totals[i] = none; !s.open[i] {
		return
	}
	total := 0.0
	for c := range s.columns {
		if col := &s.columns[c]; col.hostOnly && !col.flat(col.madeLow, col.madeHigh) {
			total += col.weighted[i]
		}
	}
	s.totals[i] = total
}
