// Package apidb is the API database: which cells there are, and which cell
// each host and each instance is in.
//
// A [DB] is a database of store/table with its tables as fields. [Sync] brings
// a store to the program's schema, [Open] loads it. A store on Badger belongs to
// one process; one in etcd may be open in any number.
//
// # Promises
//
//   - No two cells have the same database or the same transport, whoever
//     creates and changes them at once ([DB.ChangeCells]).
//   - A host or an instance is never mapped to a cell that is not there, if who
//     maps it asks for [DB.Takes] in the same change: a cell is closed before it
//     is deleted, and a closed one takes no mapping.
//
// All of it is safe for concurrent use.
//
//	_, err := apidb.Sync(ctx, s, false)
//	db, err := apidb.Open(ctx, s)
//	err = db.View(func(tx *table.Tx) error { mapping, found = db.Instances.Get(tx, uuid); return nil })
package apidb
