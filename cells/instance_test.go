package cells

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// TestMapInstances maps a part at a time. Each step says how many are mapped
// after it and whether there may be more.
func TestMapInstances(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	w.instances(t, "a", 130)
	require.NoError(t, w.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: "i0130", Cell: "b", Project: "other"}))
	for step, c := range []struct {
		limit  int
		reset  bool
		mapped int
		more   bool
	}{
		{10, false, 9, true}, // one is in cell b
		{60, false, 69, true},
		{60, false, 129, true}, // as many as asked for: there may be more
		{10, false, 129, false},
		{10, false, 129, true}, // from the beginning again
		{5, true, 129, true},
		{0, false, 129, false},
	} {
		more, err := w.MapInstances(t.Context(), "a", c.limit, c.reset)
		require.NoError(t, err)
		require.Equal(t, c.more, more, "step %d", step)
		require.Equal(t, c.mapped, w.count(t, "a"), "step %d", step)
	}
	require.NoError(t, w.cfg.API.View(func(tx *table.Tx) error {
		require.Equal(t, 1, w.cfg.API.Marks.Count(tx), "only that of changes of cells")
		m, _ := w.cfg.API.Instances.Get(tx, "i0130")
		require.Equal(t, "b", m.Cell)
		m, _ = w.cfg.API.Instances.Get(tx, "i0001")
		require.Equal(t, apidb.InstanceMapping{UUID: "i0001", Cell: "a", Project: "p", User: "u", Created: time.Unix(43, 0).UTC()}, m)
		return nil
	}))
	_, err := w.MapInstances(t.Context(), "none", 0, false)
	require.ErrorIs(t, err, apidb.ErrNoCell)
}

// TestMapInstancesGoesOn: the mark is of the cell, and the row that it names
// may be gone.
func TestMapInstancesGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a", "b")
	w.instances(t, "a", 20)
	w.instances(t, "b", 1)
	_, err := w.MapInstances(t.Context(), "a", 10, false)
	require.NoError(t, err)
	_, err = w.MapInstances(t.Context(), "b", 0, false)
	require.NoError(t, err)
	w.cell(t, "a", func(db *celldb.DB, tx *table.Tx) error { return db.Instances.Delete(tx, "i0009") })
	more, err := w.MapInstances(t.Context(), "a", 10, false)
	require.NoError(t, err)
	require.True(t, more)
	require.Equal(t, 19, w.count(t, "a"), "i0001 was mapped to b before")
}

func TestVerifyInstance(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "a")
	w.put(t, "a", celldb.Instance{UUID: "alive"})
	w.put(t, "a", celldb.Instance{UUID: "deleted", Deleted: time.Unix(1, 0)})
	for _, uuid := range []string{"alive", "deleted", "archived"} {
		require.NoError(t, w.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: uuid, Cell: "a"}))
	}
	require.NoError(t, w.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: "building"}))
	for uuid, want := range map[string]Verdict{
		"alive": InCell, "unknown": NotMapped, "building": NotScheduled, "deleted": Deleted, "archived": Archived,
	} {
		got, c, err := w.VerifyInstance(t.Context(), uuid)
		require.NoError(t, err)
		require.Equal(t, want, got, uuid)
		if want != NotMapped && want != NotScheduled {
			require.Equal(t, "a", c.UUID)
		}
	}
	delete(w.stores, "mem:a")
	_, _, err := w.VerifyInstance(t.Context(), "alive")
	require.ErrorIs(t, err, errAway)
	err = w.cfg.API.MapInstances(t.Context(), apidb.InstanceMapping{UUID: "x", Cell: "none"})
	require.True(t, errors.Is(err, apidb.ErrNoCell))
}
