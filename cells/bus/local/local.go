// Package local is the bus of one process, for all daemons in one binary, for
// tests, and for engineers who have no broker. Messages are values that go
// from goroutine to goroutine; bodies are shared, not copied, and must not be
// changed after they are sent.
//
// What holds for every bus holds here, see package bus, including that
// messages may be refused: a service with too much work answers that it is
// busy, and drops casts.
package local

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/internal/work"
)

// Config of a [Bus]. The zero value is good.
type Config struct {
	Observe bus.Observer // nil: nobody
}

// Bus is a [bus.Bus] in one process.
type Bus struct {
	observe bus.Observer
	pending work.Pending

	mu     sync.RWMutex
	crews  map[string]*work.Crew
	closed bool
}

var _ bus.Bus = (*Bus)(nil)

// New returns a bus that nobody listens to yet.
func New(cfg Config) *Bus {
	return &Bus{observe: cfg.Observe, crews: map[string]*work.Crew{}}
}

// Start is that of [bus.Bus].
func (b *Bus) Start(e bus.Envelope, done func([]byte, error)) {
	crew, err := b.find(e)
	if err != nil {
		b.observe.Tell(bus.Event{Kind: bus.CallEnded, Topic: e.Topic, Method: e.Method, Err: err})
		done(nil, err)
		return
	}
	b.observe.Tell(bus.Event{Kind: bus.CallStarted, Topic: e.Topic, Method: e.Method})
	key := b.pending.Add(e.Timeout, func(reply []byte, err error) {
		b.observe.Tell(bus.Event{Kind: bus.CallEnded, Topic: e.Topic, Method: e.Method, Err: err})
		done(reply, err)
	})
	crew.Do(e, func(reply []byte, err error) { b.pending.End(key, reply, bus.AsRemote(err)) })
	if b.isClosed() { // the calls of a closed bus have been ended before this one came
		b.pending.EndAll(bus.ErrClosed)
	}
}

// Cast is that of [bus.Bus].
func (b *Bus) Cast(e bus.Envelope) error {
	crew, err := b.find(e)
	b.observe.Tell(bus.Event{Kind: bus.CastSent, Topic: e.Topic, Method: e.Method, Err: err})
	switch {
	case errors.Is(err, bus.ErrNoHandler): // as with a broker, where nobody can know
		return nil
	case err != nil:
		return fmt.Errorf("cast %s to %s: %w", e.Method, e.Topic, err)
	}
	crew.Do(e, nil)
	return nil
}

func (b *Bus) find(e bus.Envelope) (*work.Crew, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return nil, bus.ErrClosed
	}
	crew := b.crews[e.Topic]
	if crew == nil {
		return nil, fmt.Errorf("%w of topic %s", bus.ErrNoHandler, e.Topic)
	}
	return crew, nil
}

// Handle is that of [bus.Bus].
func (b *Bus) Handle(ctx context.Context, topic string, s bus.Service) (stop func(), err error) {
	if err := bus.ValidateTopic(topic); err != nil {
		return nil, fmt.Errorf("handle: %w", err)
	}
	crew, err := work.NewCrew(ctx, s, b.observe)
	if err != nil {
		return nil, fmt.Errorf("handle %s: %w", topic, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, fmt.Errorf("handle %s: %w", topic, bus.ErrClosed)
	case b.crews[topic] != nil:
		return nil, fmt.Errorf("handle %s: %w", topic, bus.ErrHandled)
	}
	b.crews[topic] = crew
	return func() { b.remove(topic, crew) }, nil
}

func (b *Bus) remove(topic string, crew *work.Crew) {
	b.mu.Lock()
	if b.crews[topic] == crew {
		delete(b.crews, topic)
	}
	b.mu.Unlock()
	crew.Stop()
}

func (b *Bus) isClosed() bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.closed
}

// Close is that of [bus.Bus]. It always returns nil.
func (b *Bus) Close() error {
	b.mu.Lock()
	crews := b.crews
	b.crews, b.closed = nil, true
	b.mu.Unlock()
	for _, crew := range crews {
		crew.Stop()
	}
	b.pending.EndAll(bus.ErrClosed)
	return nil
}
