//go:build integration

package etcd_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store/etcd"
)

// TestForeignPrefix: a store is made only where nothing else is, neither
// under it nor around it, and opened only where nothing is between its keys.
func TestForeignPrefix(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]string{
		"first": "/a", "between batches and the format": "/d", "behind the format": "/f1", "last": "/z", "another's format": "/f", "a record": "/r\x01x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			_, err := plain(t, cfg).Put(t.Context(), cfg.Prefix+key, "theirs")
			require.NoError(t, err)
			_, err = etcd.Open(t.Context(), cfg)
			require.ErrorIs(t, err, etcd.ErrForeign)
		})
	}
	t.Run("added later", func(t *testing.T) {
		t.Parallel()
		cfg := config(t)
		require.NoError(t, open(t, cfg).Close())
		_, err := plain(t, cfg).Put(t.Context(), cfg.Prefix+"/config", "theirs")
		require.NoError(t, err)
		_, err = etcd.Open(t.Context(), cfg)
		require.ErrorIs(t, err, etcd.ErrForeign)
	})
	t.Run("within another store", func(t *testing.T) {
		t.Parallel()
		outer := config(t)
		inner := outer
		inner.Prefix += "/rack/1"
		open(t, outer)
		_, err := etcd.Open(t.Context(), inner)
		require.ErrorContains(t, err, "is a store that the prefix is within")
	})
	t.Run("around another store", func(t *testing.T) {
		t.Parallel()
		outer := config(t)
		inner := outer
		inner.Prefix += "/rack/1"
		open(t, inner)
		_, err := etcd.Open(t.Context(), outer)
		require.ErrorIs(t, err, etcd.ErrForeign)
	})
}

func TestExisting(t *testing.T) {
	t.Parallel()
	cfg := config(t)
	there := cfg
	there.Existing = true
	_, err := etcd.Open(t.Context(), there)
	require.ErrorIs(t, err, etcd.ErrAbsent)
	require.NoError(t, open(t, cfg).Close())
	require.NoError(t, open(t, there).Close())
}
