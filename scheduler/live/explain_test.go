package live_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// refusals are requests for a world of four hosts of 8 vCPUs and 64 to 61 MiB,
// host 3 disabled, and what is said of them.
var refusals = []struct {
	name   string
	change func(t *testing.T, w *world, r *live.Request)
	want   string
	steps  string
}{
	{
		"too large", func(_ *testing.T, _ *world, r *live.Request) { r.Where.Groups[0].Resources[1].Amount = 80 },
		"placement removes the last 4 of 4 hosts: lacks MEMORY_MB: … free, 80 asked for (4); nearest is host0: lacks MEMORY_MB: 64 free, 80 asked for",
		"placement 4-0",
	},
	{
		"only the disabled one has the trait", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			_, err := w.engine.SetTraits(t.Context(), id('h', 3), []string{"HW_CPU_X86_AVX2"}, placement.AnyGeneration)
			require.NoError(t, err)
			r.Where.Groups[0].Required = [][]string{{"HW_CPU_X86_AVX2", "HW_CPU_X86_SSE"}}
		},
		"ComputeFilter removes the last 1 of 4 hosts: service is disabled (1); " +
			"before, placement leaves 1 of 4: lacks trait HW_CPU_X86_AVX2 or HW_CPU_X86_SSE (3); nearest is host3: service is disabled",
		"placement 4-1, ComputeFilter 1-0",
	},
	{
		"forbidden trait, aggregate, step size", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			_, err := w.engine.SetTraits(t.Context(), id('h', 0), []string{"HW_CPU_X86_AVX2"}, placement.AnyGeneration)
			require.NoError(t, err)
			_, err = w.engine.SetAggregates(t.Context(), id('h', 1), []placement.UUID{id('a', 0)}, placement.AnyGeneration)
			require.NoError(t, err)
			odd := placement.NewInventory(64)
			odd.StepSize = 3
			_, err = w.engine.SetInventories(t.Context(), id('h', 2), map[string]placement.Inventory{"VCPU": placement.NewInventory(8), "MEMORY_MB": odd}, placement.AnyGeneration)
			require.NoError(t, err)
			g := &r.Where.Groups[0]
			g.Forbidden, g.ForbiddenAggregates = []string{"HW_CPU_X86_AVX2"}, []placement.UUID{id('a', 0)}
			r.Spec.IgnoreHosts = []string{"HOST3"}
		},
		"the request removes the last 1 of 4 hosts: is ignored (1); before, placement leaves 1 of 4: is in the forbidden aggregate " + id('a', 0).String() + " (1), " +
			"does not give 4 of MEMORY_MB at once: min_unit, max_unit and step_size are … (1), has the forbidden trait HW_CPU_X86_AVX2 (1); nearest is host3: is ignored",
		"placement 4-1, the request 1-0",
	},
	{
		"anti-affinity for too many", func(_ *testing.T, _ *world, r *live.Request) {
			for k := range 4 {
				r.Spec.Instances = append(r.Spec.Instances, id('i', 1+k).String())
			}
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
		},
		"ComputeFilter removes the last 1 of 4 hosts: service is disabled (1); before, ServerGroupAntiAffinityFilter leaves 1 of 4: " +
			"the host has … members of the anti-affinity group, allowed are 1 (3); nearest is host3: service is disabled",
		"placement 4-4, ServerGroupAntiAffinityFilter 4-1, ComputeFilter 1-0",
	},
	{
		"affinity beyond the host", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.Instances = append(r.Spec.Instances, id('i', 1).String())
			r.Where.Groups[0].Resources[0].Amount = 5
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.Affinity}
		},
		"ServerGroupAffinityFilter removes the last 3 of 4 hosts: the affinity group is on … other hosts, host0 among them (3); " +
			"before, placement leaves 3 of 4: lacks VCPU: … free, 5 asked for (1); nearest is host3: the affinity group is on 1 other hosts, host0 among them",
		"placement 4-3, ServerGroupAffinityFilter 3-0",
	},
	{
		"nested", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			for n := range 2 {
				_, err := w.engine.CreateProvider(t.Context(), placement.Provider{UUID: id('g', n), Name: fmt.Sprint("gpu", n), Parent: id('h', 1)})
				require.NoError(t, err)
				_, err = w.engine.SetInventories(t.Context(), id('g', n), map[string]placement.Inventory{"VGPU": placement.NewInventory(1)}, placement.AnyGeneration)
				require.NoError(t, err)
			}
			r.Where.Groups = append(r.Where.Groups, placement.RequestGroup{Suffix: "1", Resources: []placement.Resource{{Class: "VGPU", Amount: 2}}})
		},
		"placement removes the last 4 of 4 hosts: lacks VGPU: … free in its own tree, 2 asked for (3), " +
			"its providers do not have it all in the right places, or not the traits and aggregates (1); nearest is host3: lacks VGPU: 0 free in its own tree, 2 asked for",
		"placement 4-0",
	},
	{
		"forced but full", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.ForceHosts = []string{"host3"}
			r.Where.Groups[0].Resources[1].Amount = 62
		},
		"the request removes the last 3 of 4 hosts: is not among the forced hosts (3); before, placement leaves 3 of 4: " +
			"lacks MEMORY_MB: … free, 62 asked for (1); nearest is host1: is not among the forced hosts",
		"placement 4-3, the request 3-0",
	},
}

// TestRefusals holds the words of refusals, their explanation and the report.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, 0)
			for n := range 4 {
				w.addHost(t, n, 8, int64(64-n))
			}
			w.putRecord(t, 3, true)
			w.cfg.Reports = scheduler.NewReports(4)
			r := request(0, 1, 1, 4)
			c.change(t, w, r)
			r.ID, r.Why = "req-1", &scheduler.Explanation{}
			_, err := w.scheduler(t, 1).Schedule(t.Context(), r)
			var none *scheduler.NoValidHostError
			require.ErrorAs(t, err, &none)
			require.ErrorIs(t, err, scheduler.ErrNoValidHost)
			require.Equal(t, "no valid host was found: "+c.want, none.Error())
			require.Equal(t, r.Spec.Instances[none.Index], none.Instance)
			require.Equal(t, c.steps, steps(r.Why))
			report, kept := w.cfg.Reports.Get("req-1")
			require.True(t, kept)
			require.Equal(t, err, report.Err)
			require.Equal(t, c.steps, steps(&report.Explanation))
			for n := range 4 { // nothing stays taken
				var tree placement.TreeState
				require.True(t, w.engine.ReadTree(id('h', n), &tree))
				require.Zero(t, tree.Consumers)
			}
		})
	}
}

// steps tells what steps left, those without a say left out.
func steps(why *scheduler.Explanation) string {
	var list []string
	for _, r := range append([]scheduler.FilterResult{why.Placement, why.Demands}, why.Filters...) {
		if r.Name != "" {
			list = append(list, fmt.Sprintf("%s %d-%d", r.Name, r.Before, r.After))
		}
	}
	return strings.Join(list, ", ")
}

// TestWhy asks why a host was chosen.
func TestWhy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 0)
	for n := range 15 {
		w.addHost(t, n, int64(8-n%8), int64(64-n))
	}
	w.putRecord(t, 0, true)
	o := &scheduler.Options{WeightClasses: []string{"CPUWeigher", "RAMWeigher"}, CPUWeightMultiplier: 2, RAMWeightMultiplier: 1}
	var err error
	w.cfg.Weighers, err = weigh.Choose(o)
	require.NoError(t, err)
	w.cfg.Reports, w.cfg.Scales = scheduler.NewReports(4), map[string]float64{"RAMWeigher": 64, "CPUWeigher": 8}
	s := w.scheduler(t, 1)
	r := request(0, 2, 1, 4)
	r.Why = &scheduler.Explanation{}
	chosen, err := s.Schedule(t.Context(), r)
	require.NoError(t, err)
	require.Equal(t, "host8", chosen[0].Host) // 8 vCPUs, and host 0 is off
	require.Equal(t, "host1", chosen[1].Host)
	require.Equal(t, "placement 15-15, ComputeFilter 15-14", steps(r.Why))
	require.Equal(t, "service is disabled", r.Why.Filters[0].Rejected[0].Reason.String())
	require.Len(t, r.Why.Weights, 10)
	require.Equal(t, scheduler.HostWeight{Host: "host8", Node: "host8", Total: 2.875, Weights: []scheduler.Weight{
		{Weigher: "CPUWeigher", Raw: 8, Normalized: 1, Multiplier: 2, Weighted: 2},
		{Weigher: "RAMWeigher", Raw: 56, Normalized: 0.875, Multiplier: 1, Weighted: 0.875},
	}}, r.Why.Weights[0])
	last := 3.0
	for _, h := range r.Why.Weights {
		require.LessOrEqual(t, h.Total, last)
		last = h.Total
	}
	report, kept := w.cfg.Reports.Get(id('i', 0).String())
	require.True(t, kept)
	require.Equal(t, *r.Why, report.Explanation)
	require.Equal(t, "host1", report.Selected[1].Host.Host)
	_, err = s.Schedule(t.Context(), request(2, 1, 1, 4))
	require.NoError(t, err)
	_, kept = w.cfg.Reports.Get(id('i', 2).String())
	require.False(t, kept, "nobody asked")
}

// TestRefusedAgain repeats a refusal, with and without a change in between.
func TestRefusedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 2)
	s := w.scheduler(t, 1)
	refused := func(k int) string {
		_, err := s.Schedule(t.Context(), request(k, 1, 1, 80))
		var none *scheduler.NoValidHostError
		require.ErrorAs(t, err, &none)
		require.Equal(t, id('i', k).String(), none.Instance)
		return none.Error()
	}
	const want = "no valid host was found: placement removes the last %d of %[1]d hosts: lacks MEMORY_MB: … free, 80 asked for (%[1]d); " +
		"nearest is %s: lacks MEMORY_MB: %d free, 80 asked for"
	require.Equal(t, fmt.Sprintf(want, 2, "host1", 64), refused(0))
	require.Equal(t, fmt.Sprintf(want, 2, "host1", 64), refused(1))
	w.addHost(t, 2, 8, 70)
	require.Equal(t, fmt.Sprintf(want, 3, "host2", 70), refused(2))
}

// TestReportsTogether has several goroutines be refused, placed and explained
// on one scheduler, and reads reports meanwhile.
func TestReportsTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 4)
	w.cfg.Reports = scheduler.NewReports(8)
	s := w.scheduler(t, 1)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range 30 {
				r := request(100*g+k, 1, 1, 8)
				if r.ID = fmt.Sprint(g); k%3 == 0 {
					r.Why = &scheduler.Explanation{}
				}
				_, err := s.Schedule(context.Background(), r)
				if err == nil && k%2 == 0 {
					err = w.engine.DeleteAllocations(context.Background(), id('i', 100*g+k))
				}
				if none := (*scheduler.NoValidHostError)(nil); errors.As(err, &none) {
					report, kept := w.cfg.Reports.Get(r.ID)
					if !kept || report.Explanation.Placement.Before != 4 {
						t.Errorf("request %d of %d was refused, the report is %v", k, g, report)
					}
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// BenchmarkRefusal explains why 10,000 hosts lack memory.
func BenchmarkRefusal(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			_, s := cluster(b, hosts)
			for b.Loop() {
				_, err := s.Schedule(b.Context(), request(0, 1, 1, 8<<20))
				require.ErrorIs(b, err, scheduler.ErrNoValidHost)
			}
		})
	}
}
