package live

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/google/btree"
)

// TestRank compares a rank with sorting, through random changes and growth.
func TestRank(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r := rank{seed: seed}
		scores := []float64{}
		for range 300 {
			switch rng.IntN(10) {
			case 0:
				for range rng.IntN(40) {
					scores = append(scores, nowhere)
				}
				r.grow(len(scores))
			default:
				if len(scores) == 0 {
					continue
				}
				host := rng.IntN(len(scores))
				score := float64(rng.IntN(12))
				if rng.IntN(3) == 0 {
					score = nowhere
				}
				scores[host] = score
				r.set(uint32(host), score)
			}
			check(t, &r, scores)
		}
	}
}

func check(t *testing.T, r *rank, scores []float64) {
	t.Helper()
	var want []uint32
	for host, score := range scores {
		if score != nowhere {
			want = append(want, uint32(host))
		}
	}
	slices.SortFunc(want, func(a, b uint32) int {
		x, y := r.champion(a, scores[a]), r.champion(b, scores[b])
		if x.beats(&y) {
			return -1
		}
		return 1
	})
	best, some := r.best()
	if some != (len(want) > 0) || some && best != want[0] {
		t.Fatalf("seed %d: best of %v is %d, %v", r.seed, scores, best, some)
	}
	var w walk
	var got []uint32
	w.start(r)
	for host, more := w.next(); more; host, more = w.next() {
		got = append(got, host)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("seed %d: order of %v is %v, want %v", r.seed, scores, got, want)
	}
}

// BenchmarkRank changes one score of many.
func BenchmarkRank(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("hosts=", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			r := rank{seed: 1}
			r.grow(n)
			for i := range n {
				r.set(uint32(i), rng.Float64())
			}
			for b.Loop() {
				r.set(uint32(rng.IntN(n)), rng.Float64())
			}
			b.ReportMetric(float64(r.bytes())/float64(n), "B/host")
		})
	}
}

// BenchmarkBTree is what BenchmarkRank is compared with (D-0015).
func BenchmarkBTree(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 1_000_000} {
		b.Run(fmt.Sprint("hosts=", n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			scores := make([]float64, n)
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			tree := btree.NewG(32, func(x, y champion) bool { return x.beats(&y) })
			for i := range scores {
				scores[i] = rng.Float64()
				tree.ReplaceOrInsert(champion{score: scores[i], host: uint32(i)})
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			for b.Loop() {
				i := rng.IntN(n)
				tree.Delete(champion{score: scores[i], host: uint32(i)})
				scores[i] = rng.Float64()
				tree.ReplaceOrInsert(champion{score: scores[i], host: uint32(i)})
			}
			b.ReportMetric(8+float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/host")
		})
	}
}
