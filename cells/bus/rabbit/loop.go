package rabbit

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

const (
	openTimeout = 10 * time.Second // to connect to one broker
	moment      = time.Second      // for what is polite, not necessary
	linger      = 500 * time.Millisecond
)

// start keeps the bus connected until ctx ends.
func (b *Bus) start(ctx context.Context, d dialer) {
	hosts := append([]Host(nil), b.cfg.URL.Hosts...)
	rand.Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	go func() {
		defer close(b.ended)
		failed := 0
		for at := 0; ctx.Err() == nil; at++ {
			if b.cfg.Options.Shuffle {
				at = rand.IntN(len(hosts))
			}
			host := hosts[at%len(hosts)]
			s, err := openWithin(ctx, d, host)
			if err != nil {
				failed++
				err = fmt.Errorf("connect to %s: %w", host.Address(), err)
				b.away(err)
				b.cfg.Observe.Tell(bus.Event{Kind: bus.ConnectFailed, Detail: host.Address(), Err: err})
				if failed%len(hosts) != 0 {
					continue // the next broker at once
				}
			} else {
				failed = 0
				b.cfg.Observe.Tell(bus.Event{Kind: bus.Connected, Detail: host.Address()})
				err = b.attend(ctx, s)
				b.cfg.Observe.Tell(bus.Event{Kind: bus.Disconnected, Detail: host.Address(), Err: err})
			}
			sleep(ctx, b.cfg.Options.Delay(failed/len(hosts), rand.Float64))
		}
	}()
}

// away notes why there is no session, unless the bus was closed.
func (b *Bus) away(why error) {
	before := b.why.Load()
	if !errors.Is(*before, bus.ErrClosed) {
		b.why.CompareAndSwap(before, &why)
	}
}

func openWithin(ctx context.Context, d dialer, host Host) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return d.open(ctx, host)
}

// attend uses a session until it is lost, for which it returns the reason, or
// ctx ends.
func (b *Bus) attend(ctx context.Context, s *session) error {
	var all sync.WaitGroup
	all.Go(func() { b.answers(s) })
	all.Go(func() { b.unheard(s) })
	all.Go(func() { b.flow(s) })
	b.mu.Lock()
	b.session.Store(s)
	topics := make([]*topic, 0, len(b.topics))
	for _, t := range b.topics {
		topics = append(topics, t)
	}
	b.mu.Unlock()
	for _, t := range topics {
		b.listen(s, t)
	}
	why := bus.ErrClosed
	select {
	case err := <-s.lost:
		why = fmt.Errorf("%w: %s", bus.ErrLost, reason(err))
	case err := <-s.broken:
		why = fmt.Errorf("%w: channel: %s", bus.ErrLost, reason(err))
	case <-ctx.Done():
	}
	b.away(why)
	b.session.Store(nil)
	close(s.ended)
	b.pending.EndAll(why)
	_ = s.conn.CloseDeadline(time.Now().Add(moment))
	_ = s.pipe.Close()
	all.Wait()
	return why
}

// listen lets t consume in s, again whenever the broker ends that, and returns
// what is closed when messages arrive.
func (b *Bus) listen(s *session, t *topic) (listening <-chan struct{}) {
	up := make(chan struct{})
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.session == s { // Handle and attend came at the same time
		return t.up
	}
	over := make(chan struct{})
	t.session, t.up, t.running = s, up, over
	go func() {
		defer close(over)
		var once sync.Once
		for failed := 0; ; failed++ {
			began := time.Now()
			err := b.consume(s, t, func() { once.Do(func() { close(up) }) })
			if done(s.ended) || done(t.stopped) || s.conn.IsClosed() {
				return
			}
			b.cfg.Observe.Tell(bus.Event{Kind: bus.ConsumeFailed, Topic: t.name, Err: err})
			if time.Since(began) > b.cfg.Options.IntervalMax {
				failed = 0
			}
			select {
			case <-s.ended:
			case <-t.stopped:
			case <-time.After(b.cfg.Options.Delay(failed, rand.Float64)):
			}
		}
	}()
	return up
}

func done(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

func waitAMoment(c <-chan struct{}) {
	timer := time.NewTimer(moment)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c:
	}
}

// start sends what is written to the pipe.
func (p *pipe) start() {
	go func() {
		var buffer []byte
		for range p.wake {
			data, closed := p.take(buffer)
			_, err := p.Conn.Write(data)
			if err != nil || closed {
				p.mu.Lock()
				p.closed, p.sending, p.kept = true, 0, nil
				p.mu.Unlock()
				_ = p.Conn.Close()
				return
			}
			buffer = data
			p.mu.Lock()
			p.sending = 0
			p.mu.Unlock()
		}
	}()
}

// hurry lets what is being sent end soon.
func (p *pipe) hurry() { _ = p.SetWriteDeadline(time.Now().Add(linger)) }
