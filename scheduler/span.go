package scheduler

import "math"

// bound is the lowest and the highest score of the hosts that are left.
type bound struct{ low, high float64 }

// span is a column with its bounds while instances are placed.
type span struct {
	*column
	number      int
	raw         []float64 // scores by host for this request; of hosts that are left
	request     *Request
	now         bound
	lows, highs int     // hosts at the bounds
	heap        []score // of scores by host, the highest first; some are old. nil: not made
}

type score struct {
	value float64
	host  int32
}

// newSpan makes the span of a weigher, and asks it about the hosts that are
// left when it reads the request. It returns false when scores differ from one
// instance to the next, or are beyond what columns hold.
func (m *many) newSpan(c *column) (span, bool) {
	sp := span{column: c, number: len(m.spans), raw: c.raw, request: &c.request}
	if c.hostOnly {
		return sp, true
	}
	sp.raw, sp.request = make([]float64, len(m.s.hosts)), &m.request
	for _, host := range m.left {
		v, ok := sp.scoreOf(m.s.hosts[host])
		if !ok {
			return sp, false
		}
		sp.raw[host] = v
	}
	return sp, !c.weigher.Reads().Has(ReadsGroup) || isLocal(c.weigher)
}

// scoreOf returns what the weigher says of a host.
func (sp *span) scoreOf(h *HostState) (float64, bool) {
	sp.host[0] = h
	if sp.weigher.Weigh(sp.request, sp.host[:], sp.score[:]) != nil {
		return 0, false
	}
	v := sp.score[0]
	if sp.floored {
		v = max(v, sp.least)
	}
	return v, math.Abs(v) <= hugeScore
}

// rawOf returns one of a host's scores; those of nobody are the column's.
func (sp *span) rawOf(host int32, x scores) float64 {
	if x.raw == nil {
		return sp.raw[host]
	}
	return x.raw[sp.number]
}

// weightOf returns the weight of a host with a raw score.
func (sp *span) weightOf(host int, raw float64, b bound) float64 {
	by := sp.multiplier
	if sp.times != nil {
		by = sp.times[host]
	}
	return float64(by * ((raw - b.low) / (b.high - b.low))) // not to be fused with the sum
}

// measure looks for the bounds.
func (sp *span) measure(m *many) {
	sp.now, sp.lows, sp.highs = bound{math.Inf(1), math.Inf(-1)}, 0, 0
	for _, host := range m.left {
		if t := m.taken[host]; t == nil || !t.closed {
			sp.enter(m.raw(sp.number, host))
		}
	}
	if sp.floored {
		sp.now.low = sp.least
	}
}

func (sp *span) enter(v float64) {
	switch {
	case v > sp.now.high:
		sp.now.high, sp.highs = v, 1
	case v == sp.now.high:
		sp.highs++
	}
	switch {
	case sp.floored:
	case v < sp.now.low:
		sp.now.low, sp.lows = v, 1
	case v == sp.now.low:
		sp.lows++
	}
}

// change moves the bounds after an instance was placed on a host.
func (sp *span) change(m *many, host int32, t *taken) {
	was := t.scores[len(t.scores)-2].raw[sp.number]
	if !t.closed {
		now := t.scores[len(t.scores)-1].raw[sp.number]
		if was == now {
			return
		}
		sp.enter(now)
		if sp.heap != nil {
			sp.push(score{now, host})
		}
	}
	if was == sp.now.low && !sp.floored {
		if sp.lows--; sp.lows == 0 {
			sp.measure(m)
			return
		}
	}
	if was == sp.now.high {
		if sp.highs--; sp.highs == 0 {
			sp.lower(m)
		}
	}
}

// lower finds the highest score when nobody has the former one.
func (sp *span) lower(m *many) {
	if sp.heap == nil {
		for _, host := range m.left {
			sp.heap = append(sp.heap, score{m.raw(sp.number, host), host})
		}
		for k := len(sp.heap)/2 - 1; k >= 0; k-- {
			sp.sink(k)
		}
	}
	for len(sp.heap) > 0 {
		top := sp.heap[0]
		if t := m.taken[top.host]; t == nil || !t.closed && t.scores[len(t.scores)-1].raw[sp.number] == top.value {
			sp.now.high, sp.highs = top.value, 1
			return
		}
		last := len(sp.heap) - 1
		sp.heap[0] = sp.heap[last]
		sp.heap = sp.heap[:last]
		sp.sink(0)
	}
}

func (sp *span) push(s score) {
	sp.heap = append(sp.heap, s)
	for k := len(sp.heap) - 1; k > 0 && sp.heap[k].value > sp.heap[(k-1)/2].value; k = (k - 1) / 2 {
		sp.heap[k], sp.heap[(k-1)/2] = sp.heap[(k-1)/2], sp.heap[k]
	}
}

func (sp *span) sink(k int) {
	for {
		down := 2*k + 1
		if down >= len(sp.heap) {
			return
		}
		if down+1 < len(sp.heap) && sp.heap[down+1].value > sp.heap[down].value {
			down++
		}
		if sp.heap[k].value >= sp.heap[down].value {
			return
		}
		sp.heap[k], sp.heap[down] = sp.heap[down], sp.heap[k]
		k = down
	}
}

// gain is by how much the weight of a host may have risen because bounds
// moved, rounding included.
func (sp *span) gain(before bound) float64 {
	if sp.times != nil {
		return math.Inf(1)
	}
	most := 0.0
	for _, raw := range []float64{min(before.low, sp.now.low), max(before.high, sp.now.high)} {
		was, is := 0.0, 0.0
		if !sp.flat(before.low, before.high) {
			was = sp.weightOf(0, raw, before)
		}
		if !sp.flat(sp.now.low, sp.now.high) {
			is = sp.weightOf(0, raw, sp.now)
		}
		most = max(most, is-was)
	}
	return most + math.Abs(sp.multiplier)*1e-9
}
