package work

import (
	"fmt"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
)

// Pending is the calls under way. Each ends once: by [Pending.End], by its
// timeout, or with all others. It is safe for concurrent use.
type Pending struct {
	mu    sync.Mutex
	calls map[uint64]call
	last  uint64
}

type call struct {
	done func([]byte, error)
	stop func() bool // its timer
}

// Add returns the key of a new call, which ends with [bus.ErrTimeout] after so
// long.
func (p *Pending) Add(timeout time.Duration, done func([]byte, error)) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.calls == nil {
		p.calls = map[uint64]call{}
	}
	p.last++
	key := p.last
	p.calls[key] = call{done: done, stop: after(timeout, func() { p.End(key, nil, fmt.Errorf("%w: %s", bus.ErrTimeout, timeout)) })}
	return key
}

// End ends a call; nothing happens if it has ended before.
func (p *Pending) End(key uint64, reply []byte, err error) {
	p.mu.Lock()
	c, waits := p.calls[key]
	delete(p.calls, key)
	p.mu.Unlock()
	if waits {
		c.stop()
		c.done(reply, err)
	}
}

// EndAll ends all calls with err.
func (p *Pending) EndAll(err error) {
	p.mu.Lock()
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	for _, c := range calls {
		c.stop()
		c.done(nil, err)
	}
}
