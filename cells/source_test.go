package cells

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/router"
)

func TestSource(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	src := w.Source()
	cells, revision, err := src.Cells(t.Context())
	require.NoError(t, err)
	require.Equal(t, []router.Cell{{UUID: "a", Name: "a", Database: "mem:a", Transport: "bus:a"}}, cells)

	changed := make(chan error, 1)
	go func() { changed <- src.Changed(t.Context(), revision) }()
	require.NoError(t, w.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: "i", Cell: "a"}))
	select {
	case err := <-changed:
		t.Fatal("a mapping of an instance is no change of cells", err)
	case <-time.After(20 * time.Millisecond):
	}
	require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "b", Database: "b", Transport: "{scheme}://b", Disabled: true}))
	require.NoError(t, <-changed)
	require.NoError(t, src.Changed(t.Context(), revision), "it has changed already")
	require.NoError(t, w.setClosed(t.Context(), "a", true))
	cells, revision, err = src.Cells(t.Context())
	require.NoError(t, err)
	require.True(t, cells[0].Disabled)
	require.Equal(t, router.Cell{UUID: "b", Database: "b", Transport: "rabbit://b", Disabled: true}, cells[1])

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, src.Changed(ctx, revision), context.Canceled)
	w.cfg.Base.Transport = ""
	cells, _, err = src.Cells(t.Context())
	require.NoError(t, err)
	require.Equal(t, "{scheme}://b", cells[1].Transport, "it is not reached, and the others are")
}

// TestRouterFollowsMappings: a cell that is created, changed and deleted is
// reached, and not reached any more, without a restart.
func TestRouterFollowsMappings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := router.New(router.Config[string]{
		Dial:  func(_ context.Context, c router.Cell) (string, error) { return c.Database, nil },
		Probe: func(context.Context, string) error { return nil },
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Follow(ctx, w.Source()) }()
	reaches := func(want string) {
		t.Helper()
		require.Eventually(t, func() bool {
			got := ""
			err := r.Call(t.Context(), "a", func(_ context.Context, database string) error {
				got = database
				return nil
			})
			return got == want && (want == "") == (err != nil)
		}, time.Minute, time.Millisecond)
	}
	reaches("")
	require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "a", Database: "one", Transport: "t"}))
	reaches("one")
	require.NoError(t, w.UpdateCell(t.Context(), "a", func(c *apidb.CellMapping) error {
		c.Database = "two"
		return nil
	}))
	reaches("two")
	require.NoError(t, w.DeleteCell(t.Context(), "a", false))
	reaches("")
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}
