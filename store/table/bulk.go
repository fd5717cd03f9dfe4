package table

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"
)

// grow returns the tree of an index over rows, in any order.
func (x *index[R]) grow(rows []*row[R], with *sorting) *tree[R] {
	with.places = with.places[:0]
	for _, r := range rows {
		with.places = append(with.places, x.place(r))
	}
	order := with.sorted()
	return plant(len(rows), func(i int) entry[R] {
		n := order[i].n
		return entry[R]{with.places[n], rows[n]}
	})
}

// wordSize is how many bytes are sorted by at once.
const wordSize = 16

// slot is one of the places that are sorted: its number, and a part of it.
type slot struct {
	word [2]uint64
	n    uint32
}

func (a slot) compare(b slot) int {
	if a.word[0] != b.word[0] {
		return cmp.Compare(a.word[0], b.word[0])
	}
	return cmp.Compare(a.word[1], b.word[1])
}

// sorting sorts places, of which no two are equal. Its zero value is ready to
// use, and used again it needs no more memory.
type sorting struct {
	places  []string
	slots   []slot
	longest int
}

// sorted returns the order of the places. They begin with the same bytes for
// long and lie apart in memory, so to compare two of them wholly costs more
// than all else of loading a table. Here they are sorted by sixteen bytes, and
// those that are equal in these by the next.
func (s *sorting) sorted() []slot {
	s.slots, s.longest = slices.Grow(s.slots[:0], len(s.places))[:len(s.places)], 0
	for i, p := range s.places {
		s.slots[i].n = uint32(i)
		s.longest = max(s.longest, len(p))
	}
	s.sort(s.slots, s.alike())
	return s.slots
}

// alike returns how many bytes all places begin with alike.
func (s *sorting) alike() (n int) {
	for i, p := range s.places {
		if i == 0 {
			n = len(p)
		}
		n = min(n, len(p))
		for p[:n] != s.places[0][:n] {
			n--
		}
	}
	return n
}

// fewSlots are compared at once.
const fewSlots = 8

// sort sorts slots whose places are equal before depth.
func (s *sorting) sort(slots []slot, depth int) {
	if len(slots) <= fewSlots || depth >= s.longest {
		slices.SortFunc(slots, func(a, b slot) int { return strings.Compare(s.places[a.n], s.places[b.n]) })
		return
	}
	for i := range slots {
		slots[i].word = wordAt(s.places[slots[i].n], depth)
	}
	slices.SortFunc(slots, slot.compare)
	for len(slots) > 0 {
		equal := 1
		for equal < len(slots) && slots[equal].word == slots[0].word {
			equal++
		}
		if equal > 1 {
			s.sort(slots[:equal], depth+wordSize)
		}
		slots = slots[equal:]
	}
}

// wordAt returns the bytes of a text from a position on, as numbers that sort
// as they do; those that it has not are 0.
func wordAt(text string, from int) [2]uint64 {
	var b [wordSize]byte
	if from < len(text) {
		copy(b[:], text[from:])
	}
	return [2]uint64{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}
