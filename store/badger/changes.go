package badger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// changes is what a part of the log does to records. It only notes where the
// log says so, because there may be millions.
type changes struct {
	batches []batch
	byKind  [1 << 8][]place // oldest first
}

// batch is what the log says of one batch.
type batch struct {
	revision, version uint64
	payload           []byte
	deletes           uint32 // where in payload the keys begin that it deletes
}

// place is where a batch puts or deletes a record.
type place struct {
	batch uint32 // in changes.batches
	at    uint32 // of the key's ID with its length, in the batch's payload
}

// change is the newest state of a record in a part of the log.
type change struct {
	id       []byte // of the key
	value    []byte
	version  uint64 // 0: deleted
	revision uint64
}

// readChanges collects the changes of the revisions after base up to until
// from segments. They alias memory that they share with each other.
func readChanges(segments []segment, base, until uint64) (*changes, error) {
	c := new(changes)
	for _, s := range segments {
		if s.last < s.first || s.first > until || s.last <= base {
			continue // nothing in it that is asked for
		}
		err := s.scan(min(until, s.last), func(f frame) error {
			if f.revision <= base {
				return nil
			}
			return c.add(f)
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// add notes the changes of the frame after those that were added.
func (c *changes) add(f frame) error {
	d, err := f.open()
	if err != nil {
		return err
	}
	at := func() uint32 { return uint32(len(f.payload) - len(d.rest)) }
	note := func() {
		kind := d.byte()
		c.byKind[kind] = append(c.byKind[kind], place{uint32(len(c.batches)), at()})
		d.bytes(d.uvarint())
	}
	d.bytes(uint64(len(store.BatchID{})))
	version := d.uvarint()
	for n := d.count(); n > 0 && !d.failed; n-- {
		note()
		d.bytes(d.uvarint())
	}
	deletes := at()
	for n := d.count(); n > 0 && !d.failed; n-- {
		note()
	}
	c.batches = append(c.batches, batch{f.revision, version, f.payload, deletes})
	return f.close(&d)
}

// at reads what was noted at p.
func (c *changes) at(p place) change {
	b := &c.batches[p.batch]
	d := decoder{rest: b.payload[p.at:]}
	found := change{id: d.bytes(d.uvarint()), revision: b.revision}
	if p.at < b.deletes {
		found.version, found.value = b.version, d.bytes(d.uvarint())
	}
	return found
}

// sieve forgets all but the newest change of each record, kind by kind.
type sieve struct {
	changes *changes
	hasher  hasher
	table   *table // gets what stays
	kind    int    // the kinds before it are done
	end     int    // of the kind's places that are to be looked at, the newest first
	keep    int    // where those begin that stay
	open    bool   // end and keep are set
	hashes  [lookAhead]keyHash
}

// step looks at some changes and reports whether any are left.
func (s *sieve) step() bool {
	if s.kind == len(s.changes.byKind) {
		return false
	}
	places := s.changes.byKind[s.kind]
	if !s.open {
		s.end, s.keep, s.open = len(places), len(places), true
	}
	if s.end == 0 {
		s.changes.byKind[s.kind] = places[s.keep:]
		s.kind, s.open = s.kind+1, false
		return true
	}
	from := max(s.end-lookAhead, 0)
	hashes := s.hashes[:s.end-from]
	for i, p := range places[from:s.end] {
		hashes[i] = s.hasher.id(store.Kind(s.kind), s.changes.at(p).id)
	}
	s.table.fetch(hashes)
	for i := s.end - 1; i >= from; i-- {
		if s.table.add(hashes[i-from], s.changes.entry(places[i])) {
			s.keep--
			places[s.keep] = places[i]
		}
	}
	s.end = from
	return true
}

// entry returns that of the change at p.
func (c *changes) entry(p place) entry {
	b := &c.batches[p.batch]
	if p.at >= b.deletes {
		return newEntry(0, b.revision)
	}
	return newEntry(b.version, b.revision)
}

// sort leaves the newest change of each record, in the order of Badger's keys.
func (c *changes) sort(h hasher) {
	newest := sieve{changes: c, hasher: h, table: newTable(0)}
	for more := true; more; {
		more = newest.step()
	}
	for kind := range c.byKind {
		c.sortKind(kind)
	}
}

func (c *changes) sortKind(kind int) {
	type item struct {
		start uint64 // of the ID: decides most comparisons without a look at the batch
		place place
	}
	items := make([]item, len(c.byKind[kind]))
	for i, p := range c.byKind[kind] {
		var start [8]byte
		copy(start[:], c.at(p).id)
		items[i] = item{binary.BigEndian.Uint64(start[:]), p}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.start != b.start {
			return cmp.Compare(a.start, b.start)
		}
		return bytes.Compare(c.at(a.place).id, c.at(b.place).id)
	})
	for i := range items {
		c.byKind[kind][i] = items[i].place
	}
}

// bytes is how large the records are.
func (c *changes) bytes() (n int64) {
	for _, places := range c.byKind {
		for _, p := range places {
			found := c.at(p)
			n += int64(1+len(found.id)+len(found.value)) + recordHeader
		}
	}
	return n
}

// cursor walks through changes that are sorted.
type cursor struct {
	changes *changes
	kind    int
	next    int    // in the kind's places
	key     []byte // Badger's; empty at the end
	change
}

// advance goes to the next change, or to the end.
func (c *cursor) advance() {
	c.key = c.key[:0]
	for ; c.kind < len(c.changes.byKind); c.kind, c.next = c.kind+1, 0 {
		if places := c.changes.byKind[c.kind]; c.next < len(places) {
			c.change = c.changes.at(places[c.next])
			c.key = append(append(c.key, byte(c.kind)), c.id...)
			c.next++
			return
		}
	}
}
