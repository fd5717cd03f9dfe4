package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
)

const (
	leaderPause    = 5 * time.Millisecond // before a third try, then twice that
	leaderPauseMax = 200 * time.Millisecond
)

// requireLeader has a member that knows no leader refuse a call at once, and
// makes the call again, of the next member in turn, for as long as within.
// Such a member may be cut off from the others while clients reach it: it would
// answer none of the calls that are its share, and keep those that wait for
// them. What it refuses it has not done.
func requireLeader(within time.Duration) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		began, pause := time.Now(), time.Duration(0)
		for {
			err := invoke(clientv3.WithRequireLeader(ctx), method, req, reply, cc, opts...)
			if !errors.Is(rpctypes.Error(err), rpctypes.ErrNoLeader) || time.Since(began)+pause > within {
				return err
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return err
			}
			pause = min(max(2*pause, leaderPause), leaderPauseMax)
		}
	}
}
