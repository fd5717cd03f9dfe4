package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

// Commit implements [store.Store]. The outcome is Unknown when the cluster
// has not answered within the request timeout.
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	s.open.RLock()
	defer s.open.RUnlock()
	if s.closed {
		return store.Result{}, store.ErrClosed
	}
	l := limits()
	if err := b.Validate(l); err != nil {
		return store.Result{}, fmt.Errorf("validate: %w", err)
	}
	if err := expectable(b.Expect, l.KeyBytes); err != nil {
		return store.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	lease, err := s.leaseNow(ctx)
	if err != nil {
		return s.failed(ctx, b, err)
	}
	res, err := s.send(ctx, &b, lease)
	switch {
	case err != nil:
		return s.failed(ctx, b, err)
	case res.Succeeded:
		return committed(res.Header.Revision), nil
	}
	out, err := refused(b, res)
	if err == nil && out.Outcome == store.Conflict && len(out.Conflicts) == 0 {
		return store.Result{}, fmt.Errorf("a record does not hold the value that is expected of its version: %w", store.ErrInvalid)
	}
	return out, err
}

// expectable checks the keys that Validate does not.
func expectable(expect []store.Expectation, keyBytes int) error {
	for _, x := range expect {
		if len(x.Key.ID) > keyBytes {
			return fmt.Errorf("expected key has %d bytes, allowed are %d: %w", len(x.Key.ID), keyBytes, store.ErrInvalid)
		}
	}
	return nil
}

func committed(revision int64) store.Result {
	return store.Result{Outcome: store.Committed, Revision: uint64(revision)}
}

// explained is how many batches after a refused one tell what they find.
const explained = 64

// send sends a batch. The reads that tell why it is refused are a third of a
// request, so while nothing is refused they are left out; then the batch is
// sent again with them, and so are those that come next.
func (s *Store) send(ctx context.Context, b *store.Batch, lease clientv3.LeaseID) (*pb.TxnResponse, error) {
	explains := s.explains.Load() > 0
	res, err := s.kv.Txn(ctx, s.keys.transaction(b, lease, explains))
	if err != nil {
		return nil, clientv3.ContextError(ctx, err)
	}
	switch {
	case !res.Succeeded && len(res.Responses[0].GetResponseRange().Kvs) == 0:
		s.explains.Store(explained)
		if !explains {
			return s.send(ctx, b, lease)
		}
	case explains:
		s.explains.Add(-1)
	}
	return res, nil
}

// refused tells from what a transaction read why it did not apply.
func refused(b store.Batch, res *pb.TxnResponse) (store.Result, error) {
	if own := res.Responses[0].GetResponseRange().Kvs; len(own) > 0 {
		return committed(own[0].CreateRevision), nil // by an earlier try
	}
	out, newest, told := store.Result{Outcome: store.Conflict}, int64(0), true
	for i, x := range b.Expect {
		present := store.Record{Key: x.Key}
		kvs := res.Responses[1+i].GetResponseRange().Kvs
		if len(kvs) > 0 {
			var err error
			if present, err = decode(x.Key, kvs[0].Value); err != nil {
				return store.Result{}, err
			}
		}
		if present.Version != x.Version {
			out.Conflicts = append(out.Conflicts, present)
			if len(kvs) > 0 {
				newest = max(newest, kvs[0].ModRevision)
			} else {
				told = false // it was deleted, who knows when
			}
		}
	}
	if told {
		out.Revision = uint64(newest)
	}
	return out, nil
}

// failed is the answer to a try that ended with err. Only an error that the
// server gives before it applies anything says that the try is not applied.
//
// "No space" is not one of these: the transaction that meets the quota first
// is applied, and reported as failed. So its key is looked up.
// Source: etcd 3.7, server/etcdserver/apply/quota.go, quotaApplierV3.Txn.
func (s *Store) failed(ctx context.Context, b store.Batch, err error) (store.Result, error) {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return s.lookUp(ctx, b.ID, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps),
		errors.Is(err, rpctypes.ErrPermissionDenied), errors.Is(err, rpctypes.ErrAuthFailed):
		return store.Result{}, fmt.Errorf("commit to etcd: %w", portError(err))
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		s.dropLease()
	}
	return store.Result{Cause: cmp.Or(ctx.Err(), fmt.Errorf("commit to etcd: %w", err))}, nil
}

// lookUp is the answer to a try that ended with cause, after which the server
// does nothing more: whether the batch took effect is in its key.
func (s *Store) lookUp(ctx context.Context, id store.BatchID, cause error) (store.Result, error) {
	res, err := s.client.Get(ctx, s.keys.batch(id))
	if res == nil {
		return store.Result{Cause: errors.Join(cause, err)}, nil
	}
	if len(res.Kvs) == 0 {
		return store.Result{}, fmt.Errorf("commit to etcd: %w", portError(cause))
	}
	return committed(res.Kvs[0].CreateRevision), nil
}

// leaseNow returns a lease that lives for Retention at least.
func (s *Store) leaseNow(ctx context.Context) (clientv3.LeaseID, error) {
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	now := time.Now()
	if s.lease != clientv3.NoLease && now.Before(s.renew) {
		return s.lease, nil
	}
	res, err := s.client.Grant(ctx, int64((Retention+2*leaseChange)/time.Second))
	if err != nil {
		return clientv3.NoLease, fmt.Errorf("lease for batches: %w", err)
	}
	s.lease, s.renew = res.ID, now.Add(leaseChange)
	return s.lease, nil
}

// dropLease makes the next batch ask for a new lease.
func (s *Store) dropLease() {
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	s.lease = clientv3.NoLease
}
