package pack

import (
	"math"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

func hostState(vcpus, used, ram, free int64) *scheduler.HostState {
	return &scheduler.HostState{
		VCPUsTotal: vcpus, VCPUsUsed: used, TotalRAMMiB: ram, FreeRAMMiB: free, TotalDiskGiB: 10, FreeDiskMiB: 1024,
		CPUAllocationRatio: 2, RAMAllocationRatio: 1.5, DiskAllocationRatio: 1,
	}
}

func TestRoomOf(t *testing.T) {
	t.Parallel()
	room := RoomOf(hostState(8, 3, 4096, -1000))
	if want := [Amounts]int64{13, 1048, 1024}; room.Free != want {
		t.Errorf("free %v, want %v", room.Free, want)
	}
	d := DemandOf(&scheduler.Flavor{VCPUs: 2, MemoryMiB: 512, RootGiB: 1, EphemeralGB: 2, SwapMiB: 3})
	if want := [Amounts]int64{2, 512, 3075}; d.Need != want {
		t.Errorf("need %v, want %v", d.Need, want)
	}
}

func TestWeighers(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	full, half, unused := hostState(4, 6, 4096, 1024), hostState(4, 5, 4096, 2048), hostState(4, 0, 4096, 4096)
	times := map[*scheduler.HostState]time.Time{full: now.Add(-time.Minute), half: now.Add(time.Hour)}
	at := func(h *scheduler.HostState) (time.Time, bool) { x, ok := times[h]; return x, ok }
	offers := NewOffers(mixOf(Demand{Need: [Amounts]int64{3}}), OffersConfig{Weights: Weights{Amounts: [Amounts]float64{1}}})
	spec := func(hint ...string) *scheduler.RequestSpec {
		s := &scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: 1, MemoryMiB: 1024}}
		if hint != nil {
			s.Hints = map[string][]string{HintLifetime: hint}
		}
		return s
	}
	for _, c := range []struct {
		name    string
		weigher scheduler.Weigher
		spec    *scheduler.RequestSpec
		want    [3]float64 // full, half, unused
	}{
		{"best fit", NewBestFit(1), spec(), [3]float64{-1./8 - 2048./6144, -2./8 - 3072./6144, -7./8 - 5120./6144}},
		// 2, 3 and 8 vCPUs free strand 2, 0 and 2; one fewer 1, 2 and 1
		{"fragmentation", NewFragmentation(offers, 1), spec(), [3]float64{1, -2, 1}},
		{"age", NewHostAge(at, 1), spec(), [3]float64{60, 0, 0}},
		{"lifetime", NewLifetime(at, 1), spec("7200"), [3]float64{-7200, -3600, -7200}},
		{"short lifetime", NewLifetime(at, 1), spec("60"), [3]float64{-60, 0, -60}},
		{"no lifetime", NewLifetime(at, 1), spec(), [3]float64{}},
		{"wrong lifetime", NewLifetime(at, 1), spec("long"), [3]float64{}},
	} {
		raw := make([]float64, 3)
		r := &scheduler.Request{Spec: c.spec, Now: now}
		if err := c.weigher.Weigh(r, []*scheduler.HostState{full, half, unused}, raw); err != nil {
			t.Fatal(err)
		}
		for i, want := range c.want {
			if math.Abs(raw[i]-want) > 1e-9 {
				t.Errorf("%s: raw scores %v, want %v", c.name, raw, c.want)
				break
			}
		}
	}
}

func TestWeighersDoNotAllocate(t *testing.T) {
	offers := NewOffers(mixOf(Demand{Need: [Amounts]int64{3}}), OffersConfig{Weights: Weights{Amounts: [Amounts]float64{1}}})
	never := func(*scheduler.HostState) (time.Time, bool) { return time.Time{}, false }
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: 1}}}
	hosts, raw := []*scheduler.HostState{hostState(4, 0, 4096, 4096)}, make([]float64, 1)
	for _, w := range []scheduler.Weigher{NewBestFit(1), NewFragmentation(offers, 1), NewHostAge(never, 1), NewLifetime(never, 1)} {
		if n := testing.AllocsPerRun(10, func() { _ = w.Weigh(r, hosts, raw) }); n != 0 {
			t.Errorf("%s: %v allocations", w.Name(), n)
		}
	}
}

// TestBuiltin chooses weighers by the names of weight_classes.
func TestBuiltin(t *testing.T) {
	t.Parallel()
	o := &scheduler.Options{
		WeightClasses:           []string{"pack.BestFitWeigher", "WorstFitWeigher", "FragmentationWeigher", "HostAgeWeigher", "LifetimeWeigher", "RAMWeigher"},
		BestFitWeightMultiplier: 2, WorstFitWeightMultiplier: 3, FragmentationWeightMultiplier: 4, HostAgeWeightMultiplier: 5, LifetimeWeightMultiplier: 6,
		RAMWeightMultiplier: 7,
	}
	list, err := weigh.Choose(o, Builtin(NewFragments(&Mix{}))...)
	if err != nil {
		t.Fatal(err)
	}
	h, own := hostState(1, 0, 1, 1), hostState(1, 0, 1, 1)
	own.Aggregates = []scheduler.Aggregate{{Metadata: map[string]string{
		"best_fit_weight_multiplier": "1.5", "worst_fit_weight_multiplier": "1.5", "fragmentation_weight_multiplier": "1.5",
		"host_age_weight_multiplier": "1.5", "lifetime_weight_multiplier": "1.5", "ram_weight_multiplier": "1.5",
	}}}
	for i, want := range []struct {
		name    string
		by, own float64
	}{
		{"BestFitWeigher", 2, 1.5},
		{"WorstFitWeigher", -3, -1.5},
		{"FragmentationWeigher", 4, 1.5},
		{"HostAgeWeigher", 5, 1.5},
		{"LifetimeWeigher", 6, 1.5},
		{"RAMWeigher", 7, 1.5},
	} {
		m := list[i].Multiplier()
		if list[i].Name() != want.name || m.For(h) != want.by || m.For(own) != want.own {
			t.Errorf("%s times %v, on hosts of the aggregate %v; want %v", list[i].Name(), m.For(h), m.For(own), want)
		}
	}
	if _, err := weigh.Choose(o, Builtin(nil)...); err == nil {
		t.Error("a weigher without a measure")
	}
}
