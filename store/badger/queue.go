package badger

import (
	"fmt"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
)

// request is one Commit on its way through the committing goroutine. The
// caller prepares everything that needs no knowledge of the records, because
// callers are many and the committing goroutine is one.
type request struct {
	batch   store.Batch // its lists are the request's own
	payload []byte      // of the frame
	hashes  []keyHash   // of Expect, Puts and Deletes, in this order
	result  store.Result
	err     error
	settled bool          // the result stays true when this group's write fails
	done    chan struct{} // receives once result and err are set
}

// prepare fills r for batch b.
func (r *request) prepare(b store.Batch, h hasher) {
	b.Expect, b.Puts, b.Deletes = slices.Clone(b.Expect), slices.Clone(b.Puts), slices.Clone(b.Deletes)
	r.batch, r.result, r.err, r.settled = b, store.Result{}, nil, false
	r.payload = appendPayload(r.payload[:0], &b)
	r.hashes = r.hashes[:0]
	for i := range b.Expect {
		r.hashes = append(r.hashes, h.key(b.Expect[i].Key))
	}
	for i := range b.Puts {
		r.hashes = append(r.hashes, h.key(b.Puts[i].Key))
	}
	for _, k := range b.Deletes {
		r.hashes = append(r.hashes, h.key(k))
	}
}

func (r *request) expectHashes() []keyHash { return r.hashes[:len(r.batch.Expect)] }

func (r *request) putHashes() []keyHash {
	return r.hashes[len(r.batch.Expect):][:len(r.batch.Puts)]
}

func (r *request) deleteHashes() []keyHash {
	return r.hashes[len(r.batch.Expect)+len(r.batch.Puts):]
}

// queue is where commits wait for the committing goroutine.
type queue struct {
	kick chan struct{} // holds one while requests wait; closed with the queue

	mu      sync.Mutex
	waiting []*request
	closed  bool
}

func newQueue() *queue { return &queue{kick: make(chan struct{}, 1)} }

func (q *queue) put(r *request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return fmt.Errorf("commit batch %x: %w", r.batch.ID, store.ErrClosed)
	}
	q.waiting = append(q.waiting, r)
	select {
	case q.kick <- struct{}{}:
	default:
	}
	return nil
}

// take returns the requests that wait, in order, as many as make one group.
// It reuses group.
func (q *queue) take(group []*request) []*request {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, size := 0, 0
	for n < len(q.waiting) && (n == 0 || size+len(q.waiting[n].payload) <= groupBytes) {
		size += len(q.waiting[n].payload)
		n++
	}
	group = append(group[:0], q.waiting[:n]...)
	rest := copy(q.waiting, q.waiting[n:])
	clear(q.waiting[rest:])
	q.waiting = q.waiting[:rest]
	return group
}

// close refuses further requests and reports whether it was the first to.
func (q *queue) close() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.closed = true
	close(q.kick)
	return true
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
