package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

// ErrTaken says that somebody else is announced under the name.
var ErrTaken = errors.New("the name is taken")

const (
	shortestTTL = time.Second
	longestTTL  = 24 * time.Hour
	renewals    = 3  // in the time that a lease lives
	parts       = 5  // one of which a renewal may take
	pauses      = 10 // one of which is between what failed and the next try
)

// Presence is a name that a process holds as long as it lives, until Close. It
// is safe for concurrent use.
type Presence struct {
	s    *Store
	name string
	end  context.CancelFunc
	done chan struct{} // closed when the keeper has ended

	turn     chan struct{} // has room for the one who uses what follows, and talks to etcd
	ttl      time.Duration // of leases: what is asked for, then what the cluster gives
	value    []byte
	lease    clientv3.LeaseID
	revision int64 // of the key as it was last seen under the lease; 0: not at all
	there    bool  // the key stands under the lease
	current  bool  // and holds value
	closed   bool

	mu    sync.Mutex
	until time.Time // when others may see it gone
}

// Announce makes a name known to everybody at [Store.Present], with a value,
// and keeps it so in the background until [Presence.Close]: it goes ttl after
// the process died, or after the store was closed. The cluster's leases live
// whole seconds and not less than 1.5 election timeouts, 2 s as it comes; a
// shorter ttl is lengthened. Keeping a name writes nothing. A lease that ended
// because etcd could not be reached is replaced when it can be, and the name
// announced again with the value that it has then.
//
// The name has 1 to Limits().KeyBytes bytes, the value at most Limits().Bytes,
// and ttl is 1 s to 24 h; otherwise Announce returns [store.ErrInvalid]. It
// returns [ErrTaken], saying for how long, when the name is announced, be it
// by an earlier process of the same owner whose lease has yet to end. It gives
// up after the request timeout. The presence owns the value.
func (s *Store) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (*Presence, error) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	if n, most := len(name), limits().KeyBytes; n < 1 || n > most {
		return nil, fmt.Errorf("name of a presence has %d bytes, allowed are 1 to %d: %w", n, most, store.ErrInvalid)
	}
	if ttl < shortestTTL || ttl > longestTTL {
		return nil, fmt.Errorf("ttl of presence %q is %v, allowed are %v to %v: %w", name, ttl, shortestTTL, longestTTL, store.ErrInvalid)
	}
	if err := announceable(name, value); err != nil {
		return nil, err
	}
	p := &Presence{s: s, name: name, ttl: ttl, value: value, turn: make(chan struct{}, 1), done: make(chan struct{})}
	short, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := p.step(short); err != nil {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		_ = p.revoke(late) // otherwise it ends by itself
		return nil, fmt.Errorf("announce %q: %w", name, err)
	}
	s.keep(p) //nolint:contextcheck // it goes on after the call
	return p, nil
}

func announceable(name string, value []byte) error {
	if n, most := len(value), limits().Bytes; n > most {
		return fmt.Errorf("value of presence %q has %d bytes, allowed are %d: %w", name, n, most, store.ErrInvalid)
	}
	return nil
}

// Held reports whether nobody can have seen the presence gone yet. It counts
// from before the last renewal was sent, and turns false when the lease may
// have ended, also while etcd cannot be reached; it is true again once the name
// is announced again. What the owner sends after it asked may still arrive too
// late, and a machine that slept may not have counted the time: where that does
// harm, the receiver has to know who holds the name.
func (p *Presence) Held() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.until)
}

func (p *Presence) hold(until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.until = until
}

// Set changes the value, at most Limits().Bytes, otherwise it returns
// [store.ErrInvalid]. After any other error the value is set later, together
// with the next renewal that succeeds, unless another Set comes before or the
// presence or the store is closed ([store.ErrClosed]). It gives up after the
// request timeout. The presence owns the value.
func (p *Presence) Set(ctx context.Context, value []byte) error {
	if err := announceable(p.name, value); err != nil {
		return err
	}
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("set the value of presence %q: %w", p.name, err)
	}
	defer p.unlock()
	if p.closed {
		return fmt.Errorf("set the value of presence %q: %w", p.name, store.ErrClosed)
	}
	p.value, p.current = value, false
	ctx, cancel := p.s.brief(ctx)
	defer cancel()
	if err := p.step(ctx); err != nil {
		return fmt.Errorf("set the value of presence %q: %w", p.name, err)
	}
	return nil
}

// Close ends the presence; others see it at once. After an error it goes when
// its lease ends, and Close may be called again.
func (p *Presence) Close(ctx context.Context) error {
	p.end()
	ctx, cancel := p.s.brief(ctx)
	defer cancel()
	if err := p.lock(ctx); err != nil {
		return fmt.Errorf("end presence %q: %w", p.name, err)
	}
	defer p.unlock()
	p.closed = true
	p.hold(time.Time{})
	if err := p.revoke(ctx); err != nil {
		return fmt.Errorf("end presence %q: %w", p.name, err)
	}
	<-p.done
	return nil
}

// brief ends with the request timeout, and with the client, which makes some
// calls again after it is closed.
func (s *Store) brief(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	forget := context.AfterFunc(s.client.Ctx(), cancel)
	return ctx, func() { forget(); cancel() }
}

func (p *Presence) lock(ctx context.Context) error {
	select {
	case p.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *Presence) unlock() { <-p.turn }

// step does what is to be done for the presence, and what an earlier step left
// undone: the lease lives, the key stands, and holds the value.
func (p *Presence) step(ctx context.Context) error {
	sent := time.Now()
	if err := p.renew(ctx); err != nil {
		return p.s.failure(ctx, err)
	}
	if p.there {
		p.hold(sent.Add(p.ttl))
	}
	if p.current {
		return nil
	}
	holder, err := p.write(ctx)
	if err != nil {
		return p.s.failure(ctx, err)
	}
	if p.there, p.current = holder == nil, holder == nil; !p.there {
		p.hold(time.Time{})
		return p.s.taken(ctx, holder)
	}
	p.hold(sent.Add(p.ttl))
	return nil
}

// renew makes the lease live for ttl from now, or gets one.
func (p *Presence) renew(ctx context.Context) error {
	if p.lease != clientv3.NoLease {
		err := p.keepAlive(ctx)
		if !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return err
		}
		p.forget()
		p.hold(time.Time{})
	}
	res, err := p.s.client.Grant(ctx, int64((p.ttl+time.Second-1)/time.Second))
	if err != nil {
		return err
	}
	p.lease, p.ttl = res.ID, time.Duration(res.TTL)*time.Second
	return nil
}

// keepAlive asks one member to renew the lease. It leaves time to ask another,
// and a member that knows no leader says so at once. The client's own
// KeepAliveOnce asks again without a pause as long as members answer so.
func (p *Presence) keepAlive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(clientv3.WithRequireLeader(ctx), p.ttl/parts)
	defer cancel()
	stream, err := clientv3.RetryLeaseClient(p.s.client).LeaseKeepAlive(ctx)
	if err != nil {
		return clientv3.ContextError(ctx, err)
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: int64(p.lease)}); err != nil && !errors.Is(err, io.EOF) {
		return clientv3.ContextError(ctx, err)
	}
	res, err := stream.Recv() // which says what ended the stream, if it did
	switch {
	case err != nil:
		return clientv3.ContextError(ctx, err)
	case res.TTL <= 0:
		return rpctypes.ErrLeaseNotFound
	}
	return nil
}

// write puts the value where nobody else has, or returns who is there. What an
// earlier try left, and may do yet, does not count as somebody else: a try
// names the revision that it replaces, so that one that comes late does nothing.
func (p *Presence) write(ctx context.Context) (holder *mvccpb.KeyValue, err error) {
	key := p.s.keys.presence(p.name)
	for {
		res, err := p.s.client.Txn(ctx).
			If(clientv3.Compare(clientv3.ModRevision(key), "=", p.revision)). // 0: there is none
			Then(clientv3.OpPut(key, string(p.value), clientv3.WithLease(p.lease))).
			Else(clientv3.OpGet(key)).Commit()
		if err != nil {
			return nil, err
		}
		if res.Succeeded {
			p.revision = res.Header.Revision
			return nil, nil
		}
		p.revision = 0
		if kvs := res.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
			if kvs[0].Lease != int64(p.lease) {
				return kvs[0], nil
			}
			p.revision = kvs[0].ModRevision
		}
	}
}

// taken says of a name's holder how long it stays if it is dead.
func (s *Store) taken(ctx context.Context, holder *mvccpb.KeyValue) error {
	res, err := s.client.TimeToLive(ctx, clientv3.LeaseID(holder.Lease))
	if err != nil {
		return ErrTaken
	}
	return fmt.Errorf("%w for %d s at least, longer if its holder lives", ErrTaken, max(res.TTL, 0))
}

// forget is called when the lease has ended, and the key with it.
func (p *Presence) forget() {
	p.lease, p.revision, p.there, p.current = clientv3.NoLease, 0, false, false
}

// revoke ends the lease, and with it the key.
func (p *Presence) revoke(ctx context.Context) error {
	if p.lease == clientv3.NoLease {
		return nil
	}
	if _, err := p.s.client.Revoke(ctx, p.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
		return p.s.failure(ctx, err)
	}
	p.forget()
	return nil
}

// Change is what [Store.Present] tells of a name. Name is empty where the list
// of those who are there is complete.
type Change struct {
	Name     string
	Value    []byte // nil when it is gone
	Gone     bool   // the presence was closed, or its lease ended
	Revision uint64 // since when it is so, or of which the list is
}

// Present yields everybody who is announced at one revision, then a Change
// without a name, and from there on every announcement, new value and end, in
// the order of revisions and without a gap, until ctx ends (then it yields ctx's
// error) or the store is closed ([store.ErrClosed]). It ends with another error
// when the member that it reads from has lost its leader, or the history that
// it needs is gone ([store.ErrCompacted]): call it again.
//
// There is no timer for silence as in Follow, as being silent is usual here: a
// member without a leader ends the watch, and a member that hangs is given up
// by its connection, 13 s later, for another that goes on where it ended. While
// no member can be reached, Present waits.
func (s *Store) Present(ctx context.Context) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
		defer cancel()
		if s.client.Ctx().Err() != nil {
			yield(Change{}, store.ErrClosed)
			return
		}
		at, more := s.list(ctx, yield)
		if !more || !yield(Change{Revision: uint64(at)}, nil) {
			return
		}
		from, end := s.keys.presenceRange()
		for res := range s.client.Watch(ctx, from, clientv3.WithRange(end), clientv3.WithRev(at+1)) {
			if err := res.Err(); err != nil {
				yield(Change{}, s.ended(ctx, err))
				return
			}
			for _, ev := range res.Events {
				c := s.change(ev.Kv)
				if ev.Type != clientv3.EventTypePut {
					c.Gone, c.Value = true, nil
				}
				if !yield(c, nil) {
					return
				}
			}
		}
		yield(Change{}, s.ended(ctx, context.Canceled))
	}
}

// list yields who is there at one revision, and reports whether to go on.
func (s *Store) list(ctx context.Context, yield func(Change, error) bool) (at int64, more bool) {
	from, end := s.keys.presenceRange()
	for {
		res, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(at))
		if err != nil {
			yield(Change{}, s.ended(ctx, err))
			return at, false
		}
		if at == 0 {
			at = res.Header.Revision
		}
		for _, kv := range res.Kvs {
			if !yield(s.change(kv), nil) {
				return at, false
			}
		}
		if !res.More {
			return at, true
		}
		from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
	}
}

func (s *Store) change(kv *mvccpb.KeyValue) Change {
	return Change{Name: string(kv.Key[len(s.keys.presences()):]), Value: kv.Value, Revision: uint64(kv.ModRevision)}
}
