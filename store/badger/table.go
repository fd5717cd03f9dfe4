package badger

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// keyHash stands for a key. It is 96 bits of two seeded hashes: among ten
// million keys two are taken for one with a probability of 10^-15, whoever
// chooses them.
type keyHash [12]byte

// hasher makes key hashes; each process has seeds of its own.
type hasher [2]maphash.Seed

func newHasher() hasher { return hasher{maphash.MakeSeed(), maphash.MakeSeed()} }

func (h hasher) key(k store.Key) keyHash {
	return mixKind(k.Kind, maphash.String(h[0], k.ID), maphash.String(h[1], k.ID))
}

// id is key for a key in parts.
func (h hasher) id(k store.Kind, id []byte) keyHash {
	return mixKind(k, maphash.Bytes(h[0], id), maphash.Bytes(h[1], id))
}

func mixKind(k store.Kind, first, second uint64) keyHash {
	// Odd factors spread the kind over all bits; the same ID in two kinds
	// differs in every hash.
	var out keyHash
	kind := uint64(k)
	binary.LittleEndian.PutUint64(out[:8], first^kind*0x9e3779b97f4a7c15)
	binary.LittleEndian.PutUint32(out[8:], uint32(second^kind*0xc2b2ae3d27d4eb4f))
	return out
}

// entry is what the store knows of one record without reading the disk: its
// version, and the revision of the batch that wrote it or 0 when it came from
// the checkpoint. A version of 0 with a revision marks a deleted record, while
// a pass over the records needs to know. It is packed, 8 and 7 bytes, because
// there are millions.
type entry [15]byte

func newEntry(version, revision uint64) entry {
	var e entry
	binary.LittleEndian.PutUint64(e[7:], revision<<8)
	binary.LittleEndian.PutUint64(e[:], version)
	return e
}

func (e entry) version() uint64  { return binary.LittleEndian.Uint64(e[:]) }
func (e entry) revision() uint64 { return binary.LittleEndian.Uint64(e[7:]) >> 8 }

// table holds an entry for each record. One goroutine uses it. It is many
// small hash tables, each of which grows by a third when it is four fifths
// full, so that growing moves little at once and finds it in a cache: 34 to
// 45 bytes a record.
type table struct {
	parts   [tableParts]part
	least   int // slots that a part begins with
	fetched byte
}

const tableParts = 1 << 10

// lookAhead is how many keys are worth a fetch at once.
const lookAhead = 64

// part is one hash table with linear probing.
type part struct {
	slots []slot
	used  int
}

// slot is free when its entry is zero.
type slot struct {
	key   keyHash
	entry entry
}

// newTable makes a table that need not grow before it has records entries.
func newTable(records uint64) *table {
	if records < tableParts {
		return new(table)
	}
	return &table{least: int(records/tableParts)*4/3 + 8}
}

func (t *table) part(key *keyHash) *part {
	return &t.parts[binary.LittleEndian.Uint64(key[:])>>54]
}

// home is where the search for key begins.
func (p *part) home(key *keyHash) int {
	return int(uint64(binary.LittleEndian.Uint32(key[:])) * uint64(len(p.slots)) >> 32)
}

// find returns the slot that has key, or else the free one where it belongs.
func (p *part) find(key *keyHash) *slot {
	for at := p.home(key); ; at++ {
		if at == len(p.slots) {
			at = 0
		}
		if s := &p.slots[at]; s.entry == (entry{}) || s.key == *key {
			return s
		}
	}
}

func (p *part) grow(least int) {
	old := p.slots
	p.slots = make([]slot, max(least, len(old)+len(old)/3+4))
	for i := range old {
		if old[i].entry == (entry{}) {
			continue
		}
		at := p.home(&old[i].key)
		for p.slots[at].entry != (entry{}) {
			if at++; at == len(p.slots) {
				at = 0
			}
		}
		p.slots[at] = old[i]
	}
}

// fetch brings the slots of keys into the processor's cache, all at a time
// instead of one after the other as they are looked up.
func (t *table) fetch(keys []keyHash) {
	var sum byte
	for i := range keys {
		if p := t.part(&keys[i]); len(p.slots) > 0 {
			sum |= p.slots[p.home(&keys[i])].key[0]
		}
	}
	t.fetched = sum // so that the reads are not left out
}

// get returns the entry of key, zero when there is none.
func (t *table) get(key keyHash) entry {
	p := t.part(&key)
	if len(p.slots) == 0 {
		return entry{}
	}
	return p.find(&key).entry
}

// add enters e for key and returns true, or changes nothing when key has an
// entry.
func (t *table) add(key keyHash, e entry) bool {
	p := t.part(&key)
	if (p.used+1)*5 > len(p.slots)*4 {
		p.grow(t.least)
	}
	s := p.find(&key)
	if s.entry != (entry{}) {
		return false
	}
	*s = slot{key, e}
	p.used++
	return true
}

// remove takes the entry of key out and closes the gap behind it.
func (t *table) remove(key keyHash) {
	p := t.part(&key)
	if len(p.slots) == 0 {
		return
	}
	at, n := p.home(&key), len(p.slots)
	for p.slots[at].key != key || p.slots[at].entry == (entry{}) {
		if p.slots[at].entry == (entry{}) {
			return
		}
		at = (at + 1) % n
	}
	for next := (at + 1) % n; p.slots[next].entry != (entry{}); next = (next + 1) % n {
		home := p.home(&p.slots[next].key)
		if (next-home+n)%n >= (next-at+n)%n {
			p.slots[at] = p.slots[next]
			at = next
		}
	}
	p.slots[at] = slot{}
	p.used--
}

// undo is how to take back one change of the table.
type undo struct {
	key keyHash
	old entry // version 0: there was none
}

// set changes the entry of key and returns how to take it back. A version of
// 0 removes it.
func (t *table) set(key keyHash, e entry) undo {
	u := undo{key, t.get(key)}
	t.put(key, e)
	return u
}

func (t *table) put(key keyHash, e entry) {
	if e.version() == 0 {
		t.remove(key)
		return
	}
	if !t.add(key, e) {
		t.part(&key).find(&key).entry = e
	}
}

// rollback takes back changes, the newest first.
func (t *table) rollback(changes []undo) {
	for _, u := range slices.Backward(changes) {
		t.put(u.key, u.old)
	}
}
