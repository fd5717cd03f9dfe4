package placement

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/google/btree"
)

// An index finds the number of a record by a hash of its key: open addressing
// over 8-byte slots, of which the lower half is the number plus one and the
// upper half a tag of the hash. The keys themselves stay in the records.
type index struct {
	slots []uint64
	n     int
}

func (x *index) find(hash uint64, same func(uint32) bool) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(x.slots) - 1)
	tag := hash >> 32
	for pos := hash & mask; ; pos = (pos + 1) & mask {
		s := x.slots[pos]
		if s == 0 {
			return 0, false
		}
		if s>>32 == tag && same(uint32(s)-1) {
			return uint32(s) - 1, true
		}
	}
}

// add files number i, which must not be in the index.
func (x *index) add(hash uint64, i uint32) {
	if (x.n+1)*4 > len(x.slots)*3 {
		x.grow()
	}
	x.place(hash, uint64(i)+1)
	x.n++
}

func (x *index) place(hash, number uint64) {
	mask := uint64(len(x.slots) - 1)
	pos := hash & mask
	for x.slots[pos] != 0 {
		pos = (pos + 1) & mask
	}
	x.slots[pos] = hash>>32<<32 | number
}

// grow doubles the table. A slot's home is the lower half of the hash, which
// it does not keep: tables of 2^32 slots and more are out of reach, and below
// that the caller's hash repeats the needed bits in both halves (see fold).
func (x *index) grow() {
	old := x.slots
	x.slots = make([]uint64, max(16, len(old)*2))
	for _, s := range old {
		if s != 0 {
			x.place(fold(s>>32), s&(1<<32-1))
		}
	}
}

// remove takes number i out and closes the gap behind it.
func (x *index) remove(hash uint64, i uint32) {
	mask := uint64(len(x.slots) - 1)
	pos := hash & mask
	for uint32(x.slots[pos]) != i+1 {
		pos = (pos + 1) & mask
	}
	for next := (pos + 1) & mask; x.slots[next] != 0; next = (next + 1) & mask {
		home := fold(x.slots[next]>>32) & mask
		if (next-home)&mask >= (next-pos)&mask {
			x.slots[pos] = x.slots[next]
			pos = next
		}
	}
	x.slots[pos] = 0
	x.n--
}

// fold spreads 32 bits of hash over both halves, so that an index can tell a
// slot's home from its tag.
func fold(h32 uint64) uint64 { return h32<<32 | h32 }

// hashUUID mixes all of u with the engine's seed: UUIDs come from outside.
func (w *world) hashUUID(u *UUID) uint64 {
	hi, lo := bits.Mul64(binary.LittleEndian.Uint64(u[:8])^w.seed, binary.LittleEndian.Uint64(u[8:])^(w.seed*0x9e3779b97f4a7c15|1))
	return fold((hi ^ lo) >> 32)
}

// An idset is an ordered set of numbers: a sorted slice while it is small,
// which is a B-tree of one node, and a B-tree beyond.
type idset struct {
	small []uint32
	big   *btree.BTreeG[uint32]
}

const idsetSmall = 64

func (s *idset) len() int {
	if s.big != nil {
		return s.big.Len()
	}
	return len(s.small)
}

// insert adds id.
func (s *idset) insert(id uint32) {
	if s.big != nil {
		s.big.ReplaceOrInsert(id)
		return
	}
	at := len(s.small)
	for at > 0 && s.small[at-1] >= id { // new ids are mostly the largest
		at--
	}
	if at < len(s.small) && s.small[at] == id {
		return
	}
	if len(s.small) == idsetSmall {
		s.big = btree.NewG(32, cmp.Less[uint32])
		for _, v := range s.small {
			s.big.ReplaceOrInsert(v)
		}
		s.small = nil
		s.big.ReplaceOrInsert(id)
		return
	}
	s.small = slices.Insert(s.small, at, id)
}

// remove takes id out.
func (s *idset) remove(id uint32) {
	if s.big == nil {
		if at := slices.Index(s.small, id); at >= 0 {
			s.small = slices.Delete(s.small, at, at+1)
		}
		return
	}
	s.big.Delete(id)
	if s.big.Len() == idsetSmall/2 {
		s.small = make([]uint32, 0, idsetSmall)
		s.big.Ascend(func(v uint32) bool { s.small = append(s.small, v); return true })
		s.big = nil
	}
}

func (s *idset) has(id uint32) bool {
	if s.big != nil {
		return s.big.Has(id)
	}
	return slices.Contains(s.small, id)
}

// all yields the members in ascending order.
func (s *idset) all(yield func(uint32) bool) {
	if s.big != nil {
		s.big.Ascend(yield)
		return
	}
	for _, v := range s.small {
		if !yield(v) {
			return
		}
	}
}
