package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
)

// Count is how many actors of a sort a scenario has.
type Count struct {
	Name string
	N    int // at least 1
}

// Scenario is a cloud and what must hold in it.
type Scenario struct {
	// Counts are the sorts of actors; the shrinker makes them fewer.
	Counts []Count
	// Build adds the processes and checks. It must depend on nothing but its
	// arguments.
	Build func(s *Sim, counts []int) error
	// Rates are the probabilities of faults.
	Rates Rates
	// Settle is the virtual time between the last fault and the checks at the end.
	Settle time.Duration
	// Words says what is in a message, for traces; nil: its ID and its bytes.
	Words func(machine.Message) string
}

// Run plays one seed. An error means that the scenario could not be built or
// the trace not be written; what went wrong in the simulation is the report's
// Failure.
func (sc *Scenario) Run(o Options) (Report, error) {
	if o.Counts == nil {
		for _, c := range sc.Counts {
			o.Counts = append(o.Counts, c.N)
		}
	}
	s := &Sim{opts: o, byName: map[string]*process{}, topics: map[string][]*served{}}
	s.trace = trace{hash: o.Seed, out: o.Trace, words: sc.Words}
	if s.trace.words == nil {
		s.trace.words = func(m machine.Message) string { return fmt.Sprintf("%d %x", m.ID, m.Body) }
	}
	s.chance = chance{seed: mix(o.Seed), rates: sc.Rates}
	if o.Only != nil {
		s.chance.only = make(map[Fault]bool, len(o.Only))
		for _, f := range o.Only {
			s.chance.only[f] = true
		}
	}
	if err := sc.Build(s, o.Counts); err != nil {
		return Report{}, fmt.Errorf("build scenario with counts %v: %w", o.Counts, err)
	}
	failure := s.run(sc.Settle)
	s.sumUp()
	rep := Report{
		Options: o, Played: s.steps, Took: time.Duration(s.now), Hash: s.trace.hash,
		Faults: s.chance.hits, Failure: failure,
	}
	if s.trace.err != nil {
		return rep, fmt.Errorf("write trace: %w", s.trace.err)
	}
	return rep, nil
}

// sumUp adds what the stores hold to the hash.
func (s *Sim) sumUp() {
	for _, st := range s.stores {
		var l load
		s.read(&disk{store: st}, &l)
		s.trace.add(l.revision)
		for _, r := range l.records {
			s.trace.add(r.Version)
			s.trace.hash = hashText(hashText(s.trace.hash, r.Key.ID), r.Value)
		}
	}
}

// Twice plays a seed twice. When all held but the two differ, the report says
// so: something depends on more than the seed.
func (sc *Scenario) Twice(o Options) (Report, error) {
	first, err := sc.Run(o)
	if err != nil {
		return first, err
	}
	o.Trace = nil
	second, err := sc.Run(o)
	if err != nil {
		return second, err
	}
	if first.Failure == nil && (first.Hash != second.Hash || second.Failure != nil) {
		first.Failure = &Failure{
			Check: "determinism", Step: first.Played, At: first.Took,
			Err: fmt.Errorf("%w: traces %x of %d steps and %x of %d", errDiverged, first.Hash, first.Played, second.Hash, second.Played),
		}
	}
	return first, nil
}

// Shrink looks for fewer faults, fewer actors and fewer steps that break the
// same check as a failed run did, with at most so many runs. It returns what
// to run to see it.
func (sc *Scenario) Shrink(failed Report, runs int) (Report, error) {
	sh := shrinker{scenario: sc, least: failed, runs: runs}
	sh.least.Only, sh.least.Trace = append([]Fault{}, failed.Faults...), nil // not nil, even if empty
	sh.steps()
	for before := -1; before != sh.size() && sh.err == nil && sh.runs > 0; {
		before = sh.size()
		sh.faults()
		sh.counts()
	}
	return sh.least, sh.err
}

type shrinker struct {
	scenario *Scenario
	least    Report // the smallest run that fails
	runs     int    // still allowed
	err      error
}

func (sh *shrinker) size() int {
	n := len(sh.least.Only)
	for _, c := range sh.least.Counts {
		n += c
	}
	return n
}

// try runs a candidate, and keeps it when the same check fails.
func (sh *shrinker) try(o Options) bool {
	if sh.runs <= 0 || sh.err != nil {
		return false
	}
	sh.runs--
	rep, err := sh.scenario.Run(o)
	if err != nil {
		sh.err = err
		return false
	}
	if rep.Failure == nil || rep.Failure.Check != sh.least.Failure.Check {
		return false
	}
	rep.Only = append([]Fault{}, rep.Faults...) // of those allowed, the ones that happened
	sh.least = rep
	return true
}

// steps ends the faults where the failure is, and then earlier.
func (sh *shrinker) steps() {
	o := sh.least.Options
	o.Steps = min(o.Steps, sh.least.Failure.Step)
	for sh.try(o) && o.Steps > 1 {
		o = sh.least.Options
		o.Steps /= 2
	}
}

// faults is delta debugging: it drops parts of the faults, ever smaller ones,
// until none can be spared.
func (sh *shrinker) faults() {
	for parts := 2; len(sh.least.Only) > 0 && sh.runs > 0 && sh.err == nil; {
		if !sh.dropOne(parts) {
			if parts >= len(sh.least.Only) {
				return
			}
			parts *= 2
		}
	}
}

// dropOne tries to go without each of the parts in turn.
func (sh *shrinker) dropOne(parts int) bool {
	all := sh.least.Only
	size := (len(all) + parts - 1) / parts
	for from := 0; from < len(all); from += size {
		o := sh.least.Options
		o.Only = append(append([]Fault{}, all[:from]...), all[min(from+size, len(all)):]...)
		if sh.try(o) {
			return true
		}
	}
	return false
}

// counts lowers the number of actors of each sort.
func (sh *shrinker) counts() {
	for k := range sh.least.Counts {
		for n := 1; n < sh.least.Counts[k]; n++ {
			o := sh.least.Options
			o.Counts = slices.Clone(o.Counts)
			o.Counts[k] = n
			if sh.try(o) {
				break
			}
		}
	}
}
