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

// Follow implements [store.Store]. It also ends, with etcd's error, when the
// member that it reads from has lost its leader: follow again from there.
func (s *Store) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
		defer cancel()
		if s.client.Ctx().Err() != nil {
			yield(store.Event{}, store.ErrClosed)
			return
		}
		// A server sends no progress mark to a watch that starts beyond the
		// present revision, so this one starts at what is known already.
		watch := s.client.Watch(ctx, string(s.keys), clientv3.WithPrefix(), clientv3.WithRev(int64(max(after, 1))))
		quiet := time.NewTimer(idle)
		defer quiet.Stop()
		for {
			select {
			case res, ok := <-watch:
				if !ok {
					yield(store.Event{}, s.ended(ctx, context.Canceled))
					return
				}
				if !s.yieldAll(ctx, res, &after, yield) {
					return
				}
			case <-quiet.C: // a failure here ends the watch as well
				_ = s.client.RequestProgress(ctx)
			}
			quiet.Reset(idle)
		}
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
