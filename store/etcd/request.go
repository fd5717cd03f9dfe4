package etcd

import (
	"encoding/binary"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

// transaction is a batch as etcd takes it. When it does not apply it reads the
// batch's own key, and every expected one if it explains. It is made here, as
// the client's own builder copies every comparison.
func (p keys) transaction(b *store.Batch, lease clientv3.LeaseID, explains bool) *pb.TxnRequest {
	id := []byte(p.batch(b.ID))
	t := &pb.TxnRequest{
		Compare: append(make([]*pb.Compare, 0, 1+2*len(b.Expect)), absent(id)),
		Success: make([]*pb.RequestOp, 0, 1+len(b.Puts)+len(b.Deletes)),
		Failure: []*pb.RequestOp{read(id)},
	}
	for i := range b.Expect {
		x := &b.Expect[i]
		key := []byte(p.record(x.Key))
		t.Compare = appendExpect(t.Compare, key, x)
		if explains {
			t.Failure = append(t.Failure, read(key))
		}
	}
	for i := range b.Puts {
		t.Success = append(t.Success, put([]byte(p.record(b.Puts[i].Key)), encode(b.Version, b.Puts[i].Value), clientv3.NoLease))
	}
	for _, k := range b.Deletes {
		t.Success = append(t.Success, &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
			RequestDeleteRange: &pb.DeleteRangeRequest{Key: []byte(p.record(k))},
		}})
	}
	t.Success = append(t.Success, put(id, encodeBatch(b), lease))
	return t
}

// appendExpect appends the comparisons that hold when x does.
func appendExpect(cmps []*pb.Compare, key []byte, x *store.Expectation) []*pb.Compare {
	switch {
	case x.Version == 0:
		return append(cmps, absent(key))
	case x.Value != nil:
		return append(cmps, compare(key, pb.Compare_EQUAL, encode(x.Version, x.Value)))
	}
	cmps = append(cmps, compare(key, pb.Compare_GREATER, binary.BigEndian.AppendUint64(nil, x.Version)))
	if x.Version < math.MaxUint64 {
		cmps = append(cmps, compare(key, pb.Compare_LESS, binary.BigEndian.AppendUint64(nil, x.Version+1)))
	}
	return cmps
}

// absent holds when there is no such key: one has a create revision over 0.
func absent(key []byte) *pb.Compare {
	return &pb.Compare{Key: key, Target: pb.Compare_CREATE, Result: pb.Compare_EQUAL}
}

func compare(key []byte, result pb.Compare_CompareResult, value []byte) *pb.Compare {
	return &pb.Compare{Key: key, Target: pb.Compare_VALUE, Result: result, TargetUnion: &pb.Compare_Value{Value: value}}
}

func read(key []byte) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: key}}}
}

func put(key, value []byte, lease clientv3.LeaseID) *pb.RequestOp {
	return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key, Value: value, Lease: int64(lease)}}}
}
