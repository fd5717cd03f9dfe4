package placement

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// DefaultStaleAfter is how old the world of an engine may be before it says
// so, see [Config].
const DefaultStaleAfter = 2 * time.Second

// A freshness says how far an engine has come with what others write to its
// store, and has readers wait for more.
type freshness struct {
	shared store.Shared  // nil: nobody else writes
	kick   chan struct{} // wakes the loop that asks the store

	mu      sync.Mutex
	applied uint64        // all batches up to this revision are visible
	moved   chan struct{} // closed when applied grows; nil: nobody waits
	asOf    time.Time     // all that was committed before is visible
	due     [2]asked      // the oldest question whose answer is not applied yet, and the newest
	trouble error         // the latest since asOf
	next    *readIndex    // of those who came after the last question; nil: nobody did
	ended   error
}

// asked is when the store was asked for its latest revision, and its answer.
type asked struct {
	at       time.Time
	revision uint64
}

// readIndex is one question to the store, for all who wait for its answer.
type readIndex struct {
	done     chan struct{}
	revision uint64
	err      error
}

// Shared reports whether other engines may write to the store.
func (e *Engine) Shared() bool { return e.fresh.shared != nil }

// Fresh returns when everything that was committed before the call is visible
// here, whichever engine wrote it. At an engine that has its store for itself
// that is at once. Calls that come while the store is being asked share the
// next question. It returns [ErrStale] with the cause when ctx ends first,
// and [ErrClosed].
func (e *Engine) Fresh(ctx context.Context) error {
	f := &e.fresh
	if f.shared == nil {
		return nil
	}
	for {
		r, err := f.join()
		if err != nil {
			return err
		}
		if e.wait(ctx, 0, r.done, nil) == stopWaiting {
			return f.late(ctx)
		}
		if r.err == nil {
			return e.reach(ctx, r.revision)
		}
	}
}

// Staleness returns how old at most what the engine shows is: all that was
// committed until then is visible. It returns [ErrStale] with the cause when
// that is more than Config.StaleAfter. It is 0 at an engine that has its store
// for itself.
func (e *Engine) Staleness() (time.Duration, error) {
	f := &e.fresh
	if f.shared == nil {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	age := max(0, e.cfg.Now().Sub(f.asOf))
	if age <= e.cfg.StaleAfter {
		return age, nil
	}
	if f.trouble == nil {
		return age, fmt.Errorf("%w: what others wrote in the last %v may be missing", ErrStale, age.Round(time.Millisecond))
	}
	return age, fmt.Errorf("%w: what others wrote in the last %v may be missing: %w", ErrStale, age.Round(time.Millisecond), f.trouble)
}

// late is why a reader gets no answer in its time.
func (f *freshness) late(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.trouble == nil {
		return fmt.Errorf("%w: %w", ErrStale, ctx.Err())
	}
	return fmt.Errorf("%w: %w: %w", ErrStale, ctx.Err(), f.trouble)
}

// join returns the question that is asked next.
func (f *freshness) join() (*readIndex, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		return nil, f.ended
	}
	if f.next == nil {
		f.next = &readIndex{done: make(chan struct{})}
		select {
		case f.kick <- struct{}{}:
		default:
		}
	}
	return f.next, nil
}

// begin takes the question that others have joined; who comes later gets
// another. It is nil when nobody waits.
func (f *freshness) begin() *readIndex {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.next
	f.next = nil
	return r
}

// answer ends a question, which may be nil.
func (f *freshness) answer(r *readIndex, a asked, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.trouble = err
	} else {
		if f.due[0].revision == 0 {
			f.due[0] = a
		}
		f.due[1] = a
		f.settle()
	}
	if r != nil {
		r.revision, r.err = a.revision, err
		close(r.done)
	}
}

// reach waits until revision is applied.
func (e *Engine) reach(ctx context.Context, revision uint64) error {
	f := &e.fresh
	for {
		f.mu.Lock()
		applied, err := f.applied, f.ended
		if f.moved == nil {
			f.moved = make(chan struct{})
		}
		moved := f.moved
		f.mu.Unlock()
		if applied >= revision || err != nil {
			return err
		}
		if e.wait(ctx, 0, moved, nil) == stopWaiting {
			return f.late(ctx)
		}
	}
}

// advance notes that all up to revision is visible.
func (f *freshness) advance(revision uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = revision
	f.settle()
	f.wake()
}

// settle moves asOf to the newest question whose answer is applied. Answers
// that come faster than they are applied do not hold it back. mu is held.
func (f *freshness) settle() {
	for k := range f.due {
		if d := f.due[k]; d.revision != 0 && d.revision <= f.applied {
			f.asOf, f.trouble = d.at, nil
			f.due[k] = asked{}
		}
	}
	if f.due[0].revision == 0 {
		f.due[0] = f.due[1]
	}
}

func (f *freshness) wake() {
	if f.moved != nil {
		close(f.moved)
		f.moved = nil
	}
}

// interrupted notes why the feed ended.
func (f *freshness) interrupted(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trouble = err
}

// end refuses those who wait, now and later.
func (f *freshness) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended != nil {
		return
	}
	f.ended = err
	if f.next != nil {
		f.next.err = err
		close(f.next.done)
		f.next = nil
	}
	f.wake()
}
