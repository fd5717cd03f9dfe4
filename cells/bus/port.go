package bus

import (
	"context"
	"fmt"
)

// Bus carries messages.
type Bus interface {
	// Start sends e and calls done exactly once, at the latest after the
	// timeout of e, with the answer or an error of this package. It does not
	// block. Done may be called before Start returns and from any goroutine,
	// and must not block.
	Start(e Envelope, done func(reply []byte, err error))
	// Cast sends e and forgets it. It does not block; an error means that the
	// message was certainly not sent, nil that it was sent, not that it arrives.
	Cast(e Envelope) error
	// Handle lets s answer what is sent to the topic, until stop is called,
	// which may be done more than once. It waits until messages arrive, unless
	// ctx ends or the broker is away: then they arrive later. It returns an
	// error when the topic or service is not valid, the topic is handled by
	// this bus already, or the bus is closed.
	Handle(ctx context.Context, topic string, s Service) (stop func(), err error)
	// Close ends calls under way with [ErrClosed], and cancels the contexts of
	// handlers.
	Close() error
}

// Handler answers a message. The context ends with the timeout of the message,
// counted from its arrival; what is returned for a cast is dropped. Several
// handlers of a service may run at once. An error that is a [*RemoteError]
// arrives as it is, of another only the text arrives.
type Handler func(ctx context.Context, e Envelope) (reply []byte, err error)

// Waiter is a bus on which a call waits in a way of its own, as one in virtual
// time does.
type Waiter interface {
	Call(ctx context.Context, e Envelope) ([]byte, error)
}

// Call starts a call and waits for its end, or for that of ctx.
func Call(ctx context.Context, b Bus, e Envelope) ([]byte, error) {
	if w, own := b.(Waiter); own {
		reply, err := w.Call(ctx, e)
		if err != nil {
			err = fmt.Errorf("call %s of %s: %w", e.Method, e.Topic, err)
		}
		return reply, err
	}
	type outcome struct {
		reply []byte
		err   error
	}
	ended := make(chan outcome, 1)
	b.Start(e, func(reply []byte, err error) { ended <- outcome{reply, err} })
	select {
	case o := <-ended:
		if o.err != nil {
			return nil, fmt.Errorf("call %s of %s: %w", e.Method, e.Topic, o.err)
		}
		return o.reply, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("call %s of %s: %w", e.Method, e.Topic, ctx.Err())
	}
}
