package rabbit

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// replyTo is the pseudo-queue of direct reply-to.
const replyTo = "amq.rabbitmq.reply-to"

// session is one connection, from its opening to its loss.
type session struct {
	conn    *amqp.Connection
	pipe    *pipe
	calls   *amqp.Channel // publishes calls and casts, consumes answers
	replies <-chan amqp.Delivery
	returns chan amqp.Return
	blocks  chan amqp.Blocking
	lost    chan *amqp.Error // of the connection
	broken  chan *amqp.Error // of the channel

	durable bool                   // queues have to be
	blocked atomic.Pointer[string] // the reason, while the broker takes no messages
	ended   chan struct{}          // closed when the session is over
}

// dialer opens sessions.
type dialer struct {
	cfg Config
	tls *tls.Config
}

func (d dialer) auth(h Host) []amqp.Authentication {
	switch d.cfg.Options.LoginMethod {
	case "EXTERNAL":
		return []amqp.Authentication{&amqp.ExternalAuth{}}
	case "AMQPLAIN":
		return []amqp.Authentication{&amqp.AMQPlainAuth{Username: h.User, Password: string(h.Password)}}
	}
	return []amqp.Authentication{&amqp.PlainAuth{Username: h.User, Password: string(h.Password)}}
}

// open connects to a broker, within the time of ctx.
func (d dialer) open(ctx context.Context, h Host) (*session, error) {
	conn, err := d.cfg.Dial(ctx, "tcp", h.Address())
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		cfg := d.tls.Clone()
		cfg.ServerName = h.Name
		secure := tls.Client(conn, cfg)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		conn = secure
	}
	s := &session{pipe: newPipe(conn), ended: make(chan struct{})}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	err = d.set(s, h)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = s.pipe.Close()
		return nil, err
	}
	return s, nil
}

// set makes s speak AMQP.
func (d dialer) set(s *session, h Host) (err error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(d.cfg.Name)
	s.conn, err = amqp.Open(s.pipe, amqp.Config{
		SASL: d.auth(h), Vhost: d.cfg.URL.VHost, Properties: properties, Locale: "en_US", Heartbeat: d.cfg.Options.Heartbeat,
	})
	if err != nil {
		return fmt.Errorf("open vhost %s: %w", d.cfg.URL.VHost, err)
	}
	s.durable = d.cfg.Options.DurableQueues || onlyDurable(s.conn.Properties)
	if s.calls, err = s.conn.Channel(); err != nil {
		return err
	}
	s.lost = s.conn.NotifyClose(make(chan *amqp.Error, 1))
	s.broken = s.calls.NotifyClose(make(chan *amqp.Error, 1))
	s.blocks = s.conn.NotifyBlocked(make(chan amqp.Blocking, 16))
	s.returns = s.calls.NotifyReturn(make(chan amqp.Return, 64))
	s.replies, err = s.calls.Consume(replyTo, "", true, false, false, false, nil)
	return err
}

// onlyDurable reports whether a broker closes the connection of whoever declares
// a queue that is neither durable nor exclusive.
//
// Source: RabbitMQ, release-notes/4.3.0.md, deprecated feature
// transient_nonexcl_queues.
func onlyDurable(broker amqp.Table) bool {
	version, _ := broker["version"].(string)
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 || broker["product"] != "RabbitMQ" {
		return false
	}
	return major > 4 || major == 4 && minor >= 3
}

// answers ends calls with the answers that come.
func (b *Bus) answers(s *session) {
	for d := range s.replies {
		reply, err := bus.DecodeReply(d.Body)
		b.end(d.CorrelationId, reply, err)
	}
}

// unheard ends calls that nobody listens to.
func (b *Bus) unheard(s *session) {
	for r := range s.returns {
		b.end(r.CorrelationId, nil, fmt.Errorf("%w: no queue %s", bus.ErrNoHandler, r.RoutingKey))
	}
}

func (b *Bus) end(correlation string, reply []byte, err error) {
	if key, bad := strconv.ParseUint(correlation, 36, 64); bad == nil {
		b.pending.End(key, reply, err)
	}
}

// flow notes when the broker takes no messages.
func (b *Bus) flow(s *session) {
	for block := range s.blocks {
		if block.Active {
			s.blocked.Store(&block.Reason)
			b.cfg.Observe.Tell(bus.Event{Kind: bus.Blocked, Detail: block.Reason})
			continue
		}
		s.blocked.Store(nil)
		b.cfg.Observe.Tell(bus.Event{Kind: bus.Unblocked})
	}
}

// Delay returns how long to wait before the next attempt, after so many that
// failed: a random share of what the options say, so that a thousand
// processes do not come back in the same moment. Random is in [0, 1).
func (o Options) Delay(failed int, random func() float64) time.Duration {
	most := min(o.RetryInterval+time.Duration(failed)*o.RetryBackoff, max(o.IntervalMax, o.RetryInterval))
	return time.Duration(random()*float64(most)) + o.ReconnectDelay + time.Duration(random()*float64(o.ReconnectSplay))
}

func reason(err *amqp.Error) string {
	if err == nil {
		return "closed"
	}
	return err.Error()
}
