package placement

import "math/bits"

// A bitmap is a set of provider numbers in pages of 4,096, so that a rare
// trait among a million providers costs a few pages and not 125 kB.
type bitmap struct {
	pages []*page
	n     int // members
}

// page holds 64 words; bit k of some says that word k is not zero.
type page struct {
	some  uint64
	words [pageWords]uint64
}

const (
	pageWords = 64
	pageBits  = pageWords * 64
)

func (b *bitmap) has(i uint32) bool {
	return b.word(i>>6)&(1<<(i&63)) != 0
}

// page returns page p, nil when it has no members.
func (b *bitmap) page(p uint32) *page {
	if int(p) < len(b.pages) {
		return b.pages[p]
	}
	return nil
}

// word returns members w*64 to w*64+63.
func (b *bitmap) word(w uint32) uint64 {
	if p := b.page(w / pageWords); p != nil {
		return p.words[w%pageWords]
	}
	return 0
}

func (b *bitmap) set(i uint32) {
	at := i / pageBits
	for int(at) >= len(b.pages) {
		b.pages = append(b.pages, nil)
	}
	p := b.pages[at]
	if p == nil {
		p = new(page)
		b.pages[at] = p
	}
	w, bit := i/64%pageWords, uint64(1)<<(i&63)
	if p.words[w]&bit == 0 {
		p.words[w] |= bit
		p.some |= 1 << w
		b.n++
	}
}

// setWord adds members among w*64 to w*64+63, where there are none.
func (b *bitmap) setWord(w uint32, members uint64) {
	if members == 0 {
		return
	}
	b.set(w*64 + trailing(members))
	b.pages[w/pageWords].words[w%pageWords] = members
	b.n += bits.OnesCount64(members) - 1
}

func (b *bitmap) clear(i uint32) {
	p := b.page(i / pageBits)
	if p == nil {
		return
	}
	w, bit := i/64%pageWords, uint64(1)<<(i&63)
	if p.words[w]&bit == 0 {
		return
	}
	b.n--
	if p.words[w] &^= bit; p.words[w] == 0 {
		if p.some &^= 1 << w; p.some == 0 {
			b.pages[i/pageBits] = nil
		}
	}
}

// put sets or clears i.
func (b *bitmap) put(i uint32, on bool) {
	if on {
		b.set(i)
	} else {
		b.clear(i)
	}
}

// each calls f with every member in ascending order.
func (b *bitmap) each(f func(uint32)) {
	for p, page := range b.pages {
		if page == nil {
			continue
		}
		for k, word := range page.words {
			for ; word != 0; word &= word - 1 {
				f(uint32(p)*pageBits + uint32(k)*64 + trailing(word))
			}
		}
	}
}

func intersect(a, b *bitmap) bool {
	for at, p := range a.pages {
		other := b.page(uint32(at))
		if p == nil || other == nil {
			continue
		}
		for some := p.some & other.some; some != 0; some &= some - 1 {
			if k := trailing(some); p.words[k]&other.words[k] != 0 {
				return true
			}
		}
	}
	return false
}

func trailing(word uint64) uint32 { return uint32(bits.TrailingZeros64(word)) }

// freeIndex files the providers of one class by how much of it one more
// allocation could take: bitmap k holds those that can take at least the k-th
// of 1, 2, 3, 4, 6, 8, 12, 16, ... A request for an amount reads one bitmap,
// a superset of the answer by at most half the amount.
type freeIndex struct {
	level [61]bitmap // room is at most MaxInt
	any   bitmap     // every provider with an inventory of the class
}

// levels is how many of 1, 2, 3, 4, 6, 8, 12, ... are at most room.
func levels(room int64) int {
	if room < 2 {
		return int(room)
	}
	k := bits.Len32(uint32(room)) - 1
	return 2*k + int(room>>(k-1)&1)
}

// move refiles provider i whose room changed.
func (f *freeIndex) move(i uint32, was, is int64) {
	from, to := levels(was), levels(is)
	for ; from < to; from++ {
		f.level[from].set(i)
	}
	for ; from > to; from-- {
		f.level[from-1].clear(i)
	}
}

// file files all providers anew, 64 at a time.
func (f *freeIndex) file(room func(i uint32) int64) {
	f.level = [len(f.level)]bitmap{}
	for p, page := range f.any.pages {
		if page == nil {
			continue
		}
		for k, word := range page.words {
			var most [len(f.level) + 1]uint64 // members by how many bitmaps they are in
			first := uint32(p)*pageBits + uint32(k)*64
			for rest := word; rest != 0; rest &= rest - 1 {
				bit := trailing(rest)
				most[levels(room(first+bit))] |= 1 << bit
			}
			members := uint64(0)
			for n := len(f.level); n > 0; n-- {
				members |= most[n]
				f.level[n-1].setWord(first/64, members)
			}
		}
	}
}

// atLeast returns a superset of the providers with room for amount, or nil
// when no inventory can have room for it.
func (f *freeIndex) atLeast(amount int64) *bitmap {
	if f == nil || amount < 1 || amount > MaxInt {
		return nil
	}
	return &f.level[levels(amount)-1]
}
