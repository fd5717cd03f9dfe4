package etcd

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/store"
)

// What [Open] says of a prefix.
var (
	// ErrForeign: under the prefix are keys of somebody else.
	ErrForeign = errors.New("the prefix is not a Kilonova store")
	// ErrAbsent: there is no store under the prefix, and none is to be made.
	ErrAbsent = errors.New("there is no store under the prefix")
)

// checkPrefix refuses a prefix that holds something else than a store of a
// known format, and makes a store where there is nothing.
func (s *Store) checkPrefix(ctx context.Context, cfg Config) error {
	p, format := string(s.keys), s.keys.format()
	between := func(from, to string) clientv3.Op {
		return clientv3.OpGet(from, clientv3.WithRange(to), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	}
	res, err := s.client.Txn(ctx).Then(
		clientv3.OpGet(format),
		between(p, s.keys.batches()),
		between(clientv3.GetPrefixRangeEnd(s.keys.batches()), format),
		between(format+"\x00", s.keys.presences()),
		between(clientv3.GetPrefixRangeEnd(s.keys.presences()), s.keys.records()),
		between(clientv3.GetPrefixRangeEnd(s.keys.records()), clientv3.GetPrefixRangeEnd(p)),
	).Commit()
	if err != nil {
		return fmt.Errorf("read the format: %w", err)
	}
	there := res.Responses[0].GetResponseRange().Kvs
	for _, r := range res.Responses[1:] {
		if err := nothing(r.GetResponseRange().Kvs); err != nil {
			return err
		}
	}
	switch {
	case len(there) > 0:
		return checkFormat(string(there[0].Value))
	case cfg.Existing:
		return ErrAbsent
	}
	return s.create(ctx, cfg.Prefix)
}

// nothing refuses keys that are somebody else's.
func nothing(kvs []*mvccpb.KeyValue) error {
	if len(kvs) > 0 {
		return fmt.Errorf("key %q is there: %w", kvs[0].Key, ErrForeign)
	}
	return nil
}

func checkFormat(text string) error {
	have, err := strconv.Atoi(text)
	if err != nil || have < 1 {
		return fmt.Errorf("format is %q, allowed is %d: %w", text, format, ErrForeign)
	}
	if have > format {
		return fmt.Errorf("format is %d, allowed is %d: %w", have, format, store.ErrNewerFormat)
	}
	return nil
}

// create makes a store under a prefix without keys, unless it lies within
// another store, whose keys it could be taken for. Parents that the user may
// not read are not looked at.
func (s *Store) create(ctx context.Context, prefix string) error {
	for i := range len(prefix) {
		if prefix[i] != '/' {
			continue
		}
		key := keys(prefix[:i+1]).format()
		res, err := s.client.Get(ctx, key, clientv3.WithCountOnly())
		switch {
		case errors.Is(err, rpctypes.ErrPermissionDenied):
		case err != nil:
			return fmt.Errorf("look above the prefix: %w", err)
		case res.Count > 0:
			return fmt.Errorf("%q is a store that the prefix is within, allowed is: a prefix beside it", strings.TrimSuffix(prefix[:i+1], "/"))
		}
	}
	p := string(s.keys)
	found, err := s.client.Get(ctx, p, clientv3.WithPrefix(), clientv3.WithLimit(1), clientv3.WithKeysOnly())
	if err != nil {
		return fmt.Errorf("look under the prefix: %w", err)
	}
	if err := nothing(found.Kvs); err != nil {
		return err
	}
	res, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(p), "=", 0).WithPrefix()).
		Then(clientv3.OpPut(s.keys.format(), strconv.Itoa(format))).
		Else(clientv3.OpGet(s.keys.format())).Commit()
	if err != nil {
		return fmt.Errorf("write the format: %w", err)
	}
	if res.Succeeded {
		return nil
	}
	if kvs := res.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
		return checkFormat(string(kvs[0].Value)) // somebody else has made it
	}
	return ErrForeign
}
