// Package feed keeps the recent history of a store that lives in one process:
// the last committed batches, who they were, and readers that follow them.
//
// [Ring] is its only type. Revisions in a ring are contiguous. It is safe for
// concurrent use.
//
//	r := feed.New(65536, 0, revision)
//	r.Append(event)
//	for event, err := range r.Follow(ctx, after) { ... }
package feed

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
)

// chunk is how many events a follower takes under one lock.
const chunk = 64

// Ring holds the newest events of a store and the IDs of their batches.
type Ring struct {
	batches int // events and IDs kept
	bytes   int // of keys and values in the events kept; 0: no bound

	mu     sync.Mutex
	last   uint64
	events queue[store.Event]
	held   int // bytes in events
	ids    queue[store.BatchID]
	byID   map[store.BatchID]uint64
	wake   chan struct{} // closed at the next change; nil while nobody waits
	closed bool
}

// New returns a ring that continues after revision last. It keeps at least
// one event and at most batches of them and, beyond the newest one, at most
// bytes of keys and values (0: no bound). IDs are kept for batches revisions.
func New(batches, bytes int, last uint64) *Ring {
	return &Ring{batches: max(batches, 1), bytes: bytes, last: last, byID: map[store.BatchID]uint64{}}
}

// Append adds the events of the next revisions, in order.
func (r *Ring) Append(events ...store.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range events {
		r.last = e.Revision
		r.events.push(e)
		r.held += size(e)
		r.ids.push(e.ID)
		r.byID[e.ID] = e.Revision
	}
	r.trim()
	r.wakeAll()
}

func (r *Ring) trim() {
	for r.events.len() > r.batches || (r.bytes > 0 && r.held > r.bytes && r.events.len() > 1) {
		r.held -= size(r.events.pop())
	}
	for r.ids.len() > r.batches {
		first := r.last - uint64(r.ids.len()) + 1
		if id := r.ids.pop(); r.byID[id] == first {
			delete(r.byID, id)
		}
	}
}

// Revision returns the revision at which batch id was committed, if it is
// still remembered.
func (r *Ring) Revision(id store.BatchID) (uint64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rev, ok := r.byID[id]
	return rev, ok
}

// Event returns the event of revision rev, if it is still held.
func (r *Ring) Event(rev uint64) (store.Event, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.last - uint64(r.events.len()) + 1
	if rev < oldest || rev > r.last {
		return store.Event{}, false
	}
	return r.events.at(int(rev - oldest)), true
}

// Last returns the newest revision.
func (r *Ring) Last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Close ends every Follow once it has yielded what was appended before.
func (r *Ring) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wakeAll()
}

func (r *Ring) wakeAll() {
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

// Follow implements [store.Store]. It yields a progress mark each time it has
// caught up. A revision that is still to come is answered like one that is
// gone: it belongs to another history.
func (r *Ring) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		var buf []store.Event
		marked := false
		for {
			events, wake, err := r.next(after, buf[:0])
			if err == nil {
				err = ctx.Err()
			}
			switch {
			case err != nil:
				yield(store.Event{}, fmt.Errorf("follow after revision %d: %w", after, err))
				return
			case len(events) == 0 && !marked:
				marked = true
				if !yield(store.Event{Revision: after}, nil) {
					return
				}
			case len(events) == 0:
				select {
				case <-wake:
				case <-ctx.Done():
				}
			}
			for _, e := range events {
				after, marked = e.Revision, false
				if !yield(e, nil) {
					return
				}
			}
			clear(events) // lets go of values that the ring has dropped
			buf = events
		}
	}
}

// next appends to buf the events that follow revision after. When there are
// none it returns a channel that is closed at the next change.
func (r *Ring) next(after uint64, buf []store.Event) ([]store.Event, <-chan struct{}, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	oldest := r.last - uint64(r.events.len()) + 1
	switch {
	case after > r.last || after+1 < oldest:
		return buf, nil, fmt.Errorf("history holds revisions %d to %d: %w", oldest, r.last, store.ErrCompacted)
	case after < r.last:
		from := int(after + 1 - oldest)
		for i := from; i < min(from+chunk, r.events.len()); i++ {
			buf = append(buf, r.events.at(i))
		}
		return buf, nil, nil
	case r.closed:
		return buf, nil, store.ErrClosed
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return buf, r.wake, nil
}

func size(e store.Event) int {
	n := 0
	for i := range e.Puts {
		n += len(e.Puts[i].Key.ID) + len(e.Puts[i].Value)
	}
	for _, k := range e.Deletes {
		n += len(k.ID)
	}
	return n
}
