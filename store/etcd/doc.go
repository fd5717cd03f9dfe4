// Package etcd keeps records in an etcd cluster, which several processes may
// share.
//
// Under the prefix P of a store stand four kinds of key:
//
//	P/f          the format: a number
//	P/r<kind>ID  a record: version (8 bytes, big-endian), a byte 1, the value
//	P/b<id>      a batch that took effect: version, and the keys it deletes
//	P/l<name>    who is there: a value, with a lease
//
// A batch is one transaction. The version of a record begins its value, so
// that the order of byte strings compares it: a value of version v is greater
// than the eight bytes of v and less than those of v+1. Hence a writer can
// expect what a batch before it has yet to write. A batch's own key must be
// absent, and has a lease: a batch that is sent again takes effect at most
// once as long as its key lives, at least [Retention].
//
// Processes that are to be known as alive announce a name: [Store.Announce]
// keeps a lease alive, and the key of the name goes with it, without a write
// while all is well. [Store.Present] lists and follows them. They are no
// records: Load, Follow and copies of the store do not know them.
package etcd
