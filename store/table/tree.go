package table

import (
	"slices"
	"sort"
	"strings"
)

// blockSize is how many entries a block has at most, and plantedSize how many
// where many are put in at once: some may come without a split.
const blockSize, plantedSize = 256, 224

// entry is a row's place in an index.
type entry[R any] struct {
	at  string
	row *row[R]
}

func (e entry[R]) compare(at string) int { return strings.Compare(e.at, at) }

// tree holds entries in the order of their places. It is a B-tree of two
// levels: blocks of entries below one root. A root of a million entries has
// five thousand blocks, so that moving them, once in a hundred puts, costs
// less than the levels that it saves.
type tree[R any] struct {
	blocks [][]entry[R] // none is empty
}

// plant returns the tree of entries that are in order.
func plant[R any](n int, next func(i int) entry[R]) *tree[R] {
	t := &tree[R]{blocks: make([][]entry[R], 0, n/plantedSize+1)}
	for i := 0; i < n; {
		b := make([]entry[R], min(n-i, plantedSize), blockSize)
		for j := range b {
			b[j] = next(i + j)
		}
		t.blocks = append(t.blocks, b)
		i += len(b)
	}
	return t
}

// find returns where the first entry stands that is not before a place, or
// would stand: the block and the position in it.
func (t *tree[R]) find(at string) (block, i int, found bool) {
	block = sort.Search(len(t.blocks), func(b int) bool { return t.blocks[b][0].at > at }) - 1
	if block < 0 {
		return 0, 0, false
	}
	i, found = slices.BinarySearchFunc(t.blocks[block], at, entry[R].compare)
	return block, i, found
}

// set puts an entry in, in place of the one that stands there.
func (t *tree[R]) set(e entry[R]) {
	b, i, found := t.find(e.at)
	switch {
	case found:
		t.blocks[b][i] = e
		return
	case len(t.blocks) == 0:
		t.blocks = append(t.blocks, []entry[R]{e})
		return
	case len(t.blocks[b]) < blockSize:
		t.blocks[b] = slices.Insert(t.blocks[b], i, e)
		return
	case i == blockSize && b == len(t.blocks)-1:
		t.blocks = append(t.blocks, []entry[R]{e}) // who puts in order leaves full blocks
		return
	}
	full, half := t.blocks[b], blockSize/2
	t.blocks = slices.Insert(t.blocks, b+1, slices.Clone(full[half:]))
	clear(full[half:])
	t.blocks[b] = full[:half]
	if i > half {
		b, i = b+1, i-half
	}
	t.blocks[b] = slices.Insert(t.blocks[b], i, e)
}

// remove takes out the entry at a place, if there is one.
func (t *tree[R]) remove(at string) {
	b, i, found := t.find(at)
	if !found {
		return
	}
	t.blocks[b] = slices.Delete(t.blocks[b], i, i+1)
	t.join(b)
	t.join(b - 1)
}

// join drops a block that is empty, and puts one and the next together when
// both fill no more than half of one.
func (t *tree[R]) join(b int) {
	switch {
	case b < 0 || b >= len(t.blocks):
	case len(t.blocks[b]) == 0:
		t.blocks = slices.Delete(t.blocks, b, b+1)
	case b+1 < len(t.blocks) && len(t.blocks[b])+len(t.blocks[b+1]) <= blockSize/2:
		t.blocks[b] = append(t.blocks[b], t.blocks[b+1]...)
		t.blocks = slices.Delete(t.blocks, b+1, b+2)
	}
}

// ascend visits the entries that are not before a place, until visit returns
// false.
func (t *tree[R]) ascend(first string, visit func(entry[R]) bool) {
	b, i, _ := t.find(first)
	for ; b < len(t.blocks); b, i = b+1, 0 {
		for _, e := range t.blocks[b][i:] {
			if !visit(e) {
				return
			}
		}
	}
}

// descend visits the entries that are before a place, or all of them when it
// is "", backward, until visit returns false.
func (t *tree[R]) descend(end string, visit func(entry[R]) bool) {
	b, i := len(t.blocks)-1, blockSize
	if end != "" {
		b, i, _ = t.find(end)
	}
	for ; 0 <= b && b < len(t.blocks); b, i = b-1, blockSize {
		block := t.blocks[b]
		for _, e := range slices.Backward(block[:min(i, len(block))]) {
			if !visit(e) {
				return
			}
		}
	}
}
