package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/store"
)

// epoch is when every simulation begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Process is one service and how it is started.
type Process struct {
	Name string // its address
	// New makes the machine, with an empty memory, for every life of the process.
	New func() machine.Machine
	// Run is, instead of New, what a process does that is written as code that
	// waits. It is called in every life; when it returns, its tasks go on.
	Run func(e *Env)
	// Store outlives the process; processes may share one. Nil: it has none,
	// and must not commit or load.
	Store store.Store
	// Steady keeps the process from crashes, pauses and clocks that are wrong:
	// it stands for somebody outside.
	Steady bool
}

// Check is something that must hold. Each function may be nil.
type Check struct {
	Name string
	Step func() error // asked after every step
	End  func() error // asked when everything has settled
}

// Sim is one run. A [Scenario] gets it to add processes and checks.
type Sim struct {
	opts   Options
	checks []Check
	chance chance
	queue  queue

	processes []*process
	byName    map[string]*process
	topics    map[string][]*served
	stores    []store.Store

	now     int64 // nanoseconds since the epoch
	steps   int
	trace   trace
	effects machine.Effects
	event   machine.Event
}

// Add starts a process at the beginning of time. The name must be new.
func (s *Sim) Add(p Process) error {
	if s.byName[p.Name] != nil || p.Name == "" || (p.New == nil) == (p.Run == nil) {
		return fmt.Errorf("process %q: its name must be new and not empty, and either New or Run set", p.Name)
	}
	own := &process{Process: p, name: p.Name, index: int32(len(s.processes)), key: hashText(0, p.Name)}
	s.processes, s.byName[p.Name] = append(s.processes, own), own
	if p.Store != nil {
		own.disk = s.disk(p.Store)
	}
	if !p.Steady {
		if _, hit, luck := s.chance.draw(ofProcess, own, 0); hit {
			own.drift = (float64(luck>>11)/(1<<53)*2 - 1) * maxDrift
			s.trace.line(s, fmt.Sprintf("  FAULT %v of %s, %+.2f %%", Drifting, p.Name, 100*own.drift))
		}
	}
	s.queue.add(int64(len(s.processes))).start(own)
	return nil
}

// Check adds what must hold.
func (s *Sim) Check(c Check) { s.checks = append(s.checks, c) }

// Rand returns a source for the scenario's own choices, the same for a seed.
func (s *Sim) Rand() *rand.Rand { return rand.New(rand.NewPCG(s.opts.Seed, 0)) }

// Now returns the true time, which no process knows.
func (s *Sim) Now() time.Time { return epoch.Add(time.Duration(s.now)) }

// run plays everything and returns what went wrong.
func (s *Sim) run(settle time.Duration) *Failure {
	defer s.stop()
	end := int64(0)
	for {
		if s.steps >= s.opts.Steps && !s.chance.quiet {
			s.chance.quiet, end = true, s.now+int64(settle)
			s.trace.line(s, "no more faults")
		}
		it, at, ok := s.queue.pop()
		if !ok || s.chance.quiet && at > end {
			break
		}
		s.now = at
		changed, kept := s.play(it)
		if !kept {
			s.queue.recycle(it)
		}
		if !changed {
			continue
		}
		for k := range s.checks {
			if c := &s.checks[k]; c.Step != nil {
				if err := c.Step(); err != nil {
					return s.failure(c.Name, err)
				}
			}
		}
	}
	for k := range s.checks {
		if c := &s.checks[k]; c.End != nil {
			if err := c.End(); err != nil {
				return s.failure(c.Name, err)
			}
		}
	}
	return nil
}

// stop ends the tasks of all programs.
func (s *Sim) stop() {
	for _, p := range s.processes {
		if p.env != nil {
			p.env.kill()
		}
	}
}

func (s *Sim) failure(check string, err error) *Failure {
	f := &Failure{Check: check, Step: s.steps, At: time.Duration(s.now), Err: err}
	s.trace.line(s, f.String())
	return f
}

// play makes one item happen and reports whether something has changed, and
// whether the item is in the queue again.
func (s *Sim) play(it *item) (changed, kept bool) {
	switch it.kind {
	case itemApply:
		return s.apply(it), true
	case itemLate:
		return s.applyLate(it), false
	case itemEvent:
	}
	p := it.process
	switch {
	case it.event == machine.Start:
		p.boot++
		p.up, p.paused = true, 0
		if p.New != nil {
			p.machine = p.New()
		}
		p.rand = rand.New(rand.NewPCG(s.opts.Seed^p.key, p.boot))
	case !p.up || it.event != machine.Received && it.boot != p.boot:
		return false, false
	case it.sleeper != nil && it.sleeper.wait != it.wait || it.over != nil && *it.over:
		return false, false
	case p.paused > s.now:
		s.queue.put(p.paused, it)
		return false, true
	}
	s.step(p, it)
	return true, false
}

// step has a process take one event and does what it wants done.
func (s *Sim) step(p *process, it *item) {
	s.steps++
	p.steps++
	in := &s.event
	if in.Kind != machine.Fired || it.event != machine.Fired { // most are timers, which fill in little
		*in = machine.Event{Message: it.message}
	}
	in.Kind, in.Now, in.Rand, in.Token = it.event, p.clock(s.now), p.rand, it.token+it.wait
	if c := it.commit; c != nil {
		in.Result, in.Err = c.result, c.err
	}
	if l := it.load; l != nil {
		in.Records, in.Revision = l.records, l.revision
	}
	s.trace.step(s, p, in)
	if p.Run != nil {
		s.turn(p, it)
		return
	}
	s.effects.Reset()
	p.machine.Step(in, &s.effects)
	list := s.effects.List
	if kind, hit, pause := s.fate(p); hit {
		if kind == Crashed {
			list = list[:int(uint64(pause)%uint64(len(list)+1))]
		}
		s.suffer(p, kind, pause)
	}
	for k := range list {
		s.do(p, &list[k])
	}
}

// fate draws whether a fault hits a process within a step, and for how long.
func (s *Sim) fate(p *process) (kind FaultKind, hit bool, pause int64) {
	if p.Steady {
		return 0, false, 0
	}
	kind, hit, luck := s.chance.draw(ofStep, p, p.steps)
	return kind, hit, within(luck, longPause)
}

// suffer has a fault of a step take effect.
func (s *Sim) suffer(p *process, kind FaultKind, pause int64) {
	s.trace.fault(s, p, kind, time.Duration(pause))
	switch kind {
	case Crashed:
		p.up, p.machine = false, nil
		if p.env != nil {
			p.env.kill()
			p.env.bus.gone()
			p.env = nil
		}
		s.queue.add(s.now + pause).start(p)
	case Paused:
		p.paused = s.now + pause
	case ClockJumped:
		p.offset += pause
		if pause&1 == 0 {
			p.offset -= 2 * pause
		}
	default:
	}
}

func (s *Sim) do(p *process, e *machine.Effect) {
	switch e.Kind {
	case machine.Send:
		e.Message.From = p.name
		if to := s.byName[e.Message.To]; to != nil {
			m := &e.Message
			s.fly(p, m, func(at int64) { s.queue.add(at).receive(to, m) })
		} else {
			p.sent++
		}
	case machine.Timer:
		s.alarm(p, e.After).token = e.Token
	case machine.Commit:
		it, _ := s.send(p, e.Batch)
		it.token = e.Token
	case machine.Load:
		s.load(p, e.Token)
	}
}

// alarm is a timer by the clock of p.
func (s *Sim) alarm(p *process, after time.Duration) *item {
	it := s.queue.add(s.now + max(0, int64(float64(after)/(1+p.drift))))
	it.process, it.boot, it.event = p, p.boot, machine.Fired
	return it
}

// fly puts a message of p on its way; add is told when it arrives, if it does.
func (s *Sim) fly(p *process, m *machine.Message, add func(at int64)) {
	p.sent++
	kind, hit, luck := s.chance.draw(ofMessage, p, p.sent)
	late := int64(0)
	if hit {
		limit := longDelay
		if kind != Delayed {
			limit = shortDelay
		}
		late = within(mix(luck), limit)
		s.trace.message(s, p, kind, m)
	}
	if hit && kind == Lost {
		return
	}
	took := latency(luck)
	if !hit || kind == Doubled {
		add(s.now + took)
	}
	if hit {
		add(s.now + took + late)
	}
}

// latency is how long a message, or one way to a store, takes: half a
// millisecond to one.
func latency(luck uint64) int64 {
	return int64(500*time.Microsecond) + int64(luck%uint64(500*time.Microsecond))
}

// Options say what to run.
type Options struct {
	Seed   uint64
	Steps  int     // after so many steps faults stop
	Counts []int   // of the scenario's actors; nil: as the scenario says
	Only   []Fault // exactly these faults happen; nil: what the rates and the seed give
	Trace  io.Writer
}

// Failure is a check that did not hold.
type Failure struct {
	Check string
	Step  int           // the step after which it was noticed
	At    time.Duration // since the beginning
	Err   error
}

// String is one line for people.
func (f *Failure) String() string {
	return fmt.Sprintf("check %q fails after step %d, at %v: %v", f.Check, f.Step, f.At, f.Err)
}

// Report is what one run came to.
type Report struct {
	Options
	Played  int           // steps, those after the last fault included
	Took    time.Duration // of virtual time
	Hash    uint64        // of all that happened
	Faults  []Fault       // that happened
	Failure *Failure      // nil: every check held
}

// errDiverged: a seed does not say all.
var errDiverged = errors.New("two runs of one seed differ")
