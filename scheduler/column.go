package scheduler

import "math"

// column is what a [HostSet] keeps of one weigher.
type column struct {
	weigher    Weigher
	idler      Idler // nil: it always has a say
	hostOnly   bool  // the scores depend on nothing but the host
	least      float64
	floored    bool
	multiplier float64 // of hosts whose aggregates say nothing
	rule       Multiplier
	hosts      int

	times    []float64 // multipliers by host; nil: all are the same
	raw      []float64 // scores by host, not below the floor
	weighted []float64 // by host, made with madeLow and madeHigh
	madeLow  float64
	madeHigh float64

	low, high extreme // of open hosts
	stale     bool    // low and high have to be looked for

	request Request // of nobody
	host    [1]*HostState
	score   [1]float64
}

// extreme is the lowest or the highest score.
type extreme struct {
	value float64
	hosts int // that have it
	one   int // of them, -1: not known
}

// hostReads is what scores may depend on to be kept.
const hostReads = ReadsAllocations | ReadsInstances | ReadsHost | ReadsAggregates

func newColumn(w Weigher, hosts int) column {
	c := column{weigher: w, rule: w.Multiplier(), hosts: hosts, hostOnly: w.Reads()&^hostReads == 0, request: Request{Spec: &RequestSpec{}}}
	if _, learns := w.(Learner); learns {
		c.hostOnly = false
	}
	c.least, c.floored = w.Floor()
	c.idler, _ = w.(Idler)
	c.multiplier = c.rule.For(&HostState{})
	if c.hostOnly {
		c.raw, c.weighted = make([]float64, hosts), make([]float64, hosts)
	}
	c.madeLow = math.NaN()
	c.reset()
	return c
}

func (c *column) reset() {
	c.low, c.high = extreme{math.Inf(1), 0, -1}, extreme{math.Inf(-1), 0, -1}
	if c.floored {
		c.low.value = c.least
	}
}

// read takes the score and the multiplier of host number i.
func (c *column) read(h *HostState, i int) {
	m := c.rule.For(h)
	if m != c.multiplier && c.times == nil {
		c.times = make([]float64, c.hosts)
		for j := range c.times {
			c.times[j] = c.multiplier
		}
	}
	if c.times != nil {
		c.times[i] = m
	}
	if !c.hostOnly {
		return
	}
	c.host[0] = h
	if err := c.weigher.Weigh(&c.request, c.host[:], c.score[:]); err != nil {
		c.score[0] = math.NaN()
	}
	c.raw[i] = c.score[0]
	if c.floored {
		c.raw[i] = max(c.raw[i], c.least)
	}
}

// hugeScore is what scores and multipliers that are kept do not exceed, so
// that no total is infinite.
const hugeScore = 1e100

// isOdd reports whether the score or the multiplier of a host is not a number
// or too large.
func (c *column) isOdd(i int) bool {
	odd := c.multiplier
	if c.times != nil {
		odd = c.times[i]
	}
	if c.hostOnly {
		odd = math.Abs(odd) + math.Abs(c.raw[i])
	}
	return !(math.Abs(odd) <= hugeScore)
}

// enter takes in the score of a host that is open from now on.
func (c *column) enter(i int) {
	v := c.raw[i]
	c.high.enter(i, v, v > c.high.value)
	if !c.floored {
		c.low.enter(i, v, v < c.low.value)
	}
}

func (e *extreme) enter(i int, v float64, beyond bool) {
	switch {
	case beyond:
		*e = extreme{v, 1, i}
	case v == e.value:
		e.hosts++
	}
}

// leave takes out the score of a host that was open.
func (c *column) leave(i int) {
	v := c.raw[i]
	c.stale = c.high.leave(i, v) || c.stale
	c.stale = !c.floored && c.low.leave(i, v) || c.stale
}

// leave reports whether nobody has the value any more.
func (e *extreme) leave(i int, v float64) bool {
	if v != e.value {
		return false
	}
	if e.hosts--; e.one == i {
		e.one = -1
	}
	return e.hosts == 0
}

// flat reports whether the weights of all hosts are 0.
func (c *column) flat(low, high float64) bool {
	return low >= high || c.multiplier == 0 && c.times == nil
}

// refresh looks for the extremes if it has to, and makes the weights anew. It
// reports whether that concerns more hosts than the touched ones.
func (c *column) refresh(s *HostSet) bool {
	if c.stale {
		c.reset()
		for i := range c.raw {
			if s.open[i] {
				c.enter(i)
			}
		}
		c.stale = false
	}
	low, high := c.low.value, c.high.value
	wasFlat := c.flat(c.madeLow, c.madeHigh)
	if low == c.madeLow && high == c.madeHigh {
		if !wasFlat {
			for _, i := range s.touched {
				c.weighted[i] = c.weight(int(i), low, high-low)
			}
		}
		return false
	}
	c.madeLow, c.madeHigh = low, high
	if c.flat(low, high) {
		return !wasFlat
	}
	c.weigh(c.weighted, low, high)
	return true
}

// weight returns the weight of one host.
func (c *column) weight(i int, low, span float64) float64 {
	m := c.multiplier
	if c.times != nil {
		m = c.times[i]
	}
	return float64(m * ((c.raw[i] - low) / span)) // not to be fused with the sum
}

// weigh makes the weights of all hosts.
func (c *column) weigh(to []float64, low, high float64) {
	span, m := high-low, c.multiplier
	raw := c.raw[:len(to)]
	if c.times == nil {
		for i, v := range raw {
			to[i] = float64(m * ((v - low) / span))
		}
		return
	}
	times := c.times[:len(to)]
	for i, v := range raw {
		to[i] = float64(times[i] * ((v - low) / span))
	}
}
