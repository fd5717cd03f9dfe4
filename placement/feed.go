package placement

import (
	"context"
	"fmt"
	"sync"
)

// ChangeKind says what of a subject changed.
type ChangeKind uint8

// What the change feed reports.
const (
	ChangeAllocations ChangeKind = iota + 1 // usage, generation or update time of Provider
	ChangeDefinition                        // name, parent, inventories, traits or aggregates of Provider
	ChangeRemoved                           // Provider is gone
	ChangeGuard                             // the guard Key
	ChangeAttachment                        // the attachment Key
)

// Change is one entry of the change feed. It says what to look at again, not
// what it became: reading it gives the present state, which may be newer.
type Change struct {
	Seq      uint64
	Kind     ChangeKind
	Provider UUID
	Root     UUID // of the provider's tree, at the time of the change
	Key      string
}

// A feed is a ring of the latest changes.
type feed struct {
	mu   sync.Mutex
	ring []Change
	next uint64        // the next change gets this number; the first is 1
	wake chan struct{} // closed when there is more; nil: nobody waits
}

func newFeed(size int) *feed { return &feed{ring: make([]Change, size), next: 1} }

func (f *feed) add(kind ChangeKind, provider, root UUID) {
	f.push(Change{Kind: kind, Provider: provider, Root: root})
}

func (f *feed) addKey(kind ChangeKind, key string) { f.push(Change{Kind: kind, Key: key}) }

func (f *feed) push(c Change) {
	f.mu.Lock()
	c.Seq = f.next
	f.ring[f.next%uint64(len(f.ring))] = c
	f.next++
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
	f.mu.Unlock()
}

// restart makes everyone load again: no change after any number that was given
// out is known any more.
func (f *feed) restart() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next += uint64(len(f.ring)) + 1
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// LastChange returns the number of the newest change. Read it before taking
// a snapshot of one's own, and follow the feed from there.
func (e *Engine) LastChange() uint64 {
	e.feed.mu.Lock()
	defer e.feed.mu.Unlock()
	return e.feed.next - 1
}

// Changes copies changes after number after into buf, oldest first, and
// returns how many. None is not an error. It returns [ErrTooFarBehind] when
// the ring no longer has them all, and after the engine had to load its store
// again.
func (e *Engine) Changes(after uint64, buf []Change) (int, error) {
	f := e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if after < f.next && f.next-after > uint64(len(f.ring))+1 {
		return 0, fmt.Errorf("changes after %d, the ring starts at %d: %w", after, f.next-uint64(len(f.ring)), ErrTooFarBehind)
	}
	n := 0
	for seq := after; seq < f.next-1 && n < len(buf); n++ {
		seq++
		buf[n] = f.ring[seq%uint64(len(f.ring))]
	}
	return n, nil
}

// WaitChange blocks until there is a change after number after, or ctx ends.
func (e *Engine) WaitChange(ctx context.Context, after uint64) error {
	f := e.feed
	f.mu.Lock()
	if f.next-1 > after {
		f.mu.Unlock()
		return nil
	}
	if f.wake == nil {
		f.wake = make(chan struct{})
	}
	wake := f.wake
	f.mu.Unlock()
	select {
	case <-wake:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
