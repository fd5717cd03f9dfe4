package cells

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// TestRegister: a host that registers is mapped, there is nothing to discover,
// and one that was deleted comes back when it registers again.
func TestRegister(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	register := func(cell, host string) (err error) {
		r := Registration{
			Service: celldb.Service{UUID: "s-" + host, Host: host, Binary: celldb.ComputeBinary},
			Nodes:   []celldb.ComputeNode{{UUID: host + "-1", Node: host + ".x"}, {UUID: host + "-2", Node: host + ".y"}},
		}
		require.NoError(t, w.in(t.Context(), "mem:"+cell, func(db *celldb.DB) error {
			err = Register(t.Context(), w.cfg.API, cell, db, r)
			return nil
		}))
		return err
	}
	check := func(cell string, hosts ...string) {
		t.Helper()
		require.Equal(t, hosts, w.hosts(t, cell))
		for _, byService := range []bool{false, true} {
			found, err := w.DiscoverHosts(t.Context(), Discovery{ByService: byService})
			require.NoError(t, err)
			require.Empty(t, found)
		}
	}
	for range 2 {
		require.NoError(t, register("a", "h1"))
		check("a", "h1")
	}
	require.ErrorIs(t, register("b", "h1"), apidb.ErrMappedElsewhere)
	require.ErrorContains(t, register("b", ""), "the host of the service is empty")
	check("b")
	require.NoError(t, w.DeleteHost(t.Context(), "a", "h1"))
	w.cell(t, "a", func(db *celldb.DB, tx *table.Tx) error {
		n, _ := db.Nodes.Get(tx, "h1-2")
		require.Equal(t, celldb.ComputeNode{UUID: "h1-2", Host: "h1", Node: "h1.y"}, n)
		n.Deleted = time.Unix(1, 0)
		return db.Nodes.Put(tx, n)
	})
	require.NoError(t, register("a", "h1"))
	check("a", "h1")
	require.Equal(t, []string{"h1", "h1"}, w.mapped(t, "a"))
}

// TestRegisterInPieces: a host whose registration ended half-way does it again.
func TestRegisterInPieces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	api := mapThen(func(ctx context.Context, host, cell string) (bool, error) {
		defer cancel()
		return w.cfg.API.MapHost(ctx, host, cell)
	})
	r := Registration{Service: celldb.Service{UUID: "s", Host: "h1"}, Nodes: []celldb.ComputeNode{{UUID: "n"}}}
	require.NoError(t, w.in(t.Context(), "mem:a", func(db *celldb.DB) error {
		require.ErrorIs(t, Register(ctx, api, "a", db, r), context.Canceled)
		return Register(context.WithoutCancel(ctx), w.cfg.API, "a", db, r)
	}))
	require.Equal(t, []string{"h1"}, w.hosts(t, "a"))
	require.Equal(t, []string{"h1"}, w.mapped(t, "a"))
}

type mapThen func(ctx context.Context, host, cell string) (bool, error)

// MapHost implements [HostMapper].
func (f mapThen) MapHost(ctx context.Context, host, cell string) (bool, error) {
	return f(ctx, host, cell)
}
