// Package badger keeps a store's records on one machine's disk: a write-ahead
// log of its own for durability, Badger for the checkpoint below it.
//
// [Open] gives a [Store]; see [Config] for what can be set. Invariants:
//
//   - A commit is acknowledged after its frame is in the log and fdatasync has
//     returned. Commits that wait at the same time share one sync.
//   - Revisions in the log are contiguous; the high-water mark tells a torn
//     tail from damage.
//   - A checkpoint is a whole new Badger database beside the old one. It is
//     written and closed before CHECKPOINT names it, and never changed after.
//   - Bytes that are not what was written are refused with [store.ErrDamaged].
//     CHECKPOINT holds a checksum of every Badger file, so Badger itself never
//     sees a damaged one.
//
// One process opens a directory at a time. A Store is safe for concurrent use.
//
//	s, err := badger.Open(badger.Config{Dir: "/var/lib/kilonova/placement"})
//	if err != nil {
//		return err
//	}
//	defer s.Close()
//
// The files of a store directory (numbers are revisions, sizes are bytes):
//
//	FORMAT             version of all that follows
//	LOCK               held with flock while open
//	CHECKPOINT         what the newest checkpoint holds, and its files
//	badger/N/          the Badger database with the records at revision N
//	wal/N.log          frames of the batches from revision N on
//	wal/hwm            high-water mark: the last revision known to be synced
package badger
