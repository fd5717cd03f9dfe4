package sim

import (
	"fmt"
	"time"
)

// FaultKind is a sort of misfortune.
type FaultKind uint8

// What may go wrong.
const (
	Lost           FaultKind = iota // a message is lost
	Doubled                         // a message comes twice
	Reordered                       // a message is overtaken by those sent some milliseconds later
	Delayed                         // a message comes seconds late
	UnknownApplied                  // a commit takes effect and its answer is lost
	UnknownLost                     // a commit is lost
	UnknownLate                     // a commit ends Unknown and takes effect later, unless it is sent again
	Conflicted                      // a commit is refused, though it might have been taken
	Full                            // a commit is refused for want of space
	Crashed                         // a process dies within a step and starts again
	Paused                          // a process stands still for a while
	ClockJumped                     // a process's clock is set to another time
	FeedEnded                       // the feed of a store ends, and has to be followed again
	FeedLate                        // the feed of a store stands still for up to 10 s
	FeedCompacted                   // likewise, and by then the store has dropped its history
	Drifting                        // a process's clock runs fast or slow all the time
	faultKinds
)

// String returns the name of the kind.
func (k FaultKind) String() string {
	return [...]string{
		"lost", "doubled", "reordered", "delayed", "unknown, applied", "unknown, lost", "unknown, late",
		"conflict", "full", "crash", "pause", "clock jump", "feed ended", "feed late", "feed compacted", "clock drift",
	}[k]
}

// Fault is one misfortune: the kind, whom it hits, and at which of the
// process's messages, commits or steps.
type Fault struct {
	Kind    FaultKind
	Process string
	Count   uint64
}

// String is one line for people.
func (f Fault) String() string { return fmt.Sprintf("%v at %d of %s", f.Kind, f.Count, f.Process) }

// Rates are the probabilities of the kinds, each for one message, commit or
// step; of Drifting, for one process.
type Rates [faultKinds]float64

// Rough returns rates at which every kind hits many times in some thousand
// steps, and work still gets done.
func Rough() Rates {
	return Rates{
		Lost: 0.03, Doubled: 0.03, Reordered: 0.1, Delayed: 0.01,
		UnknownApplied: 0.02, UnknownLost: 0.02, UnknownLate: 0.02, Conflicted: 0.01, Full: 0.005,
		Crashed: 0.004, Paused: 0.002, ClockJumped: 0.001, FeedEnded: 0.01, FeedLate: 0.01, FeedCompacted: 0.01, Drifting: 0.5,
	}
}

// How far a misfortune goes.
const (
	shortDelay = 20 * time.Millisecond // Reordered
	longDelay  = 10 * time.Second      // Delayed, UnknownLate, FeedLate, FeedCompacted
	longPause  = 20 * time.Second      // Crashed, Paused, ClockJumped
	maxDrift   = 0.02                  // of Drifting, either way
)

// An opportunity is what a fault may hit.
type opportunity uint8

const (
	ofMessage opportunity = iota
	ofCommit
	ofStep
	ofFeed
	ofProcess
)

// kinds returns the first and the last kind that may hit.
func (o opportunity) kinds() (first, last FaultKind) {
	switch o {
	case ofMessage:
		return Lost, Delayed
	case ofCommit:
		return UnknownApplied, Full
	case ofStep:
		return Crashed, ClockJumped
	case ofFeed:
		return FeedEnded, FeedCompacted
	default:
		return Drifting, Drifting
	}
}

// chance decides what hits an opportunity. What it decides depends on nothing
// but the seed, the process and the count: taking away one fault, or one
// process, leaves the others where they were. When only is set, exactly the
// faults in it hit.
type chance struct {
	seed  uint64
	rates Rates
	only  map[Fault]bool
	quiet bool // no faults any more
	hits  []Fault
}

// draw returns the kind that hits, and a number that says how hard. The number
// is drawn also when nothing hits: it varies what is no fault.
func (c *chance) draw(o opportunity, p *process, count uint64) (kind FaultKind, hit bool, luck uint64) {
	x := mix(mix(c.seed^uint64(o)<<56^p.key) + count)
	luck = mix(x)
	if c.quiet {
		return 0, false, luck
	}
	first, last := o.kinds()
	if c.only != nil {
		for kind = first; kind <= last; kind++ {
			if c.only[Fault{kind, p.name, count}] {
				return c.note(kind, p, count), true, luck
			}
		}
		return 0, false, luck
	}
	at := float64(x>>11) / (1 << 53)
	for kind = first; kind <= last; kind++ {
		if at < c.rates[kind] {
			return c.note(kind, p, count), true, luck
		}
		at -= c.rates[kind]
	}
	return 0, false, luck
}

func (c *chance) note(kind FaultKind, p *process, count uint64) FaultKind {
	c.hits = append(c.hits, Fault{kind, p.name, count})
	return kind
}

// within turns luck into a duration from above 0 to limit, short ones being
// more likely: half of them are less than an eighth of it.
func within(luck uint64, limit time.Duration) int64 {
	x := float64(luck>>11) / (1 << 53)
	return 1 + int64(x*x*x*float64(limit))
}

// mix spreads the bits of a number.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
