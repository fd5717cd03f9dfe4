package rabbit

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/internal/work"
)

// queueLength bounds what a queue holds when its consumer is slow; older
// messages go first.
const queueLength = 65536

// topic is what this bus listens to.
type topic struct {
	name     string
	crew     *work.Crew
	stopped  chan struct{} // closed by stop
	stopOnce sync.Once

	mu      sync.Mutex
	session *session      // that it listens in, or did
	up      chan struct{} // closed when messages arrive
	running chan struct{} // closed when it listens no more; nil if it never did
}

// Handle is that of [bus.Bus].
func (b *Bus) Handle(ctx context.Context, name string, s bus.Service) (stop func(), err error) {
	if err := bus.ValidateTopic(name); err != nil {
		return nil, fmt.Errorf("handle: %w", err)
	}
	crew, err := work.NewCrew(ctx, s, b.cfg.Observe)
	if err != nil {
		return nil, fmt.Errorf("handle %s: %w", name, err)
	}
	t := &topic{name: name, crew: crew, stopped: make(chan struct{})}
	if err := b.add(t); err != nil {
		return nil, fmt.Errorf("handle %s: %w", name, err)
	}
	if s := b.session.Load(); s != nil {
		select {
		case <-b.listen(s, t):
		case <-s.ended:
		case <-ctx.Done():
		}
	}
	return func() { t.stopOnce.Do(func() { b.remove(t) }) }, nil
}

func (b *Bus) add(t *topic) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return bus.ErrClosed
	case b.topics[t.name] != nil:
		return bus.ErrHandled
	}
	b.topics[t.name] = t
	return nil
}

// remove stops listening. It waits a moment for the broker to know, so that
// who listens next has all messages.
func (b *Bus) remove(t *topic) {
	b.mu.Lock()
	if b.topics[t.name] == t {
		delete(b.topics, t.name)
	}
	b.mu.Unlock()
	close(t.stopped)
	t.mu.Lock()
	running := t.running
	t.mu.Unlock()
	if running != nil {
		waitAMoment(running)
	}
	t.crew.Stop()
}

// consume listens to t on a channel of its own until t is stopped or the
// channel ends, and calls listening when messages arrive from now on.
func (b *Bus) consume(s *session, t *topic, listening func()) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return err
	}
	args := amqp.Table{"x-max-length": int32(queueLength)}
	if ttl := int32(b.cfg.Options.QueuesTTL.Milliseconds()); s.durable && ttl > 0 {
		args["x-expires"] = ttl // or it stays, when the broker died and its consumer does not come back
	}
	queue := queueName(t.name)
	if _, err := ch.QueueDeclare(queue, s.durable, true, false, false, args); err != nil {
		return err
	}
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		return err
	}
	listening()
	for {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errors.Join(errors.New("the queue is gone"), ch.Close())
			}
			b.arrived(s, t, ch, d)
		case <-t.stopped:
			return ch.Close()
		}
	}
}

// arrived lets the crew of t answer d.
func (b *Bus) arrived(s *session, t *topic, ch *amqp.Channel, d amqp.Delivery) {
	var reply func([]byte, error)
	if d.ReplyTo != "" {
		reply = func(body []byte, err error) {
			if s.pipe.full() {
				return
			}
			answer := amqp.Publishing{
				CorrelationId: d.CorrelationId, DeliveryMode: amqp.Transient, Body: bus.AppendReply(make([]byte, 0, 16+len(body)), body, err),
			}
			if err := ch.Publish("", d.ReplyTo, false, false, answer); errors.Is(err, amqp.ErrClosed) { // the topic was stopped meanwhile
				_ = s.calls.Publish("", d.ReplyTo, false, false, answer) // a lost answer is a timeout there
			}
		}
	}
	e, err := bus.DecodeRequest(d.Body)
	if err == nil && e.Topic != t.name {
		err = fmt.Errorf("%w: it is for topic %s", bus.ErrMalformed, e.Topic)
	}
	if err == nil {
		t.crew.Do(e, reply)
		return
	}
	b.cfg.Observe.Tell(bus.Event{Kind: bus.Refused, Topic: t.name, Err: err})
	if reply != nil {
		reply(nil, err)
	}
}
