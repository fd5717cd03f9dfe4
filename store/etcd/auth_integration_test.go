//go:build integration

package etcd_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// TestAuth: a user who may do everything below a prefix can use a store there,
// and nothing else; who is not known, or gives a wrong password, is refused.
func TestAuth(t *testing.T) {
	t.Parallel()
	c, err := etcdtest.Start(t.Context(), etcdtest.Config{Server: os.Getenv("ETCD_SERVER"), Dir: t.TempDir(), Members: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	cfg := etcd.Config{Endpoints: c.Endpoints(), Prefix: "cloud/placement"}
	root := plain(t, cfg)
	for _, name := range []string{"root", "kilonova"} {
		_, err := root.RoleAdd(t.Context(), name)
		require.NoError(t, err)
		_, err = root.UserAdd(t.Context(), name, "secret of "+name)
		require.NoError(t, err)
		_, err = root.UserGrantRole(t.Context(), name, name)
		require.NoError(t, err)
	}
	prefix := cfg.Prefix + "/"
	_, err = root.RoleGrantPermission(t.Context(), "kilonova", prefix, clientv3.GetPrefixRangeEnd(prefix), clientv3.PermissionType(clientv3.PermReadWrite))
	require.NoError(t, err)
	_, err = root.AuthEnable(t.Context())
	require.NoError(t, err)

	refuse := func(says string, cfg etcd.Config) {
		t.Helper()
		_, err := etcd.Open(t.Context(), cfg)
		require.ErrorContains(t, err, says)
		require.NotContains(t, err.Error(), "secret")
	}
	refuse("user name is empty", cfg)
	cfg.Username, cfg.Password = "kilonova", "secrets"
	refuse("invalid user ID or password", cfg)
	cfg.Password = "secret of kilonova"
	s := open(t, cfg)
	res, err := s.Commit(t.Context(), store.Batch{ID: store.BatchID{1}, Version: 1, Puts: []store.Put{{Key: store.Key{Kind: 1}}}})
	require.NoError(t, err)
	require.Equal(t, store.Committed, res.Outcome)
	for ev, err := range s.Follow(t.Context(), res.Revision-1) {
		require.NoError(t, err)
		require.Len(t, ev.Puts, 1)
		break
	}
	cfg.Prefix = "cloud/other"
	refuse("permission denied", cfg)
}
