// Package table keeps typed tables over a store: rows with a primary key,
// secondary indexes, pages in any order, and a feed of what changed.
//
// A [Table] says how rows of one type are encoded, keyed and indexed. A [DB]
// holds tables in memory and keeps them current from the store's feed, so no
// read touches the store. [DB.Update] runs a function that reads and writes
// rows of any table, and commits all of it as one batch that takes effect only
// if every row that was read is still as it was; otherwise the function runs
// again. [Sync] brings a database to the schema of the program.
//
// # Promises
//
//   - Memory changes only by batches that the store has committed, in the
//     order of their revisions.
//   - When Update returns, the change is durable and visible to every read of
//     the same DB. When it returns [ErrOutcomeUnknown] the change may take
//     effect or not; any other error means that it never will.
//   - A page that begins after a row is the same whether that row is still
//     there or not.
//   - A program never writes to a database whose schema has left it behind,
//     not even when the schema changes while the program runs.
//
// Rows that reads return are the caller's to keep; slices and pointers in
// them are shared and must not be changed. DB and Table are safe for
// concurrent use; a [Tx] belongs to the function that was given it.
//
//	hosts := table.New(table.Spec[Host]{Name: "hosts", Kind: 1, Key: ..., Encode: ..., Decode: ...})
//	db, err := table.Open(ctx, table.Config{Store: s, Schema: schema, Tables: []table.Definition{hosts}})
//	_, err = db.Update(ctx, func(tx *table.Tx) error { return hosts.Create(tx, Host{Name: "h1"}) })
//	err = db.View(func(tx *table.Tx) error { host, found = hosts.Get(tx, "h1"); return nil })
package table
