// Package celldb is the database of one cell: its services, its compute nodes
// and its instances.
//
// A [DB] is a database of store/table with its tables as fields. [Sync] brings
// a store to the program's schema, [Open] loads it. Times are UTC. A row that is
// deleted stays until it is archived, as in Nova, and says when it was deleted.
//
//	_, err := celldb.Sync(ctx, s, false)
//	db, err := celldb.Open(ctx, s)
//	err = db.View(func(tx *table.Tx) error { instance, found = db.Instances.Get(tx, uuid); return nil })
package celldb
