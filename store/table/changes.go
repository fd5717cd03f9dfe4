package table

import (
	"context"
	"fmt"
	"iter"
	"sync"
)

// historyLength is how many revisions of changes are held for Watch.
const historyLength = 1 << 16

// Change says that a row was written or deleted.
type Change struct {
	Table   string
	Key     string
	Deleted bool
}

// Changes is what one committed batch changed.
type Changes struct {
	Revision uint64
	Rows     []Change
}

// history holds the newest changes, in a ring.
type history struct {
	ring  []Changes
	next  int
	since uint64 // changes after this revision are held
}

func (h *history) restart(revision uint64) { *h = history{since: revision} }

func (h *history) add(c Changes) {
	switch {
	case len(c.Rows) == 0:
	case len(h.ring) < historyLength:
		h.ring = append(h.ring, c)
	default:
		h.since = h.ring[h.next].Revision
		h.ring[h.next] = c
		h.next = (h.next + 1) % historyLength
	}
}

// after appends to buf the oldest changes after a revision, as many as fit.
func (h *history) after(revision uint64, buf []Changes) []Changes {
	n := len(h.ring)
	low, high := 0, n // the first one after it
	for low < high {
		mid := (low + high) / 2
		if h.ring[(h.next+mid)%n].Revision > revision {
			high = mid
		} else {
			low = mid + 1
		}
	}
	for ; low < n && len(buf) < cap(buf); low++ {
		buf = append(buf, h.ring[(h.next+low)%n])
	}
	return buf
}

// Watch yields what is changed after a revision, which [Tx.Revision] gives:
// every revision once, in order, after it is visible. It ends with the error
// of ctx, with [ErrTooFarBehind], or with why the database has stopped.
func (db *DB) Watch(ctx context.Context, after uint64) iter.Seq2[Changes, error] {
	return func(yield func(Changes, error) bool) {
		buf := make([]Changes, 0, 64)
		for {
			moved := db.moved.wait()
			found, err := db.changesAfter(after, buf[:0])
			if err != nil {
				yield(Changes{}, err)
				return
			}
			for _, c := range found {
				if !yield(c, nil) {
					return
				}
				after = c.Revision
			}
			if len(found) > 0 {
				continue
			}
			select {
			case <-moved:
			case <-ctx.Done():
				yield(Changes{}, ctx.Err())
				return
			}
		}
	}
}

func (db *DB) changesAfter(revision uint64, buf []Changes) ([]Changes, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if revision < db.changes.since {
		return nil, fmt.Errorf("watch after revision %d, held are changes after %d: %w", revision, db.changes.since, ErrTooFarBehind)
	}
	buf = db.changes.after(revision, buf)
	if len(buf) == 0 && db.failed != nil {
		return nil, db.failed
	}
	return buf, nil
}

// at returns the revision that is visible.
func (db *DB) at() uint64 {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.revision
}

// progress notes that everything up to a revision is visible.
func (db *DB) progress(revision uint64) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if revision > db.revision {
		db.revision = revision
		db.moved.fire()
	}
}

// reach waits until a revision is visible.
func (db *DB) reach(ctx context.Context, revision uint64) error {
	for {
		moved := db.moved.wait()
		if err := db.Err(); err != nil || db.at() >= revision {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("wait for revision %d: %w", revision, ctx.Err())
		}
	}
}

// signal wakes all who wait.
type signal struct {
	mu sync.Mutex
	ch chan struct{} // nil while nobody waits
}

// wait returns a channel that is closed by the next fire. Who looks whether
// there is something to wait for looks after the call.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch == nil {
		s.ch = make(chan struct{})
	}
	return s.ch
}

func (s *signal) fire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ch != nil {
		close(s.ch)
		s.ch = nil
	}
}
