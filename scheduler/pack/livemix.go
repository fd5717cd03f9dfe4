package pack

import (
	"sync"
	"sync/atomic"
)

// LiveMix is the measure of the instances that were placed lately. It counts
// how many of which demand there are, old ones for less and less, and is made
// anew in steps: after 16 instances, and then after as many again as count,
// unless they are much like those of the step before. Until the first step
// nothing counts as stranded. The zero value has seen nothing. Everything
// depends on the order of the instances only. Safe for concurrent use.
type LiveMix struct {
	present atomic.Pointer[step]

	mu  sync.Mutex // guards what follows
	mix Mix
	due int64 // instances until the next step
}

// step is a measure with the mix that it was made of.
type step struct {
	Measure
	mix     *Mix
	version uint64
}

const (
	firstStep = 16
	lateCount = 8192 // of so many, all count half from a step on
	mostKinds = 1024 // demands that are counted; with another, all count half
	alike     = 0.1  // mixes of which no larger part differs are alike
)

// Add counts n more instances of a demand. n is at least 1.
func (l *LiveMix) Add(d Demand, n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mix.total == 0 {
		l.due = firstStep
	}
	for len(l.mix.demands) == mostKinds && !l.mix.has(&d) {
		l.mix = *l.mix.half()
	}
	l.mix.Add(d, n)
	if l.due -= n; l.due <= 0 {
		l.step()
	}
}

// step makes the measure follow the mix.
func (l *LiveMix) step() {
	for l.mix.total >= lateCount {
		l.mix = *l.mix.half()
	}
	l.due = max(firstStep, l.mix.total)
	before := l.present.Load()
	if before != nil && before.mix.apart(&l.mix) <= alike {
		return
	}
	next := &step{Measure: measureOf(&l.mix), mix: l.mix.Clone(), version: 1}
	if before != nil {
		next.version = before.version + 1
	}
	l.present.Store(next)
}

// Version grows with each measure that is made.
func (l *LiveMix) Version() uint64 {
	if s := l.present.Load(); s != nil {
		return s.version
	}
	return 0
}

// Now returns the present measure, which does not change any more.
func (l *LiveMix) Now() Measure {
	if s := l.present.Load(); s != nil {
		return s.Measure
	}
	return nothing{}
}

// nothing strands nothing.
type nothing struct{}

// Stranded is 0.
func (nothing) Stranded(Room) float64 { return 0 }

// Least is 0.
func (nothing) Least(Room) float64 { return 0 }

// Stranded is what the present measure says.
func (l *LiveMix) Stranded(r Room) float64 { return l.Now().Stranded(r) }

// Least is what the present measure says.
func (l *LiveMix) Least(r Room) float64 { return l.Now().Least(r) }
