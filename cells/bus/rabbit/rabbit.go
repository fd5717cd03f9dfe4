package rabbit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/cells/bus/internal/work"
)

// Config of a [Bus]; [Parse] makes one.
type Config struct {
	URL     URL
	Options Options
	Name    string       // of the connection, for operators; empty: kilonova
	Observe bus.Observer // nil: nobody
	// Dial opens a connection to a broker; nil: TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Bus is a [bus.Bus] on RabbitMQ.
type Bus struct {
	cfg     Config
	pending work.Pending
	session atomic.Pointer[session]
	why     atomic.Pointer[error] // why there is no session
	stop    context.CancelFunc
	ended   chan struct{} // closed after the connection is

	mu     sync.Mutex
	topics map[string]*topic
	closed bool
}

var _ bus.Bus = (*Bus)(nil)

var errConnecting = errors.New("not connected yet")

// New returns a bus that connects by itself, now and whenever the connection
// is lost. An error means that the configuration is wrong, not that the broker
// is away.
func New(cfg Config) (*Bus, error) {
	if len(cfg.URL.Hosts) == 0 {
		return nil, errors.New("rabbit: no hosts, allowed are: one or more")
	}
	tlsConfig, err := cfg.Options.tlsConfig()
	if err != nil {
		return nil, fmt.Errorf("rabbit: %w", err)
	}
	if cfg.Name == "" {
		cfg.Name = "kilonova"
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &Bus{cfg: cfg, stop: stop, ended: make(chan struct{}), topics: map[string]*topic{}}
	b.why.Store(&errConnecting)
	b.start(ctx, dialer{cfg: cfg, tls: tlsConfig})
	return b, nil
}

// Ready returns nil when messages can be sent, or else [bus.ErrUnavailable]
// or [bus.ErrClosed] with the reason.
func (b *Bus) Ready() error {
	_, err := b.usable()
	return err
}

func (b *Bus) usable() (*session, error) {
	s := b.session.Load()
	switch {
	case s == nil:
		why := *b.why.Load()
		if errors.Is(why, bus.ErrClosed) {
			return nil, why
		}
		return nil, fmt.Errorf("%w: %w", bus.ErrUnavailable, why)
	case s.blocked.Load() != nil:
		return nil, fmt.Errorf("%w: the broker takes no messages: %s", bus.ErrUnavailable, *s.blocked.Load())
	case s.pipe.full():
		return nil, fmt.Errorf("%w: the broker reads nothing", bus.ErrUnavailable)
	}
	return s, nil
}

// Start is that of [bus.Bus].
func (b *Bus) Start(e bus.Envelope, done func([]byte, error)) {
	s, err := b.sendable(e)
	if err != nil {
		b.tell(bus.CallEnded, e, err)
		done(nil, err)
		return
	}
	b.tell(bus.CallStarted, e, nil)
	ended := done
	if b.cfg.Observe != nil {
		ended = func(reply []byte, err error) {
			b.tell(bus.CallEnded, e, err)
			done(reply, err)
		}
	}
	key := b.pending.Add(e.Timeout, ended)
	err = s.calls.Publish("", queueName(e.Topic), true, false, amqp.Publishing{
		CorrelationId: strconv.FormatUint(key, 36),
		ReplyTo:       replyTo,
		Expiration:    expiration(e),
		DeliveryMode:  amqp.Transient,
		Body:          bus.AppendRequest(make([]byte, 0, requestSize(e)), e),
	})
	switch {
	case err != nil:
		b.pending.End(key, nil, fmt.Errorf("%w: %w", bus.ErrUnavailable, err))
	case b.session.Load() != s: // its calls may have been ended before this one was there
		b.pending.End(key, nil, bus.ErrLost)
	}
}

// Cast is that of [bus.Bus].
func (b *Bus) Cast(e bus.Envelope) error {
	s, err := b.sendable(e)
	if err == nil {
		err = s.calls.Publish("", queueName(e.Topic), false, false, amqp.Publishing{
			Expiration:   expiration(e),
			DeliveryMode: amqp.Transient,
			Body:         bus.AppendRequest(make([]byte, 0, requestSize(e)), e),
		})
		if err != nil {
			err = fmt.Errorf("%w: %w", bus.ErrUnavailable, err)
		}
	}
	b.tell(bus.CastSent, e, err)
	if err != nil {
		return fmt.Errorf("cast %s to %s: %w", e.Method, e.Topic, err)
	}
	return nil
}

func (b *Bus) sendable(e bus.Envelope) (*session, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	return b.usable()
}

func (b *Bus) tell(kind bus.EventKind, e bus.Envelope, err error) {
	b.cfg.Observe.Tell(bus.Event{Kind: kind, Topic: e.Topic, Method: e.Method, Err: err})
}

func queueName(topic string) string { return "kn." + topic }

func expiration(e bus.Envelope) string { return strconv.FormatInt(e.Timeout.Milliseconds(), 10) }

func requestSize(e bus.Envelope) int { return 32 + len(e.Topic) + len(e.Method) + len(e.Body) }

// Close is that of [bus.Bus]. It tells the broker, for a second at most.
func (b *Bus) Close() error {
	b.mu.Lock()
	topics := b.topics
	b.topics, b.closed = nil, true
	b.mu.Unlock()
	closed := bus.ErrClosed
	b.why.Store(&closed)
	for _, t := range topics {
		t.crew.Stop()
	}
	b.stop()
	<-b.ended
	b.pending.EndAll(bus.ErrClosed)
	return nil
}
