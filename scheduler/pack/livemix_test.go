package pack

import (
	"math/rand/v2"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func need(vcpus, mib int64) Demand { return Demand{Need: [Amounts]int64{vcpus, mib, 0}} }

// TestLiveMixSteps holds the versions of a live mix to its rule: after 16
// instances, then after as many again, if more than a tenth differs.
func TestLiveMixSteps(t *testing.T) {
	t.Parallel()
	small, large := need(1, 1024), need(4, 1024)
	type add struct {
		d       Demand
		n       int64
		version uint64
	}
	for name, adds := range map[string][]add{
		"one by one":         {{small, 15, 0}, {small, 1, 1}},
		"all at once":        {{small, 1000, 1}, {large, 999, 1}, {large, 1, 2}},
		"doubled":            {{small, 16, 1}, {large, 15, 1}, {large, 1, 2}, {large, 31, 2}, {large, 1, 3}},
		"alike":              {{small, 90, 1}, {large, 10, 1}, {small, 75, 1}, {large, 5, 1}, {large, 179, 1}, {large, 1, 2}},
		"halved, not sooner": {{small, 8192, 1}, {large, 4095, 1}, {large, 1, 2}, {large, 4095, 2}, {large, 1, 3}},
	} {
		var live LiveMix
		for i, a := range adds {
			live.Add(a.d, a.n)
			if got := live.Version(); got != a.version {
				t.Errorf("%s: version %d after part %d, want %d", name, got, i, a.version)
			}
		}
	}
}

// TestLiveMixMeasures compares what a live mix says with the measure of a mix
// that was counted apart.
func TestLiveMixMeasures(t *testing.T) {
	t.Parallel()
	var live LiveMix
	room := Room{Free: [Amounts]int64{7, 9000, 0}}
	if live.Stranded(room) != 0 || live.Least(room) != 0 {
		t.Error("something is stranded before anything was asked for")
	}
	same := func(step string, elements ...string) {
		t.Helper()
		want, err := MeasureOf(&scheduler.Options{RequestMix: elements}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for vcpus := range int64(12) {
			for gib := range int64(12) {
				r := Room{Free: [Amounts]int64{vcpus, gib * 1024, 0}}
				for range 2 { // the second answer is remembered
					if got := live.Stranded(r); got != want.Stranded(r) || live.Least(r) != want.Least(r) {
						t.Errorf("%s: %v strands %v, want %v", step, r.Free, got, want.Stranded(r))
					}
				}
			}
		}
	}
	live.Add(need(2, 1024), 10)
	live.Add(need(3, 4096), 6)
	same("first step", "2:1024:0=10", "3:4096:0=6")
	live.Add(need(3, 4096), 15)
	same("before the second", "2:1024:0=10", "3:4096:0=6")
	live.Add(need(3, 4096), 1)
	same("second step", "2:1024:0=10", "3:4096:0=22")
	live.Add(need(5, 1024), 8192-32) // the first count half, and the last are left out
	same("half", "2:1024:0=5", "3:4096:0=11", "5:1024:0=4080")
}

// TestLiveMixForgets counts how many instances it takes until what was asked
// for before is a tenth of the mix, and then nothing.
func TestLiveMixForgets(t *testing.T) {
	t.Parallel()
	var live LiveMix
	old, young := need(1, 1024), need(2, 1024)
	live.Add(old, 1_000_000)
	for n := 1; ; n++ {
		live.Add(young, 1)
		share := float64(live.mix.counts[live.mix.number[old]]) / float64(live.mix.total)
		if !live.mix.has(&old) {
			share = 0
		}
		switch {
		case n < 8192 && share < 0.1:
			t.Fatalf("after %d instances %v of the mix are old", n, share)
		case n == 40_000 && share > 0.1, n == 150_000 && share > 0:
			t.Fatalf("after %d instances %v of the mix are old", n, share)
		case n == 150_000:
			return
		}
	}
}

// TestLiveMixIsBounded adds more demands than are counted, and has two mixes
// see the same.
func TestLiveMixIsBounded(t *testing.T) {
	t.Parallel()
	var one, other LiveMix
	for _, live := range []*LiveMix{&one, &other} {
		rng := rand.New(rand.NewPCG(1, 1))
		for range 30_000 {
			live.Add(need(1+rng.Int64N(1+rng.Int64N(3000)), 1), 1)
			if len(live.mix.demands) > mostKinds || live.mix.total > 2*lateCount {
				t.Fatalf("%d demands, %d instances", len(live.mix.demands), live.mix.total)
			}
		}
	}
	if one.Version() < 3 || one.Version() != other.Version() {
		t.Errorf("versions %d and %d", one.Version(), other.Version())
	}
	for vcpus := range int64(100) {
		if r := (Room{Free: [Amounts]int64{vcpus, 100}}); one.Stranded(r) != other.Stranded(r) {
			t.Errorf("%d vCPUs strand %v and %v", vcpus, one.Stranded(r), other.Stranded(r))
		}
	}
}

// TestLearner has a weigher learn from what is placed, by its own and by other
// weighers of the mix.
func TestLearner(t *testing.T) {
	t.Parallel()
	if _, learns := NewFragmentation(NewFragments(&Mix{}), 1).(scheduler.Learner); learns {
		t.Error("a weigher of a measure that stays learns")
	}
	var live LiveMix
	w := NewFragmentation(&live, 1)
	learner, ok := w.(scheduler.Learner)
	if !ok {
		t.Fatal("it does not learn")
	}
	hosts := []*scheduler.HostState{hostState(2, 1, 4096, 4096), hostState(2, 0, 4096, 4096)} // 3 and 4 vCPUs
	spec := &scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: 1}}
	scores := func(want [2]float64) {
		t.Helper()
		raw := make([]float64, 2)
		if err := w.Weigh(&scheduler.Request{Spec: spec}, hosts, raw); err != nil || [2]float64(raw) != want {
			t.Errorf("scores %v, %v, want %v", raw, err, want)
		}
	}
	scores([2]float64{})
	learner.Learn(&scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: 2}}, 15)
	scores([2]float64{})
	live.Add(Demand{Need: [Amounts]int64{2}}, 1)
	scores([2]float64{0.5, -0.5}) // of requests of 2 vCPUs
	if learner.Version() != 1 {
		t.Errorf("version %d", learner.Version())
	}
}
