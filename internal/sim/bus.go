package sim

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/internal/machine"
)

// Bus is a [bus.Bus] in virtual time, whose messages get lost, doubled, late
// and out of order. It is one process's, and goes with its life.
type Bus struct {
	env    *Env
	served map[string]*served
	calls  []*call // under way, oldest first
	closed bool
}

// served is a topic that is handled.
type served struct {
	bus       *Bus
	topic     string
	reception *bus.Reception
	running   int
	waiting   []*letter
	within    []*lapse // the contexts of handlers that run
}

// letter is a message on its way: a call, a cast, or an answer.
type letter struct {
	envelope bus.Envelope
	call     *call // nil: a cast
	answer   bool
	body     []byte
	err      error
	came     int64 // when it was taken
}

// call waits for its end.
type call struct {
	bus   *Bus
	done  func([]byte, error)
	ended bool
}

// Start is that of [bus.Bus].
func (b *Bus) Start(e bus.Envelope, done func([]byte, error)) {
	b.env.effect()
	c := &call{bus: b, done: done}
	b.calls = append(b.calls, c)
	switch err := e.Validate(); {
	case err != nil:
		c.end(nil, err)
		return
	case b.closed:
		c.end(nil, bus.ErrClosed)
		return
	}
	b.env.sim.deadline(b.env.process, e.Timeout, &c.ended, func() {
		c.end(nil, fmt.Errorf("%w: %v", bus.ErrTimeout, e.Timeout))
	})
	b.post(&letter{envelope: e, call: c})
}

// Call starts a call and waits for its end, see [bus.Call].
func (b *Bus) Call(ctx context.Context, e bus.Envelope) (reply []byte, err error) {
	ended := make(chan struct{})
	b.Start(e, func(body []byte, why error) {
		reply, err = body, why
		close(ended)
	})
	if b.env.Wait(ctx, 0, ended, nil) == stopWaiting {
		return nil, ctx.Err()
	}
	return reply, err
}

// Cast is that of [bus.Bus].
func (b *Bus) Cast(e bus.Envelope) error {
	b.env.effect()
	switch err := e.Validate(); {
	case err != nil:
		return err
	case b.closed:
		return bus.ErrClosed
	}
	b.post(&letter{envelope: e})
	return nil
}

// Handle is that of [bus.Bus].
func (b *Bus) Handle(_ context.Context, topic string, s bus.Service) (stop func(), err error) {
	if err := bus.ValidateTopic(topic); err != nil {
		return nil, fmt.Errorf("handle: %w", err)
	}
	reception, err := bus.NewReception(s)
	switch {
	case err != nil:
		return nil, fmt.Errorf("handle %s: %w", topic, err)
	case b.closed:
		return nil, fmt.Errorf("handle %s: %w", topic, bus.ErrClosed)
	case b.served[topic] != nil:
		return nil, fmt.Errorf("handle %s: %w", topic, bus.ErrHandled)
	}
	own, sim := &served{bus: b, topic: topic, reception: reception}, b.env.sim
	b.served[topic] = own
	sim.topics[topic] = append(sim.topics[topic], own)
	return func() {
		if b.served[topic] == own {
			own.stop()
		}
	}, nil
}

// stop takes no more letters, refuses those that wait, and ends the contexts
// of handlers.
func (o *served) stop() {
	delete(o.bus.served, o.topic)
	o.bus.env.sim.forget(o.topic, o)
	waiting := o.waiting
	o.waiting = nil
	for _, l := range waiting {
		o.answer(l, nil, fmt.Errorf("%w of topic %s: it stopped", bus.ErrNoHandler, o.topic))
	}
	for _, within := range slices.Clone(o.within) {
		within.end(context.Canceled)
	}
}

// Close is that of [bus.Bus].
func (b *Bus) Close() error {
	b.closed = true
	for _, topic := range slices.Sorted(maps.Keys(b.served)) {
		b.served[topic].stop()
	}
	for _, c := range slices.Clone(b.calls) {
		c.end(nil, bus.ErrClosed)
	}
	return nil
}

// gone takes the topics away, as a broker does when a connection is lost.
func (b *Bus) gone() {
	for topic, own := range b.served {
		b.env.sim.forget(topic, own)
	}
	clear(b.served)
}

func (s *Sim) forget(topic string, own *served) {
	s.topics[topic] = slices.DeleteFunc(s.topics[topic], func(o *served) bool { return o == own })
}

// post sends a call or cast to one of those who handle the topic.
func (b *Bus) post(l *letter) {
	s := b.env.sim
	who := s.topics[l.envelope.Topic]
	if len(who) == 0 {
		if l.call != nil {
			b.env.sim.mail(b.env.process, b.env.process, &letter{
				envelope: l.envelope, call: l.call, answer: true, err: fmt.Errorf("%w of topic %s", bus.ErrNoHandler, l.envelope.Topic),
			})
		}
		return
	}
	b.env.process.turn++
	s.mail(b.env.process, who[b.env.process.turn%uint64(len(who))].bus.env.process, l)
}

// mail has a letter go from one process to another.
func (s *Sim) mail(from, to *process, l *letter) {
	m := machine.Message{From: from.name, To: to.name, Method: l.envelope.Method, ID: binary.LittleEndian.Uint64(l.envelope.ID[:]), Body: l.envelope.Body}
	if l.answer {
		m.Method, m.Body = "answer to "+m.Method, l.body
		if l.err != nil {
			m.Body = []byte(l.err.Error())
		}
	}
	s.fly(from, &m, func(at int64) {
		it := s.queue.add(at)
		it.receive(to, &m)
		it.letter = l
	})
}

// take is called when a letter arrives.
func (b *Bus) take(l *letter) {
	if l.answer {
		if l.call.bus == b {
			b.env.spawn(func() { l.call.end(l.body, l.err) })
		}
		return
	}
	own := b.served[l.envelope.Topic]
	if own == nil {
		return // the queue is gone, and what was in it
	}
	took := *l // a doubled letter comes twice
	took.came = b.env.sim.now
	b.env.spawn(func() { own.take(&took) })
}

func (o *served) take(l *letter) {
	s := o.reception.Service()
	_, err := o.reception.Admit(l.envelope)
	switch {
	case err != nil:
	case o.running < s.Workers:
		o.running++
		o.work(l)
		return
	case len(o.waiting) < s.Waiting:
		o.waiting = append(o.waiting, l)
		return
	default:
		o.reception.Forget(l.envelope.ID)
		err = bus.ErrBusy
	}
	o.answer(l, nil, err)
}

// work runs the handler of a letter, and of those that waited for it.
func (o *served) work(l *letter) {
	for {
		if left := l.envelope.Timeout - time.Duration(o.bus.env.sim.now-l.came); left > 0 {
			o.handle(l, left)
		} else {
			o.answer(l, nil, bus.ErrTimeout)
		}
		if len(o.waiting) == 0 {
			o.running--
			return
		}
		l, o.waiting = o.waiting[0], o.waiting[1:]
	}
}

func (o *served) handle(l *letter, left time.Duration) {
	env := o.bus.env
	ctx, handled := newLapse(), false
	o.within = append(o.within, ctx)
	env.sim.deadline(env.process, left, &handled, func() { ctx.end(context.DeadlineExceeded) })
	reply, err := o.reception.Service().Methods[l.envelope.Method](ctx, l.envelope)
	handled = true
	ctx.end(context.Canceled)
	o.within = slices.DeleteFunc(o.within, func(c *lapse) bool { return c == ctx })
	o.answer(l, reply, err)
}

func (o *served) answer(l *letter, body []byte, err error) {
	if l.call == nil {
		return
	}
	env := o.bus.env
	env.effect()
	env.sim.mail(env.process, l.call.bus.env.process, &letter{
		envelope: l.envelope, call: l.call, answer: true, body: body, err: bus.AsRemote(err),
	})
}

// deadline has ring called after some time, unless over is true by then.
func (s *Sim) deadline(p *process, after time.Duration, over *bool, ring func()) {
	it := s.alarm(p, after)
	it.ring, it.over = ring, over
}

func (c *call) end(body []byte, err error) {
	if c.ended {
		return
	}
	c.ended = true
	c.bus.calls = slices.DeleteFunc(c.bus.calls, func(o *call) bool { return o == c })
	c.done(body, err)
}
