package celldb

import (
	"context"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/table"
)

// DB is an open database of a cell.
type DB struct {
	*table.DB
	Services  *table.Table[Service]
	Nodes     *table.Table[ComputeNode]
	Instances *table.Table[Instance]
}

func schema() table.Schema {
	return table.Schema{Name: "cell", Steps: []table.Step{{Name: "services, compute nodes and instances"}}}
}

func config(s store.Store) (*DB, table.Config) {
	db := &DB{Services: newServices(), Nodes: newNodes(), Instances: newInstances()}
	return db, table.Config{Store: s, Schema: schema(), Tables: []table.Definition{db.Services, db.Nodes, db.Instances}}
}

// Sync brings a store to the schema of a cell's database; see [table.Sync].
func Sync(ctx context.Context, s store.Store, contract bool) (table.Progress, error) {
	_, cfg := config(s)
	return table.Sync(ctx, cfg, contract)
}

// Version is the version of the program's schema.
func Version() int { return schema().Version() }

// Synced returns how far the schema of a store has come; see [table.Synced].
func Synced(ctx context.Context, s store.Store) (table.Progress, error) {
	_, cfg := config(s)
	return table.Synced(ctx, cfg)
}

// Open loads the database of a cell from a store, which stays open when the
// database is closed. It returns what [table.Open] returns.
func Open(ctx context.Context, s store.Store) (*DB, error) {
	db, cfg := config(s)
	var err error
	db.DB, err = table.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return db, nil
}
