package placement

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hotWorld is n hosts filled to 70 % by a mix of flavors.
type hotWorld struct {
	e    *Engine
	rng  *rand.Rand
	reqs []CandidateRequest
	next int

	groups []RequestGroup
	list   []UUID
	lists  [][]UUID
}

// newHotWorld has n hosts of 16 VCPU. One in 128 is kept empty, for the last
// flavor, which fits nowhere else; the others are filled to 70 % by the mix.
func newHotWorld(t testing.TB, n int) *hotWorld {
	t.Helper()
	ctx := t.Context()
	w := &hotWorld{e: newEngine(t), rng: rand.New(rand.NewPCG(1, 2)), groups: make([]RequestGroup, 1), list: make([]UUID, 1)}
	w.lists = [][]UUID{w.list}
	_, err := w.e.CreateTrait(ctx, "CUSTOM_WHOLE_HOST")
	require.NoError(t, err)
	standard := StandardTraits()
	traits := standard[:29]
	for i := range n {
		inv := map[string]Inventory{"VCPU": NewInventory(16), "MEMORY_MB": NewInventory(65536), "DISK_GB": NewInventory(1000)}
		id := addHost(t, w.e, i, inv)
		mine := append(traits[:29:29], standard[30])
		if i%128 == 7 {
			mine[29] = "CUSTOM_WHOLE_HOST"
		}
		_, err := w.e.SetTraits(ctx, id, mine, AnyGeneration)
		require.NoError(t, err)
		aggs := []UUID{testUUID('a', 0), testUUID('a', 1+i/3%10), testUUID('a', 20+i%7)}
		_, err = w.e.SetAggregates(ctx, id, aggs, AnyGeneration)
		require.NoError(t, err)
	}
	for k, vcpu := range []int64{1, 1, 1, 2, 2, 2, 2, 4, 4, 4, 4, 6, 8, 8, 16} {
		g := RequestGroup{
			Resources: []Resource{{"VCPU", vcpu}, {"MEMORY_MB", vcpu * 2048}, {"DISK_GB", 20 + vcpu*10}},
			Required:  [][]string{{traits[k]}},
		}
		if vcpu < 16 {
			g.Forbidden = []string{"CUSTOM_WHOLE_HOST"}
		}
		w.reqs = append(w.reqs, CandidateRequest{Limit: 1, Random: true, Groups: []RequestGroup{g}})
	}
	for used := int64(0); used < int64(n)*16*7/10; {
		k := w.rng.IntN(14)
		if w.claim(t, k) {
			used += w.reqs[k].Groups[0].Resources[0].Amount
		}
	}
	return w
}

func (w *hotWorld) claim(t testing.TB, k int) bool {
	req := w.reqs[k]
	req.Seed = w.rng.Uint64()
	req.Groups = append(w.groups[:0], req.Groups[0])
	w.list[0] = testUUID('a', 1+int(req.Seed%10))
	w.groups[0].MemberOf = w.lists
	ok := false
	for c, err := range w.e.Candidates(t.Context(), req) {
		if err != nil {
			t.Fatal(err)
		}
		w.next++
		err = w.e.SetAllocations(t.Context(), AllocationWrite{Consumers: []ConsumerAllocations{{
			Consumer: testUUID('c', w.next), Project: "p", User: "u", Generation: NewConsumer, Allocations: c.Allocations,
		}}})
		if err != nil {
			t.Fatal(err)
		}
		ok = true
	}
	return ok
}

func BenchmarkHot(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := newHotWorld(b, n)
			b.ReportAllocs()
			b.ResetTimer()
			cpu := cpuTime(b)
			defer func() { b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op") }()
			for i := range b.N {
				if !w.claim(b, i%15) {
					b.Fatal("no candidate for flavor ", i%15)
				}
				if err := w.e.DeleteAllocations(b.Context(), testUUID('c', w.next)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// cpuTime is what the process has used, garbage collection included. It does
// not depend on who else uses the machine.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkWide asks for ten candidates of one root with eight children: of
// one unit each and isolated (40,320 combinations), and of eight units
// without a policy (16.7 million).
func BenchmarkWide(b *testing.B) {
	for name, c := range map[string]struct {
		units  int64
		policy GroupPolicy
	}{"isolate": {1, PolicyIsolate}, "none": {8, PolicyNone}} {
		b.Run(name, func(b *testing.B) {
			e, req := wide(b, c.units)
			req.Policy, req.Limit = c.policy, 10
			require.Equal(b, 10, count(b, e, req))
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				count(b, e, req)
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkUnlimited takes every candidate of 10,000 flat hosts.
func BenchmarkUnlimited(b *testing.B) {
	w := newHotWorld(b, 10000)
	req := CandidateRequest{Groups: []RequestGroup{{Resources: []Resource{{"VCPU", 1}, {"MEMORY_MB", 512}, {"DISK_GB", 1}}}}}
	n := count(b, w.e, req)
	require.Greater(b, n, 5000)
	cpu := cpuTime(b)
	for b.Loop() {
		if count(b, w.e, req) != n {
			b.Fatal("not every candidate was found")
		}
	}
	b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N*n), "cpu-ns/candidate")
}

// BenchmarkMemory measures live heap per host (3 classes, 30 traits, 3
// aggregates) and per allocation (a class on a provider; consumers hold three).
func BenchmarkMemory(b *testing.B) {
	const hosts = 100000
	for b.Loop() {
		empty := liveHeap()
		w := newHotWorld(b, hosts)
		full := liveHeap()
		rows := 0
		for i := range w.e.world.consumers.n {
			rows += len(w.e.world.consumers.at(i).allocs)
		}
		for n := 1; n <= w.next; n++ {
			require.NoError(b, w.e.DeleteAllocations(b.Context(), testUUID('c', n)))
		}
		w.e.world.consumers, w.e.world.freeConsumer, w.e.world.byConsumer = pages[consumer]{}, nil, index{}
		bare := liveHeap()
		b.ReportMetric(float64(bare-empty)/hosts, "B/host")
		b.ReportMetric(float64(full-bare)/float64(rows), "B/allocation")
		b.ReportMetric(float64(full-bare)/float64(w.next), "B/consumer")
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkRoofline is the least that a claim and a release can cost: one
// consumer into and out of a Go map of 16-byte keys, and three numbers of a
// random host changed and changed back. It has no candidates, no indexes, no
// generations.
func BenchmarkRoofline(b *testing.B) {
	for _, n := range []int{1000, 10000, 100000, 1000000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 2))
			held := make(map[UUID]uint32, 3*n)
			free := make([][3]int64, n)
			for k := range 3 * n {
				held[testUUID('c', k)] = uint32(k % n)
			}
			b.ResetTimer()
			cpu := cpuTime(b)
			for i := range b.N {
				c, h := testUUID('c', 3*n+i), rng.IntN(n)
				if _, known := held[c]; known {
					b.Fatal("a new consumer is known")
				}
				held[c] = uint32(h)
				for k := range free[h] {
					free[h][k]--
				}
				for k := range free[held[c]] {
					free[h][k]++
				}
				delete(held, c)
			}
			b.ReportMetric(float64(cpuTime(b)-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
}
