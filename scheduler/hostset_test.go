package scheduler_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

var base = time.Unix(1e9, 0)

// world makes hosts and requests at random.
type world struct{ *rand.Rand }

func (w world) small(n int) int64 { return int64(w.IntN(n)) }

func (w world) one(of ...string) string { return of[w.IntN(len(of))] }

func (w world) host(i int) *scheduler.HostState {
	version := w.small(2)
	h := &scheduler.HostState{
		Host: "h" + strconv.Itoa(i), Node: "n", Cell: w.one("c", "c", "d"), FreeRAMMiB: 512*w.small(6) - 512, FreeDiskMiB: w.small(4), VCPUsTotal: 8,
		VCPUsUsed: w.small(8), CPUAllocationRatio: 1.1, NumInstances: w.small(4), NumIOOps: w.small(3), FailedBuilds: w.small(9) / 8,
		HypervisorVersion: &version, FreePCI: w.small(3), Metrics: map[string]int64{"m": w.small(3)}, Instances: map[string]scheduler.Instance{},
		SupportedInstances: [][]string{{w.one("x86_64", "aarch64"), "kvm", "hvm"}}, Stats: map[string]any{}, CPUInfo: map[string]any{},
		Service: scheduler.Service{Disabled: w.IntN(9) == 0, ForcedDown: w.IntN(9) == 0, LastReport: base.Add(time.Duration(w.IntN(100)) * time.Second)},
	}
	for range w.IntN(3) {
		h.Instances[strconv.Itoa(w.IntN(9))] = scheduler.Instance{Image: map[string]string{"os_type": w.one("linux", "windows")}}
	}
	if w.IntN(4) == 0 {
		key := w.one("ram_weight_multiplier", "soft_affinity_weight_multiplier", "cpu_weight_multiplier")
		h.Aggregates = []scheduler.Aggregate{{Metadata: map[string]string{key: w.one("2", "-0.3", "0", "x")}}}
	}
	if w.IntN(40) == 0 {
		h.Metrics = nil
	}
	return h
}

func (w world) spec() *scheduler.RequestSpec {
	s := &scheduler.RequestSpec{Flavor: scheduler.Flavor{MemoryMiB: 512, VCPUs: 1, ExtraSpecs: map[string]string{}}, Image: &scheduler.Image{}, Instances: []string{"new"}}
	if w.IntN(3) == 0 {
		s.Group = &scheduler.Group{Policy: w.one(scheduler.Affinity, scheduler.AntiAffinity, scheduler.SoftAffinity, scheduler.SoftAntiAffinity)}
		for range w.IntN(30) {
			s.Group.Members = append(s.Group.Members, strconv.Itoa(w.IntN(9)))
		}
		if w.IntN(2) == 0 {
			s.Group.Hosts = []string{"h1", "h2"}
		}
	}
	if w.IntN(3) == 0 {
		s.Image.Properties = map[string]string{"hw_architecture": w.one("x86_64", "x86_64", "ppc"), "os_type": "linux"}
	}
	if w.IntN(4) == 0 {
		for i := range 2 + w.IntN(30) {
			s.Instances = append(s.Instances, strconv.Itoa(100+i))
		}
	}
	switch w.IntN(14) {
	case 4:
		s.ForceHosts = []string{"H1", "h2", "h3"}
	case 5:
		s.Destination = &scheduler.Destination{Host: new("h1")}
	case 0:
		s.Destination = &scheduler.Destination{Cell: "c", AllowCrossCellMove: true}
	case 1:
		s.IgnoreHosts = []string{"H1"}
	case 2:
		s.Instances = []string{"1", "new"}
	case 3:
		s.Flavor.ExtraSpecs["capabilities:num_instances"] = w.one("<= 2", "<or>")
	}
	return s
}

func (w world) options() *scheduler.Options {
	o := defaults()
	switch w.IntN(6) {
	case 0:
		o.EnabledFilters = append(o.EnabledFilters, "IoOpsFilter", "NumInstancesFilter")
		o.MaxIOOpsPerHost, o.MaxInstancesPerHost = 2, 3
	case 1:
		slices.Reverse(o.EnabledFilters)
	case 2:
		o.EnabledFilters = nil
	}
	if w.IntN(3) == 0 {
		o.ImagePropsWeightMultiplier, o.NumInstancesWeightMultiplier = 0.7, -0.3
		o.MetricsWeightSetting = []scheduler.Setting{{Name: "m", Ratio: 0.3}}
	}
	switch w.IntN(4) {
	case 0:
		o.HostSubsetSize = 3
	case 1:
		o.ShuffleBestSameWeighedHosts = w.IntN(2) == 0
	}
	o.MaxAttempts = 1 + w.IntN(4)
	return o
}

// defaults are Nova's options.
func defaults() *scheduler.Options { return scheduler.ReadOptions(nothing{}) }

// nothing is a configuration in which nothing is set.
type nothing struct{}

func (nothing) Bool(_, _ string, def bool) bool             { return def }
func (nothing) Int(_, _ string, def, _ int) int             { return def }
func (nothing) Float(_, _ string, def, _ float64) float64   { return def }
func (nothing) String(_, _, def string) string              { return def }
func (nothing) Choice(_, _, def string, _ ...string) string { return def }
func (nothing) List(_, _ string) []string                   { return nil }
func (nothing) Multi(_, _ string) []string                  { return nil }

func pipeline(t testing.TB, o *scheduler.Options) *scheduler.Pipeline {
	t.Helper()
	filters, errF := filter.Choose(o)
	weighers, errW := weigh.Choose(o, pack.Builtin(nil)...)
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{
		Filters: filters, Weighers: weighers, HostSubsetSize: o.HostSubsetSize, ShuffleBest: o.ShuffleBestSameWeighedHosts, MaxAttempts: o.MaxAttempts,
	})
	if err := errors.Join(errF, errW, err); err != nil {
		t.Fatal(err)
	}
	return p
}

func told(selected []scheduler.Selection, err error) string {
	text := []string{fmt.Sprint(err)}
	for _, s := range selected {
		text = append(text, "; "+s.Instance+" on "+s.Host.Host)
		for _, h := range s.Alternates {
			text = append(text, h.Host)
		}
	}
	return strings.Join(text, " ")
}

// TestHostSetTwin holds columns to what the pipeline answers, over random
// histories of hosts.
func TestHostSetTwin(t *testing.T) {
	t.Parallel()
	decisions, plain, placed := 0, 0, 0
	for seed := range uint64(400) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		p := pipeline(t, w.options())
		hosts := make([]*scheduler.HostState, 1+w.IntN(20))
		for i := range hosts {
			hosts[i] = w.host(i)
		}
		set := p.NewHostSet(slices.Clone(hosts))
		now := base.Add(60 * time.Second)
		for step := range 25 {
			for range w.IntN(4) {
				i := w.IntN(len(hosts))
				hosts[i] = w.host(i)
				set.Set(i, hosts[i])
			}
			now = now.Add(time.Duration(w.IntN(3)*(w.IntN(30)-10)) * time.Second)
			spec, draw := w.spec(), w.Uint64()
			want := told(p.Select(&scheduler.Query{Spec: spec, Hosts: hosts, Now: now, Rand: rand.New(rand.NewPCG(draw, 0))}, nil))
			selected, err := set.Select(spec, now, rand.New(rand.NewPCG(draw, 0)))
			if got := told(selected, err); got != want {
				t.Fatalf("seed %d, step %d, %d hosts: columns answer %s, the pipeline %s", seed, step, len(hosts), got, want)
			}
			if decisions++; err == nil {
				placed++
			}
		}
		plain += set.Plain()
	}
	if placed < decisions/2 || decisions-plain < decisions/4 {
		t.Errorf("%d decisions, %d placed, %d without columns: too little was compared", decisions, placed, plain)
	}
}

// uniform makes n hosts that differ in what instances use of them.
func uniform(n int) []*scheduler.HostState {
	rng := rand.New(rand.NewPCG(uint64(n), 7))
	version := int64(7002000)
	hosts := make([]*scheduler.HostState, n)
	for i := range hosts {
		used := rng.Int64N(128)
		hosts[i] = &scheduler.HostState{
			Host: "h" + strconv.Itoa(i), Node: "h" + strconv.Itoa(i), Cell: "c", TotalRAMMiB: 512 << 10, FreeRAMMiB: 512<<10 - 2048*used - 512*rng.Int64N(9),
			FreeDiskMiB: 4<<20 - 20480*used, VCPUsTotal: 128, VCPUsUsed: used, CPUAllocationRatio: 4, RAMAllocationRatio: 1, DiskAllocationRatio: 1,
			NumInstances: used / 2, NumIOOps: rng.Int64N(4), HypervisorVersion: &version, HypervisorType: "QEMU",
			SupportedInstances: [][]string{{"x86_64", "kvm", "hvm"}}, Service: scheduler.Service{LastReport: base.Add(time.Duration(rng.IntN(10)) * time.Second)},
		}
	}
	return hosts
}

// consumed is a host with one more instance.
func consumed(h *scheduler.HostState, f *scheduler.Flavor) *scheduler.HostState {
	next := *h
	next.FreeRAMMiB -= f.MemoryMiB
	next.FreeDiskMiB -= f.RootGiB * 1024
	next.VCPUsUsed += f.VCPUs
	next.NumInstances++
	next.NumIOOps++
	return &next
}

func plainSpec() *scheduler.RequestSpec {
	return &scheduler.RequestSpec{Flavor: scheduler.Flavor{MemoryMiB: 4096, VCPUs: 2, RootGiB: 20}, Image: &scheduler.Image{}, Instances: []string{"1"}}
}

func TestHostSetDoesNotAllocate(t *testing.T) {
	given := uniform(1000)
	set := pipeline(t, defaults()).NewHostSet(given)
	spec, now := plainSpec(), base.Add(15*time.Second)
	spec.Group = &scheduler.Group{Policy: scheduler.SoftAffinity, Members: []string{"1"}}
	k := 0
	n := testing.AllocsPerRun(100, func() {
		if _, err := set.Select(spec, now, nil); err != nil {
			t.Fatal(err)
		}
		set.Set(k, given[999-k]) // not in order any more
		k++
	})
	if n > 0 || set.Plain() > 0 {
		t.Errorf("%v allocations a decision, %d without columns", n, set.Plain())
	}
}

// BenchmarkHostSet decides for one instance after the other on hosts that
// change: each decision is followed by the consumption of its host, and the
// host that was chosen 100 decisions ago is as before.
func BenchmarkHostSet(b *testing.B) {
	spec, now := plainSpec(), base.Add(15*time.Second)
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			p := pipeline(b, defaults())
			given := uniform(n)
			set := p.NewHostSet(slices.Clone(given))
			want := told(p.Select(&scheduler.Query{Spec: spec, Hosts: given, Now: now}, nil))
			if got := told(set.Select(spec, now, nil)); got != want || set.Plain() > 0 {
				b.Fatalf("columns answer %s, the pipeline %s", got, want)
			}
			number := map[string]int{}
			for i, h := range given {
				number[h.Host] = i
			}
			type change struct {
				i int
				h *scheduler.HostState
			}
			var undo [100]change
			for k := 0; b.Loop(); k++ {
				selected, err := set.Select(spec, now, nil)
				if err != nil {
					b.Fatal(err)
				}
				h := selected[0].Host
				i := number[h.Host]
				if old := undo[k%len(undo)]; old.h != nil {
					set.Set(old.i, old.h)
				}
				undo[k%len(undo)] = change{i, h}
				set.Set(i, consumed(h, &spec.Flavor))
			}
		})
	}
}

// BenchmarkPipeline decides without columns.
func BenchmarkPipeline(b *testing.B) {
	spec, now := plainSpec(), base.Add(15*time.Second)
	for _, n := range []int{1_000, 10_000} {
		b.Run(fmt.Sprintf("hosts=%d", n), func(b *testing.B) {
			p, q := pipeline(b, defaults()), &scheduler.Query{Spec: spec, Hosts: uniform(n), Now: now}
			for b.Loop() {
				if _, err := p.Select(q, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
