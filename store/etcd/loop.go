package etcd

import (
	"context"
	"time"
)

// keep renews a presence, and announces it again, until it or the store is
// closed. The store's open is held.
func (s *Store) keep(p *Presence) {
	ctx, end := context.WithCancel(s.client.Ctx())
	p.end = end
	pause := time.NewTimer(p.ttl / renewals)
	s.keepers.Go(func() {
		defer close(p.done)
		defer end()
		defer pause.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-pause.C:
				pause.Reset(p.again(ctx))
			}
		}
	})
}

// again does a step and returns after which time the next one is due.
func (p *Presence) again(ctx context.Context) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, p.s.timeout)
	defer cancel()
	if p.lock(ctx) != nil {
		return 0 // somebody else does one
	}
	defer p.unlock()
	if p.closed {
		return p.ttl // it is about to end
	}
	if p.step(ctx) != nil {
		return min(p.ttl/pauses, reconnectMax)
	}
	return p.ttl / renewals
}
