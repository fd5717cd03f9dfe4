package rabbit

import (
	"errors"
	"net"
	"sync"
)

// pipe is a connection whose Write does not wait: what is written is kept, and
// goes out from a goroutine of its own, as much at once as there is. So a
// broker that reads nothing, paused or short of memory, holds up nobody.
type pipe struct {
	net.Conn
	wake chan struct{}

	mu      sync.Mutex
	kept    []byte
	sending int // bytes that are going out
	closed  bool
}

const (
	pipeFull  = 4 << 20  // bytes kept, from which on no message is taken
	pipeLimit = 64 << 20 // bytes kept, at which the connection is given up
	pipeReuse = 64 << 10 // bytes of the largest buffer that is used again
)

var errPipeLimit = errors.New("the broker reads nothing")

func newPipe(conn net.Conn) *pipe {
	p := &pipe{Conn: conn, wake: make(chan struct{}, 1)}
	p.start()
	return p
}

// Write is that of [net.Conn], but for not waiting.
func (p *pipe) Write(data []byte) (int, error) {
	p.mu.Lock()
	switch {
	case p.closed:
		p.mu.Unlock()
		return 0, net.ErrClosed
	case len(p.kept)+len(data) > pipeLimit:
		p.mu.Unlock()
		return 0, errPipeLimit
	}
	p.kept = append(p.kept, data...)
	p.mu.Unlock()
	p.signal()
	return len(data), nil
}

func (p *pipe) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// full reports whether so much is kept that no message is to be added.
func (p *pipe) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.kept)+p.sending > pipeFull
}

// take returns what is kept, for which buffer is used later.
func (p *pipe) take(buffer []byte) (data []byte, closed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if cap(buffer) > pipeReuse {
		buffer = nil
	}
	data, p.kept = p.kept, buffer[:0]
	p.sending = len(data)
	return data, p.closed
}

// Close sends what is kept, for half a second at most, and closes.
func (p *pipe) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.hurry()
	p.signal()
	return nil
}
