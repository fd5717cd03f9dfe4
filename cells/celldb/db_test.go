package celldb

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

func openDB(t *testing.T, s store.Store) *DB {
	t.Helper()
	_, err := Sync(t.Context(), s, false)
	require.NoError(t, err)
	db, err := Open(t.Context(), s)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSync(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Config{})
	_, err := Open(t.Context(), s)
	require.ErrorIs(t, err, table.ErrNotSynced)
	db := openDB(t, s)
	require.Equal(t, Version(), db.Progress().Version)
	p, err := Synced(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, Version(), p.Version)
}

// TestRowsLast: what was written is there after the database was loaded again.
func TestRowsLast(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Config{})
	db := openDB(t, s)
	at := time.Unix(3, 4).UTC()
	service := Service{UUID: "s", Host: "h", Binary: "b", Deleted: at}
	node := ComputeNode{UUID: "n", Host: "h", Node: "m", Mapped: true, Deleted: at}
	instance := Instance{UUID: "i", Project: "p", User: "u", Host: "h", Node: "n", Created: at, Deleted: at.Add(1)}
	_, err := db.Update(t.Context(), func(tx *table.Tx) error {
		return errors.Join(db.Services.Put(tx, service), db.Nodes.Put(tx, node), db.Instances.Put(tx, instance))
	})
	require.NoError(t, err)
	again := openDB(t, s)
	require.NoError(t, again.View(func(tx *table.Tx) error {
		gotService, _ := again.Services.Get(tx, "s")
		gotNode, _ := again.Nodes.Get(tx, "n")
		require.Equal(t, service, gotService)
		require.Equal(t, node, gotNode)
		return nil
	}))
	got, found, err := again.Instance("i")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, instance, got)
}

func TestQueries(t *testing.T) {
	t.Parallel()
	db := openDB(t, mem.New(mem.Config{}))
	at := time.Unix(3, 4).UTC()
	_, err := db.Update(t.Context(), func(tx *table.Tx) (err error) {
		for i := range 120 {
			err = errors.Join(err, db.Nodes.Put(tx, ComputeNode{UUID: fmt.Sprintf("%03d", i), Host: fmt.Sprintf("h%03d", 120-i), Mapped: i%2 == 0}))
		}
		return errors.Join(err,
			db.Nodes.Put(tx, ComputeNode{UUID: "deleted", Host: "h001", Mapped: true, Deleted: at}),
			db.Services.Put(tx, Service{UUID: "1", Host: "z", Binary: ComputeBinary}),
			db.Services.Put(tx, Service{UUID: "2", Host: "y", Binary: ComputeBinary}),
			db.Services.Put(tx, Service{UUID: "3", Host: "x", Binary: ComputeBinary, Deleted: at}),
			db.Services.Put(tx, Service{UUID: "4", Host: "w", Binary: "nova-conductor"}),
			db.Instances.Put(tx, Instance{UUID: "1", Host: "h1", Created: at.Add(2)}),
			db.Instances.Put(tx, Instance{UUID: "2", Host: "h2", Created: at.Add(1), Deleted: at.Add(3)}))
	})
	require.NoError(t, err)

	services, err := db.ComputeServices()
	require.NoError(t, err)
	require.Equal(t, []Service{{UUID: "2", Host: "y", Binary: ComputeBinary}, {UUID: "1", Host: "z", Binary: ComputeBinary}}, services)
	for host, want := range map[string]bool{"h1": true, "h2": false, "": true} {
		some, err := db.HasInstances(host)
		require.NoError(t, err)
		require.Equal(t, want, some, "instances on host %q", host)
	}
	page, err := db.Oldest(nil, 1)
	require.NoError(t, err)
	require.Equal(t, "2", page[0].UUID, "deleted, and the oldest")
	page, err = db.Oldest(&page[0], 9)
	require.NoError(t, err)
	require.Equal(t, "1", page[0].UUID)

	mapped := func(host string) (n int) {
		nodes, err := db.PresentNodes(host)
		require.NoError(t, err)
		for i := range nodes {
			require.False(t, i > 0 && nodes[i].Host < nodes[i-1].Host, "by host")
			require.Zero(t, nodes[i].Deleted)
			if nodes[i].Mapped {
				n++
			}
		}
		return n
	}
	require.Equal(t, 60, mapped(""))
	require.NoError(t, db.SetMapped(t.Context(), true, "001", "000", "none"))
	require.Equal(t, 61, mapped(""))
	require.Equal(t, 1, mapped("h119"))
	require.NoError(t, db.Unmap(t.Context(), "h119"))
	require.Equal(t, 60, mapped(""))
	require.NoError(t, db.Unmap(t.Context(), ""))
	require.Zero(t, mapped(""))
}
