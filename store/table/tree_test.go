package table

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// places reads what a walk visits, so many at most.
func places(walk func(string, func(entry[int]) bool), at string, most int) (got []string) {
	walk(at, func(e entry[int]) bool {
		got = append(got, e.at)
		return len(got) != most
	})
	return got
}

// TestTree compares a tree with a sorted slice, while it grows from what was
// planted or in order, and shrinks.
func TestTree(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	form := func(i int) string { return fmt.Sprintf("%06d", i) }
	for _, planted := range []int{0, 1, plantedSize, 5000} {
		var want []string
		for i := range planted {
			want = append(want, form(i*7))
		}
		tr := plant(planted, func(i int) entry[int] { return entry[int]{at: want[i]} })
		want = slices.Clone(want)
		backward := func(s []string) []string {
			s = slices.Clone(s)
			slices.Reverse(s)
			return s
		}
		check := func() {
			from := form(rng.IntN(40_000))
			i, _ := slices.BinarySearch(want, from)
			for _, pair := range [][2][]string{
				{want, places(tr.ascend, "", -1)},
				{backward(want), places(tr.descend, "", -1)},
				{want[i:min(i+300, len(want))], places(tr.ascend, from, 300)},
				{backward(want[max(0, i-300):i]), places(tr.descend, from, 300)},
			} {
				require.True(t, slices.Equal(pair[0], pair[1]), "from %s: want %q got %q", from, pair[0], pair[1])
			}
			for _, b := range tr.blocks {
				require.True(t, 0 < len(b) && len(b) <= blockSize, len(b))
			}
		}
		check()
		for step := range 30_000 {
			at := form(rng.IntN(36_000))
			if step < 2000 {
				at = form(36_000 + step)
			}
			i, found := slices.BinarySearch(want, at)
			switch grow := step < 16_000; {
			case grow != (rng.IntN(4) == 0):
				tr.set(entry[int]{at: at})
				if !found {
					want = slices.Insert(want, i, at)
				}
			case found:
				tr.remove(at)
				want = slices.Delete(want, i, i+1)
			default:
				tr.remove(at)
			}
			if step%3000 == 0 {
				check()
			}
		}
		check()
		entries := len(want)
		require.Less(t, len(tr.blocks), 4*entries/blockSize+2, "blocks of %d entries", entries)
		for _, i := range rng.Perm(entries) {
			tr.remove(want[i])
		}
		require.Empty(t, tr.blocks)
		tr.set(entry[int]{at: "x"})
		require.Equal(t, []string{"x"}, places(tr.descend, "y", -1))
	}
}

// TestSorted sorts texts that begin alike, end early, or are zeros.
func TestSorted(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var s sorting
	for n := range 60 {
		seen := map[string]bool{}
		for range n * n {
			seen[strings.Repeat("same", rng.IntN(5))+strings.Repeat("\x00", rng.IntN(30))+strings.Repeat("\xff", rng.IntN(20))] = true
		}
		var got []string
		s.places = slices.Collect(maps.Keys(seen))
		for _, slot := range s.sorted() {
			got = append(got, s.places[slot.n])
		}
		require.Equal(t, slices.Sorted(maps.Keys(seen)), got)
	}
}
