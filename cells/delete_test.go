package cells

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// TestDeleteCell goes through the refusals in nova-manage's order. A cell that
// was not deleted takes mappings again.
func TestDeleteCell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	require.ErrorIs(t, w.DeleteCell(t.Context(), "none", true), apidb.ErrNoCell)
	refused := func(force bool, want error) {
		t.Helper()
		require.ErrorIs(t, w.DeleteCell(t.Context(), "a", force), want)
		c, err := w.Cell("a")
		require.NoError(t, err)
		require.False(t, c.Closed)
	}
	for i := range 120 {
		w.nodes(t, "a", fmt.Sprintf("h%03d", i))
	}
	_, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.NoError(t, err)
	w.instances(t, "a", 130)
	_, err = w.MapInstances(t.Context(), "a", 0, false)
	require.NoError(t, err)
	opens := w.opens
	refused(false, ErrHasHosts)
	require.Equal(t, opens, w.opens, "the cell is not asked")
	refused(true, ErrHasInstances)

	w.cell(t, "a", func(db *celldb.DB, tx *table.Tx) error {
		for i := range 60 {
			if err := db.Instances.Delete(tx, fmt.Sprintf("i%04d", i+1)); err != nil {
				return err
			}
		}
		return nil
	})
	refused(true, ErrHasInstances)
	for i := 60; i < 130; i++ {
		w.put(t, "a", celldb.Instance{UUID: fmt.Sprintf("i%04d", i+1), Deleted: time.Unix(1, 0)})
	}
	for _, host := range w.hosts(t, "a")[1:] {
		require.NoError(t, w.DeleteHost(t.Context(), "a", host))
	}
	refused(false, ErrHasHosts)
	require.NoError(t, w.DeleteHost(t.Context(), "a", "h000"))
	refused(false, ErrHasMappings)
	hosts, err := w.DiscoverHosts(t.Context(), Discovery{})
	require.NoError(t, err)
	require.Len(t, hosts, 120)

	database := w.stores["mem:a"]
	delete(w.stores, "mem:a")
	refused(true, errAway)
	w.stores["mem:a"] = database
	_, err = w.MapInstances(t.Context(), "a", 10, true)
	require.NoError(t, err)
	require.NotNil(t, w.mark("a"))
	require.NoError(t, w.DeleteCell(t.Context(), "a", true))
	_, err = w.Cell("a")
	require.ErrorIs(t, err, apidb.ErrNoCell)
	require.Nil(t, w.mark("a"), "a cell that is made again with this UUID begins anew")
	require.Empty(t, w.hosts(t, ""))
	require.Zero(t, w.count(t, "a"))
	require.Empty(t, w.mapped(t, "a"))
}

func TestDeleteEmptyCell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	delete(w.stores, "mem:a")
	require.NoError(t, w.DeleteCell(t.Context(), "a", false), "its database is not asked")
}

// TestNoMappingWithoutCell: while a cell is created and deleted again and
// again, others map to it. No mapping is ever left without its cell.
func TestNoMappingWithoutCell(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	var wg sync.WaitGroup
	stop := sync.OnceFunc(func() {
		close(done)
		wg.Wait()
	})
	defer stop()
	var mapped [3]atomic.Int64
	for i := range mapped {
		m := w.mapper(t)
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				_, err := m.cfg.API.MapHost(t.Context(), fmt.Sprintf("h%d-%d", i, n), "a")
				errInstance := m.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: fmt.Sprintf("i%d-%d", i, n), Cell: "a"})
				for _, err := range []error{err, errInstance} {
					switch {
					case err == nil:
						mapped[i].Add(1)
					case !errors.Is(err, apidb.ErrNoCell) && !errors.Is(err, apidb.ErrCellClosed):
						t.Error(err)
					}
				}
			}
		})
	}
	for round := range 30 {
		i := round % len(mapped)
		before := mapped[i].Load()
		require.Eventually(t, func() bool { return mapped[i].Load() > before }, time.Minute, time.Millisecond/10)
		require.NoError(t, w.DeleteCell(ctx, "a", true))
		require.NoError(t, w.cfg.API.Fresh(t.Context()))
		require.Empty(t, w.hosts(t, ""))
		require.Zero(t, w.count(t, "a"))
		require.NoError(t, w.CreateCell(t.Context(), apidb.CellMapping{UUID: "a", Database: "mem:a", Transport: "bus:a"}))
	}
}

// TestDeletedByTwo: two who delete one cell both end well.
func TestDeletedByTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	for i := range 200 {
		_, err := w.cfg.API.MapHost(t.Context(), fmt.Sprint(i), "a")
		require.NoError(t, err)
	}
	errs := make([]error, 2)
	var wg sync.WaitGroup
	for i := range errs {
		m := w.mapper(t)
		wg.Go(func() { errs[i] = m.DeleteCell(t.Context(), "a", true) })
	}
	wg.Wait()
	for _, err := range errs {
		if !errors.Is(err, apidb.ErrNoCell) {
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.cfg.API.Fresh(t.Context()))
	require.Empty(t, w.hosts(t, ""))
	all, err := w.Cells()
	require.NoError(t, err)
	require.Empty(t, all)
}
