// Package intent lets a store of small batches take large ones: it writes a
// large batch in chunks that become visible together, by one final record.
//
// [Wrap] puts a [Store] around any [store.Store]. It has no limits on records
// and bytes; a batch that the store below can hold goes straight through. All
// who share a store must wrap it, or none.
//
// # How it works
//
// One record, the directory, lists the large batches under way: their intents.
// A chunk replaces each of its records by an envelope, which holds the record
// as it was and as it will be, and lists their keys in a chunk record. The
// batch takes effect when the directory says so; this final change carries the
// batch's ID. Then the envelopes are replaced by what they hold and the intent
// leaves the directory. An intent that fails, or whose writer has died, is
// rolled back: its records get their old values, at new versions.
//
// Invariants:
//
//   - Every batch that reaches the store below expects the directory, or the
//     records that it changes, at a version that its writer has judged. So a
//     change of the directory fences off whatever is still on its way.
//   - An envelope is replaced only together with its chunk record, by whoever
//     settles its intent. Chunk records are a sequence without gaps.
//   - Nothing of an intent is seen outside: Load, Follow and Conflict show
//     records as they were until the final change, and as they are after it.
//   - No intent is open while the turn changes, and what is sent by
//     [Store.CommitIn] expects the directory of its epoch. So what takes effect
//     in an epoch was planned for it.
//
// The store below must recognise a batch by its ID, whatever it expects; a
// batch that did not take effect may come again expecting something else.
//
// # Turns
//
// One of those who share a store can write alone for a while, and then expect
// nothing of what it has seen in the feed. The directory says whose turn it is
// and counts the changes of that: the epochs. [Store.TakeTurn] and
// [Store.FreeTurn] end an epoch, [Store.CommitIn] commits only in the one that
// the batch was planned in, and [Store.Turn] says up to which epoch the feed has
// come. Commit heeds no turn. Whoever plans reads the turn first and the
// records then.
//
// # The dead
//
// A writer extends the lease of its intents while it works. Whoever meets an
// intent whose lease has ended settles it: Commit, the end of Load, and
// [Store.Reap], which is for those who want it done without a write.
//
// A Store is safe for concurrent use and starts no goroutine.
//
//	s := intent.Wrap(inner, intent.Config{Now: time.Now})
//	res, err := s.Commit(ctx, store.Batch{ID: id, Version: 7, Puts: thousands})
package intent
