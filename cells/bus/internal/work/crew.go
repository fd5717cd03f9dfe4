package work

import (
	"context"
	"fmt"
	"sync"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// Crew runs the handlers of one service, some at a time. It is safe for
// concurrent use.
type Crew struct {
	reception *bus.Reception
	observe   bus.Observer
	handle    func(job) ([]byte, error) // runs the handler, in a context
	cancel    context.CancelFunc

	mu      sync.Mutex
	running int
	waiting []job
	stopped bool
}

type job struct {
	envelope bus.Envelope
	handler  bus.Handler
	reply    func([]byte, error)
	stale    func() bool // true once the sender has given up
}

// NewCrew returns a crew for s, whose handlers run in contexts with the values
// of ctx, which do not end with it.
func NewCrew(ctx context.Context, s bus.Service, observe bus.Observer) (*Crew, error) {
	reception, err := bus.NewReception(s)
	if err != nil {
		return nil, err
	}
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	handle := func(j job) ([]byte, error) {
		within, done := context.WithTimeout(base, j.envelope.Timeout)
		defer done()
		return j.handler(within, j.envelope)
	}
	return &Crew{reception: reception, observe: observe, handle: handle, cancel: cancel}, nil
}

// Do lets a handler answer e, and calls reply with what it returned, or with
// why none ran. It does not block; a nil reply is that of a cast.
func (c *Crew) Do(e bus.Envelope, reply func([]byte, error)) {
	handler, err := c.reception.Admit(e)
	if err == nil {
		if err = c.take(job{envelope: e, handler: handler, reply: reply, stale: expiry(e.Timeout)}); err != nil {
			c.reception.Forget(e.ID)
		}
	}
	if err != nil {
		c.refuse(e, reply, err)
	}
}

func (c *Crew) refuse(e bus.Envelope, reply func([]byte, error), err error) {
	c.observe.Tell(bus.Event{Kind: bus.Refused, Topic: e.Topic, Method: e.Method, Err: err})
	if reply != nil {
		reply(nil, err)
	}
}

// take runs the job, now or later, or returns why not.
func (c *Crew) take(j job) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch s := c.reception.Service(); {
	case c.stopped:
		return errStopped
	case c.running < s.Workers:
		c.running++
		c.start(j)
	case len(c.waiting) < s.Waiting:
		c.waiting = append(c.waiting, j)
	default:
		return fmt.Errorf("%w: %d messages wait", bus.ErrBusy, s.Waiting)
	}
	return nil
}

// next returns the job that has waited longest.
func (c *Crew) next() (j job, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.waiting) == 0 || c.stopped {
		c.running--
		return job{}, false
	}
	j = c.waiting[0]
	c.waiting[0] = job{}
	c.waiting = c.waiting[1:]
	return j, true
}

// run runs one handler.
func (c *Crew) run(j job) {
	if j.stale() {
		c.refuse(j.envelope, j.reply, fmt.Errorf("%w: it waited for a worker", bus.ErrTimeout))
		return
	}
	reply, err := c.handle(j)
	c.observe.Tell(bus.Event{Kind: bus.Handled, Topic: j.envelope.Topic, Method: j.envelope.Method, Err: err})
	if j.reply != nil {
		j.reply(reply, err)
	}
}

// Stop takes no more messages, refuses those that wait, and cancels the
// contexts of handlers that run.
func (c *Crew) Stop() {
	c.mu.Lock()
	waiting := c.waiting
	c.stopped, c.waiting = true, nil
	c.mu.Unlock()
	for _, j := range waiting {
		c.refuse(j.envelope, j.reply, errStopped)
	}
	c.cancel()
}

var errStopped = fmt.Errorf("%w: it stopped", bus.ErrNoHandler)
