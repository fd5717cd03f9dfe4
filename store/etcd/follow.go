package etcd

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

// Follow implements [store.Store]. It also ends, with an error that says so,
// when the member that it reads from has lost its leader or falls silent:
// follow again from there.
func (s *Store) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		ctx, cancel := context.WithCancelCause(clientv3.WithRequireLeader(ctx))
		defer cancel(nil)
		if s.client.Ctx().Err() != nil {
			yield(store.Event{}, store.ErrClosed)
			return
		}
		silence := time.AfterFunc(s.timeout, func() { cancel(fmt.Errorf("nothing heard for %v", s.timeout)) })
		defer silence.Stop()
		wanted, forget := s.listen()
		defer forget()
		// A server sends no progress mark to a watch that starts beyond the
		// present revision, so this one starts at what is known already.
		watch := s.client.Watch(ctx, string(s.keys), clientv3.WithPrefix(), clientv3.WithRev(int64(max(after, 1))))
		wait := idle
		quiet := time.NewTimer(wait)
		defer quiet.Stop()
		for {
			select {
			case res, ok := <-watch:
				if silence.Stop(); !ok {
					yield(store.Event{}, s.ended(ctx, context.Canceled))
					return
				}
				if !s.yieldAll(ctx, res, &after, yield) {
					return
				}
				silence.Reset(s.timeout)
				if wait = idle; s.latest.Load() > after {
					wait = soon // it is behind, or not all watches were in step
				}
			case <-wanted:
				if wait = idle; s.latest.Load() > after {
					wait = soon
					_ = s.client.RequestProgress(ctx) // a failure ends the watch as well
				}
			case <-quiet.C:
				wait = min(2*wait, idle)
				_ = s.client.RequestProgress(ctx)
			}
			quiet.Reset(wait)
		}
	}
}

// Latest implements [store.Shared]: a read that a majority answers for. What
// follows then asks for a progress mark.
func (s *Store) Latest(ctx context.Context) (uint64, error) {
	res, err := s.client.Get(ctx, s.keys.format(), clientv3.WithKeysOnly())
	if err != nil {
		return 0, s.ended(ctx, err)
	}
	revision := uint64(res.Header.Revision)
	for old := s.latest.Load(); old < revision && !s.latest.CompareAndSwap(old, revision); {
		old = s.latest.Load()
	}
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	for l := range s.listeners {
		select {
		case l <- struct{}{}:
		default: // it will look
		}
	}
	return revision, nil
}

// listen returns a channel that has something when Latest has been called.
func (s *Store) listen() (wanted <-chan struct{}, forget func()) {
	l := make(chan struct{}, 1)
	s.listenMu.Lock()
	defer s.listenMu.Unlock()
	s.listeners[l] = struct{}{}
	return l, func() {
		s.listenMu.Lock()
		defer s.listenMu.Unlock()
		delete(s.listeners, l)
	}
}

// yieldAll yields what a response tells, and reports whether to go on.
func (s *Store) yieldAll(ctx context.Context, res clientv3.WatchResponse, after *uint64, yield func(store.Event, error) bool) bool {
	if err := res.Err(); err != nil {
		yield(store.Event{}, s.ended(ctx, err))
		return false
	}
	if rev := uint64(res.Header.Revision); res.IsProgressNotify() && rev >= *after {
		*after = rev
		return yield(store.Event{Revision: rev}, nil)
	}
	for events := res.Events; len(events) > 0; {
		n := 1
		for n < len(events) && events[n].Kv.ModRevision == events[0].Kv.ModRevision {
			n++
		}
		ev, err := s.event(events[:n])
		if err != nil {
			yield(store.Event{}, err)
			return false
		}
		events = events[n:]
		if ev.ID == (store.BatchID{}) || ev.Revision <= *after {
			continue // the format, the end of a lease, or known
		}
		*after = ev.Revision
		if !yield(ev, nil) {
			return false
		}
	}
	return true
}

// event is the batch that made the changes of one revision, or no batch.
func (s *Store) event(changes []*clientv3.Event) (store.Event, error) {
	ev := store.Event{Revision: uint64(changes[0].Kv.ModRevision)}
	records, batches := []byte(s.keys.records()), []byte(s.keys.batches())
	for _, c := range changes {
		if c.Type != clientv3.EventTypePut {
			continue // the batch's key names what it deletes
		}
		if id, ok := bytes.CutPrefix(c.Kv.Key, batches); ok {
			if copy(ev.ID[:], id) != len(ev.ID) || len(id) != len(ev.ID) {
				return ev, fmt.Errorf("batch key %x: %w", id, store.ErrDamaged)
			}
			if err := decodeBatch(&ev, c.Kv.Value); err != nil {
				return ev, err
			}
			continue
		}
		if !bytes.HasPrefix(c.Kv.Key, records) {
			continue
		}
		k, err := s.keys.parse(c.Kv.Key)
		if err != nil {
			return ev, err
		}
		r, err := decode(k, c.Kv.Value)
		if err != nil {
			return ev, err
		}
		ev.Puts = append(ev.Puts, store.Put{Key: k, Value: r.Value})
	}
	return ev, nil
}
