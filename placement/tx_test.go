package placement

import (
	"math/rand/v2"
	"testing"
)

// TestSums adds up what random writes ask of inventories, few and many, some
// again and again, and looks whether each inventory has one sum.
func TestSums(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		w := &tx{}
		for range 2 { // the second write uses the memory of the first
			want, states := map[[2]uint32]int64{}, map[uint32]bool{}
			providers := 1 + rng.Uint32N(300)
			for range 1 + rng.IntN(1000) {
				i, classes := rng.Uint32N(providers), 1+rng.Uint32N(3)
				for class := range classes {
					w.advanceOnce(i, 1)
					w.sum(i, class).asked += int64(class) + 1
					want[[2]uint32{i, class}] += int64(class) + 1
				}
				states[i] = true
			}
			for _, s := range w.sums {
				if s.asked != want[[2]uint32{s.provider, s.class}] {
					t.Fatalf("seed %d: %+v, want %d", seed, s, want[[2]uint32{s.provider, s.class}])
				}
			}
			if len(w.sums) != len(want) || len(w.states) != len(states) {
				t.Fatalf("seed %d: %d sums and %d states, want %d and %d", seed, len(w.sums), len(w.states), len(want), len(states))
			}
			w.reset()
		}
	}
}
