package etcdtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
)

// Link is the network between one client and the members: a TCP proxy in front
// of each.
type Link struct {
	listeners []net.Listener

	mu    sync.Mutex
	gate  chan struct{} // closed: bytes pass
	shut  bool          // new connections are refused
	ended bool
	conns map[net.Conn]struct{}
}

// NewLink makes a link to every endpoint, open. It takes connections until ctx
// ends.
func NewLink(ctx context.Context, endpoints []string) (*Link, error) {
	l := &Link{gate: make(chan struct{}), conns: map[net.Conn]struct{}{}}
	close(l.gate)
	for _, target := range endpoints {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, errors.Join(fmt.Errorf("link to %s: %w", target, err), l.Close())
		}
		l.listeners = append(l.listeners, listener)
		l.serve(ctx, listener, target)
	}
	return l, nil
}

// Endpoints returns what the client connects to instead, in the order of the
// endpoints.
func (l *Link) Endpoints() (out []string) {
	for _, listener := range l.listeners {
		out = append(out, listener.Addr().String())
	}
	return out
}

// Drop ends every connection and refuses new ones.
func (l *Link) Drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = true
	l.dropAll()
}

// Stall keeps connections, takes new ones, and lets nothing through: what is
// on its way arrives after Heal.
func (l *Link) Stall() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open() {
		l.gate = make(chan struct{})
	}
}

// Heal ends Drop and Stall.
func (l *Link) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shut = false
	if !l.open() {
		close(l.gate)
	}
}

// Close ends every connection and the link.
func (l *Link) Close() error {
	l.Heal()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	var errs []error
	for _, listener := range l.listeners {
		errs = append(errs, listener.Close())
	}
	l.dropAll()
	return errors.Join(errs...)
}

func (l *Link) open() bool {
	select {
	case <-l.gate:
		return true
	default:
		return false
	}
}

// dropAll ends every connection; mu is held.
func (l *Link) dropAll() {
	for c := range l.conns {
		_ = c.Close() // the other end notices
	}
	clear(l.conns)
}

// keep notes a connection, or ends it when none is allowed.
func (l *Link) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut || l.ended {
		_ = c.Close()
		return false
	}
	l.conns[c] = struct{}{}
	return true
}

func (l *Link) lose(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = c.Close()
	delete(l.conns, c)
}

// pass returns when bytes may pass.
func (l *Link) pass() {
	l.mu.Lock()
	gate := l.gate
	l.mu.Unlock()
	<-gate
}

// copyTo hands what in says to out, until one of them ends.
func (l *Link) copyTo(out, in net.Conn) {
	defer l.lose(in)
	defer l.lose(out)
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		l.pass()
		if n > 0 {
			if _, err := out.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
