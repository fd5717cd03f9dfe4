package apidb

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

func newStore() store.Store { return mem.New(mem.Config{Limits: store.Limits{Shared: true}}) }

// openDB opens a database with the cells a and b, of which b is closed.
func openDB(t testing.TB) (*DB, store.Store) {
	t.Helper()
	s := newStore()
	_, err := Sync(t.Context(), s, false)
	require.NoError(t, err)
	db := reopen(t, s)
	require.NoError(t, db.ChangeCells(t.Context(), func(tx *table.Tx, _ []CellMapping) error {
		return errors.Join(db.Cells.Create(tx, CellMapping{UUID: "a", Name: "z"}), db.Cells.Create(tx, CellMapping{UUID: "b", Name: "y", Closed: true}))
	}))
	return db, s
}

func reopen(t testing.TB, s store.Store) *DB {
	t.Helper()
	db, err := Open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSync(t *testing.T) {
	t.Parallel()
	s := newStore()
	p, err := Synced(t.Context(), s)
	require.NoError(t, err)
	require.Zero(t, p)
	_, err = Open(t.Context(), s)
	require.ErrorIs(t, err, table.ErrNotSynced)
	p, err = Sync(t.Context(), s, false)
	require.NoError(t, err)
	require.Equal(t, Version(), p.Version)
	again, err := Synced(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, p, again)
}

// TestRowsLast: what was written is there after the database was loaded again.
func TestRowsLast(t *testing.T) {
	t.Parallel()
	db, s := openDB(t)
	cell := CellMapping{UUID: "c", Name: "n", Transport: "t", Database: "d", Disabled: true, Closed: true}
	host := HostMapping{Host: "h", Cell: "a"}
	instance := InstanceMapping{UUID: "i", Cell: "a", Project: "p", User: "u", QueuedForDelete: true, Created: time.Unix(5, 7).UTC()}
	mark := Mark{Name: "m", Key: "k", Created: time.Unix(9, 1).UTC(), Count: 4}
	_, err := db.Update(t.Context(), func(tx *table.Tx) error {
		return errors.Join(db.Cells.Put(tx, cell), db.Hosts.Put(tx, host), db.Instances.Put(tx, instance), db.Marks.Put(tx, mark))
	})
	require.NoError(t, err)
	again := reopen(t, s)
	require.NoError(t, again.View(func(tx *table.Tx) error {
		gotCell, _ := again.Cells.Get(tx, "c")
		gotHost, _ := again.Hosts.Get(tx, "h")
		gotInstance, _ := again.Instances.Get(tx, "i")
		gotMark, _ := again.Marks.Get(tx, "m")
		require.Equal(t, cell, gotCell)
		require.Equal(t, host, gotHost)
		require.Equal(t, instance, gotInstance)
		require.Equal(t, mark, gotMark)
		return nil
	}))
}

func TestAllCells(t *testing.T) {
	t.Parallel()
	db, _ := openDB(t)
	all, err := db.AllCells()
	require.NoError(t, err)
	require.Equal(t, []CellMapping{{UUID: "b", Name: "y", Closed: true}, {UUID: "a", Name: "z"}}, all)
}

func TestMapping(t *testing.T) {
	t.Parallel()
	db, _ := openDB(t)
	for _, c := range []struct {
		host, cell string
		added      bool
		err        error
	}{
		{"h", "a", true, nil},
		{"h", "a", false, nil},
		{"h", "b", false, ErrCellClosed},
		{"h", "none", false, ErrNoCell},
	} {
		added, err := db.MapHost(t.Context(), c.host, c.cell)
		require.ErrorIs(t, err, c.err)
		require.Equal(t, c.added, added)
		err = db.MapInstances(t.Context(), InstanceMapping{UUID: "building"}, InstanceMapping{UUID: "i" + c.cell, Cell: c.cell})
		require.ErrorIs(t, err, c.err)
	}
	require.NoError(t, db.ChangeCells(t.Context(), func(tx *table.Tx, _ []CellMapping) error {
		return db.Cells.Put(tx, CellMapping{UUID: "b"})
	}))
	_, err := db.MapHost(t.Context(), "h", "b")
	require.ErrorIs(t, err, ErrMappedElsewhere)
	require.ErrorContains(t, err, `map host "h" to cell b: it is in a`)
}

// TestSecrets: no way to print a cell prints its addresses.
func TestSecrets(t *testing.T) {
	t.Parallel()
	c := CellMapping{UUID: "u", Name: "n", Transport: "rabbit://a:secret@h", Database: "etcd://a:secret@h"}
	var b strings.Builder
	slog.New(slog.NewTextHandler(&b, nil)).Info("a cell", slog.Any("cell", c), slog.Any("cells", []CellMapping{c}))
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprint([]CellMapping{c}, &c), b.String(), (&TakenError{Cell: "u"}).Error()} {
		require.NotContains(t, text, "secret")
		require.Contains(t, text, "u")
	}
}
