package etcd

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// TestRequireLeader makes a call again while members say that they know no
// leader, and for nothing else.
func TestRequireLeader(t *testing.T) {
	t.Parallel()
	other := errors.New("something else")
	for name, c := range map[string]struct {
		gone   bool // who asks
		within time.Duration
		says   func(call int) error
		want   error
		calls  int
	}{
		"at once":      {false, time.Minute, func(int) error { return nil }, nil, 1},
		"another":      {false, time.Minute, func(n int) error { return []error{rpctypes.ErrGRPCNoLeader, nil}[n] }, nil, 2},
		"third":        {false, time.Minute, func(n int) error { return []error{rpctypes.ErrGRPCNoLeader, rpctypes.ErrGRPCNoLeader, other}[n] }, other, 3},
		"not this":     {false, time.Minute, func(int) error { return rpctypes.ErrGRPCTimeout }, rpctypes.ErrGRPCTimeout, 1},
		"no time":      {false, -1, func(int) error { return rpctypes.ErrGRPCNoLeader }, rpctypes.ErrGRPCNoLeader, 1},
		"nobody leads": {false, 50 * time.Millisecond, func(int) error { return rpctypes.ErrGRPCNoLeader }, rpctypes.ErrGRPCNoLeader, 0},
		"given up":     {true, time.Minute, func(int) error { return rpctypes.ErrGRPCNoLeader }, rpctypes.ErrGRPCNoLeader, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.gone {
				cancel()
			}
			calls := 0
			err := requireLeader(c.within)(ctx, "", nil, nil, nil, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
				sent, _ := metadata.FromOutgoingContext(ctx)
				require.Equal(t, []string{rpctypes.MetadataHasLeader}, sent.Get(rpctypes.MetadataRequireLeaderKey))
				calls++
				return c.says(calls - 1)
			})
			require.ErrorIs(t, err, c.want)
			if c.calls > 0 {
				require.Equal(t, c.calls, calls)
			}
		})
	}
}
