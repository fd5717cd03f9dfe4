package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"math"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"

	"github.com/kilonova-cloud/kilonova/store"
)

// Store is a [store.Store] in an etcd cluster.
type Store struct {
	client  *clientv3.Client
	kv      pb.KVClient // of client
	keys    keys
	timeout time.Duration

	open    sync.RWMutex // read by commits under way, written by Close
	closed  bool
	leaseMu sync.Mutex
	lease   clientv3.LeaseID
	renew   time.Time // when the next lease is due

	explains atomic.Int64 // how many more batches read what they expect if they are refused

	latest    atomic.Uint64 // revision that Latest has told
	listenMu  sync.Mutex
	listeners map[chan struct{}]struct{} // of each Follow

	keepers sync.WaitGroup // of presences; added to under open
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Shared = (*Store)(nil)
)

// Open opens the store under a prefix, and makes it when there is none. It
// returns [store.ErrNewerFormat] for one of a newer version, [ErrForeign] for
// a prefix that others use, and an error that names the endpoints when they do
// not answer or refuse the credentials.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.normal()
	if err != nil {
		return nil, err
	}
	var encrypt *tls.Config
	if cfg.TLS != nil {
		if encrypt, err = cfg.TLS.config(); err != nil {
			return nil, fmt.Errorf("connect to etcd at %q: %w", cfg.Endpoints, err)
		}
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: cfg.Endpoints, TLS: encrypt, Username: cfg.Username, Password: cfg.Password, DialTimeout: cfg.DialTimeout,
		DialKeepAliveTime: keepAlive, DialKeepAliveTimeout: keepAliveTimeout, Logger: zapLogger(cfg.Logger),
		DialOptions: []grpc.DialOption{
			grpc.WithConnectParams(reconnect()),
			grpc.WithChainUnaryInterceptor(requireLeader(cfg.RequestTimeout)),
			// What the client asks for itself, for the calls that are made without it.
			grpc.WithDefaultCallOptions(grpc.WaitForReady(true), grpc.MaxCallRecvMsgSize(math.MaxInt32)),
		},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to etcd at %q: %w", cfg.Endpoints, err)
	}
	s := &Store{client: client, kv: clientv3.RetryKVClient(client), keys: keys(cfg.Prefix + "/"), timeout: cfg.RequestTimeout, listeners: map[chan struct{}]struct{}{}}
	ctx, cancel := context.WithTimeout(ctx, cfg.DialTimeout)
	defer cancel()
	if err := s.checkPrefix(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open %q in etcd at %q: %w", cfg.Prefix, cfg.Endpoints, portError(err)), client.Close())
	}
	return s, nil
}

// Limits implements [store.Store].
func (s *Store) Limits() store.Limits { return limits() }

// Close implements [store.Store]. Records stay, and presences until their
// leases end.
func (s *Store) Close() error {
	s.open.Lock()
	defer s.open.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.client.Close()
	s.keepers.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("close the connection to etcd: %w", err)
	}
	return nil
}

// ended is why reading stopped with err: the store's end, ctx's, or err.
func (s *Store) ended(ctx context.Context, err error) error {
	if s.client.Ctx().Err() != nil || ctx.Err() != nil {
		return s.failure(ctx, err)
	}
	return fmt.Errorf("read from etcd: %w", portError(err))
}

// failure is why a call failed with err: the store's end, ctx's, or err.
func (s *Store) failure(ctx context.Context, err error) error {
	switch {
	case s.client.Ctx().Err() != nil:
		return store.ErrClosed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return portError(err)
	}
}

// portError gives an error of etcd its name in the port.
func portError(err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrCompacted):
		return fmt.Errorf("%w: %w", store.ErrCompacted, err)
	case errors.Is(err, rpctypes.ErrNoSpace):
		return fmt.Errorf("%w: %w", store.ErrNoSpace, err)
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return fmt.Errorf("%w: %w", store.ErrTooLarge, err)
	default:
		return err
	}
}

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		from, end := s.keys.records(), clientv3.GetPrefixRangeEnd(s.keys.records())
		at := int64(0)
		if s.client.Ctx().Err() != nil {
			yield(store.Record{}, store.ErrClosed)
			return
		}
		for {
			res, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page), clientv3.WithRev(at))
			if err != nil {
				yield(store.Record{}, s.ended(ctx, err))
				return
			}
			if at == 0 {
				at = res.Header.Revision
				*rev = uint64(at)
			}
			for _, kv := range res.Kvs {
				k, err := s.keys.parse(kv.Key)
				var r store.Record
				if err == nil {
					r, err = decode(k, kv.Value)
				}
				if !yield(r, err) || err != nil {
					return
				}
			}
			if !res.More {
				return
			}
			from = string(res.Kvs[len(res.Kvs)-1].Key) + "\x00"
		}
	}
}
