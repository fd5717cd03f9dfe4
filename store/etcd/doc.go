// Package etcd keeps records in an etcd cluster, which several processes may
// share.
//
// Under the prefix P of a store stand three kinds of key:
//
//	P/f          the format: a number
//	P/r<kind>ID  a record: version (8 bytes, big-endian), a byte 1, the value
//	P/b<id>      a batch that took effect: version, and the keys it deletes
//
// A batch is one transaction. The version of a record begins its value, so
// that the order of byte strings compares it: a value of version v is greater
// than the eight bytes of v and less than those of v+1. Hence a writer can
// expect what a batch before it has yet to write. A batch's own key must be
// absent, and has a lease: a batch that is sent again takes effect at most
// once as long as its key lives, at least [Retention].
package etcd
