package sim

import (
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
)

// process is a Process as it runs.
type process struct {
	Process
	name  string
	index int32
	key   uint64 // of the name
	disk  *disk

	machine machine.Machine // nil: it is down
	rand    *rand.Rand
	boot    uint64 // its life: answers and timers of another are not for it
	up      bool
	paused  int64 // until when it stands still

	drift  float64 // of its clock, 0.01: it gains a second in 100
	offset int64   // by which its clock has jumped

	env *Env // of a program, in this life

	steps, sent, commits, news, turn uint64
}

// clock returns what the process takes for the time.
func (p *process) clock(now int64) time.Time {
	return epoch.Add(time.Duration(now + int64(float64(now)*p.drift) + p.offset))
}

// itemKind says whom an item concerns.
type itemKind uint8

const (
	itemEvent itemKind = iota // a process takes an event
	itemApply                 // a store takes a batch, or is read
	itemLate                  // a store takes a batch whose commit ended Unknown
)

// item is something that will happen.
type item struct {
	kind    itemKind
	event   machine.Kind
	process *process
	boot    uint64
	token   uint64
	message machine.Message
	commit  *commit
	load    *load

	sleeper *task // whose wait it ends
	wait    uint64
	letter  *letter
	ring    func()
	over    *bool // when true, nobody wants it to happen any more
}

// task makes it end the present wait of t.
func (it *item) task(t *task) { it.sleeper, it.wait = t, t.wait }

func (it *item) start(p *process) { it.process, it.event = p, machine.Start }

func (it *item) receive(p *process, m *machine.Message) {
	it.process, it.event, it.message = p, machine.Received, *m
}
