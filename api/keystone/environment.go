package keystone

import (
	"context"
	"fmt"

	"github.com/gophercloud/gophercloud/v2/openstack"
)

// TokensFromEnvironment gets tokens from Identity as the account that the
// OS_* variables name, as the openstack command does. The function that it
// returns asks for a new one when fresh is set.
func TokensFromEnvironment(ctx context.Context) (func(ctx context.Context, fresh bool) (string, error), error) {
	opts, err := openstack.AuthOptionsFromEnv()
	if err != nil {
		return nil, fmt.Errorf("the OS_* variables do not say who asks: %w", err)
	}
	opts.AllowReauth = true
	identity, err := openstack.AuthenticatedClient(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("get a token from %s: %w", opts.IdentityEndpoint, err)
	}
	return func(ctx context.Context, fresh bool) (string, error) {
		if fresh {
			if err := identity.Reauthenticate(ctx, identity.Token()); err != nil {
				return "", err
			}
		}
		return identity.Token(), nil
	}, nil
}
