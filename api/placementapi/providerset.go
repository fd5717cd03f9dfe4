package placementapi

import (
	"hash/maphash"

	"github.com/kilonova-cloud/kilonova/placement"
)

// providerSet is a set of providers in the order in which they came. It is a
// hash table that is emptied without giving its memory back.
type providerSet struct {
	seed  maphash.Seed
	list  []placement.UUID
	slots []uint32 // 1 + position in list, 0: free; as many as a power of two
}

const fewSlots = 64

// reset makes the set empty.
func (s *providerSet) reset() {
	if s.slots == nil {
		s.seed, s.slots = maphash.MakeSeed(), make([]uint32, fewSlots)
	}
	s.list, s.slots = s.list[:0], s.slots[:fewSlots]
	clear(s.slots)
}

// find returns the slot of u, or the free one where it belongs.
func (s *providerSet) find(u *placement.UUID) *uint32 {
	mask := uint64(len(s.slots) - 1)
	for at := maphash.Bytes(s.seed, u[:]); ; at++ {
		if slot := &s.slots[at&mask]; *slot == 0 || s.list[*slot-1] == *u {
			return slot
		}
	}
}

func (s *providerSet) has(u *placement.UUID) bool { return *s.find(u) != 0 }

// add adds u unless it is there.
func (s *providerSet) add(u *placement.UUID) {
	if n := len(s.list); n > 0 && s.list[n-1] == *u {
		return
	}
	slot := s.find(u)
	if *slot != 0 {
		return
	}
	s.list = append(s.list, *u)
	*slot = uint32(len(s.list))
	if 2*len(s.list) > len(s.slots) {
		s.grow()
	}
}

func (s *providerSet) grow() {
	n := 4 * len(s.slots)
	if n <= cap(s.slots) {
		s.slots = s.slots[:n]
		clear(s.slots)
	} else {
		s.slots = make([]uint32, n)
	}
	for k := range s.list {
		*s.find(&s.list[k]) = uint32(k + 1)
	}
}
