package cells_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/cells"
	"github.com/kilonova-cloud/kilonova/cells/apidb"
	"github.com/kilonova-cloud/kilonova/cells/celldb"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// A cell with a host that has reported, found and mapped.
func Example() {
	ctx := context.Background()
	east := mem.New(mem.Config{}) // the database of a cell, which its conductor fills
	if err := report(ctx, east); err != nil {
		fmt.Println(err)
		return
	}
	s := mem.New(mem.Config{})
	if _, err := apidb.Sync(ctx, s, false); err != nil {
		fmt.Println(err)
		return
	}
	api, err := apidb.Open(ctx, s)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := cells.New(cells.Config{
		API: api,
		Open: func(ctx context.Context, _ string) (*celldb.DB, func() error, error) {
			db, err := celldb.Open(ctx, east)
			return db, func() error { return db.Close() }, err
		},
		Base: cells.Addresses{Database: "etcd://h:2379/cloud"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = m.CreateCell(ctx, apidb.CellMapping{UUID: "e1", Name: "east", Database: "{scheme}://{hostname}:{port}/{path}/east", Transport: "rabbit://h"})
	hosts, errHosts := m.DiscoverHosts(ctx, cells.Discovery{})
	cell, errCell := m.Cell("e1")
	fmt.Println(hosts[0].Host, "is in", cell, "at", cell.Database, errors.Join(err, errHosts, errCell, api.Close()))
	// Output: compute1 is in east (e1) at etcd://h:2379/cloud/east <nil>
}

// report does what a conductor does for a host.
func report(ctx context.Context, s store.Store) error {
	if _, err := celldb.Sync(ctx, s, false); err != nil {
		return err
	}
	db, err := celldb.Open(ctx, s)
	if err != nil {
		return err
	}
	_, err = db.Update(ctx, func(tx *table.Tx) error {
		return db.Nodes.Create(tx, celldb.ComputeNode{UUID: "n1", Host: "compute1", Node: "compute1"})
	})
	return errors.Join(err, db.Close())
}
