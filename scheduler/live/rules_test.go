package live_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// TestWhere places one request on four hosts of falling memory, host 0 first,
// and looks at where it went.
func TestWhere(t *testing.T) {
	t.Parallel()
	host2 := "host2"
	for _, c := range []struct {
		name   string
		change func(t *testing.T, w *world, r *live.Request)
		want   []int // hosts of the instances; nil: no valid host
	}{
		{"the most memory", func(*testing.T, *world, *live.Request) {}, []int{0}},
		{"ignored", func(_ *testing.T, _ *world, r *live.Request) { r.Spec.IgnoreHosts = []string{"HOST0", "host1"} }, []int{2}},
		{"destination", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.Destination = &scheduler.Destination{Host: &host2}
		}, []int{2}},
		{"disabled", func(t *testing.T, w *world, _ *live.Request) {
			t.Helper()
			w.putRecord(t, 0, true)
		}, []int{1}},
		{"forced onto a disabled host", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			w.putRecord(t, 3, true)
			r.Spec.ForceHosts = []string{"Host3"}
		}, []int{3}},
		{"forced but full", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.ForceHosts = []string{"host3"}
			r.Where.Groups[0].Resources[0].Amount = 9
		}, nil},
		{"removed", func(_ *testing.T, w *world, _ *live.Request) { w.hosts.Remove(id('h', 0)) }, []int{1}},
		{"trait", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			_, err := w.engine.SetTraits(t.Context(), id('h', 2), []string{"HW_CPU_X86_AVX2"}, placement.AnyGeneration)
			require.NoError(t, err)
			r.Where.Groups[0].Required = [][]string{{"HW_CPU_X86_AVX2"}}
		}, []int{2}},
		{"nested", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			for n := range 2 { // only the second has enough in one place
				_, err := w.engine.CreateProvider(t.Context(), placement.Provider{UUID: id('g', n), Name: fmt.Sprint("gpu", n), Parent: id('h', 2+n)})
				require.NoError(t, err)
				_, err = w.engine.SetInventories(t.Context(), id('g', n), map[string]placement.Inventory{"VGPU": placement.NewInventory(int64(1 + n))}, placement.AnyGeneration)
				require.NoError(t, err)
			}
			r.Where.Groups = append(r.Where.Groups, placement.RequestGroup{Suffix: "1", Resources: []placement.Resource{{Class: "VGPU", Amount: 2}}})
		}, []int{3}},
		{"affinity", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.Instances = append(r.Spec.Instances, id('i', 1).String())
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.Affinity}
		}, []int{0, 0}},
		{"anti-affinity", func(_ *testing.T, _ *world, r *live.Request) {
			r.Spec.Instances = append(r.Spec.Instances, id('i', 1).String())
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
		}, []int{0, 1}},
		{"anti-affinity for too many", func(_ *testing.T, _ *world, r *live.Request) {
			for k := range 4 {
				r.Spec.Instances = append(r.Spec.Instances, id('i', 1+k).String())
			}
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
		}, nil},
		{"soft affinity beats memory", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			softly(t, w, scheduler.SoftAffinity)
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.SoftAffinity, Members: []string{id('m', 0).String()}}
		}, []int{3}},
		{"soft anti-affinity", func(t *testing.T, w *world, r *live.Request) {
			t.Helper()
			softly(t, w, scheduler.SoftAntiAffinity)
			r.Spec.Instances = nil
			for k := range 4 {
				r.Spec.Instances = append(r.Spec.Instances, id('i', k).String())
			}
			r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.SoftAntiAffinity, Members: []string{id('m', 0).String()}}
		}, []int{0, 1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, 0)
			for n := range 4 {
				w.addHost(t, n, 8, int64(64-n))
			}
			r := request(0, 1, 1, 4)
			c.change(t, w, r)
			chosen, err := w.scheduler(t, 1).Schedule(t.Context(), r)
			if c.want == nil {
				require.ErrorIs(t, err, scheduler.ErrNoValidHost)
				return
			}
			require.NoError(t, err)
			var got []int
			for k := range chosen {
				got = append(got, slices.IndexFunc([]int{0, 1, 2, 3}, func(n int) bool { return id('h', n) == chosen[k].UUID }))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// softly puts a member on host 3, and makes soft policies weigh more than
// memory.
func softly(t *testing.T, w *world, policy string) {
	t.Helper()
	require.NoError(t, w.engine.SetAllocations(t.Context(), placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: id('m', 0), Project: "p", User: "u", Generation: placement.NewConsumer,
		Allocations: []placement.Allocation{{Provider: id('h', 3), Class: "VCPU", Amount: 1}},
	}}}))
	o := &scheduler.Options{
		WeightClasses:       []string{"RAMWeigher", "ServerGroupSoftAffinityWeigher", "ServerGroupSoftAntiAffinityWeigher"},
		RAMWeightMultiplier: 1, SoftAffinityWeightMultiplier: 100, SoftAntiAffinityWeightMultiplier: 100,
	}
	var err error
	w.cfg.Weighers, err = weigh.Choose(o)
	require.NoError(t, err, policy)
}

func TestAlternates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 0)
	for n := range 5 {
		w.addHost(t, n, 8, int64(64-n))
	}
	w.putRecord(t, 2, true)
	r := request(0, 2, 1, 1)
	r.Spec.Group = &scheduler.Group{UUID: "g", Policy: scheduler.AntiAffinity}
	r.Alternates = 5
	chosen, err := w.scheduler(t, 1).Schedule(t.Context(), r)
	require.NoError(t, err)
	want := []live.Alternate{{Host: "host3", Node: "host3", UUID: id('h', 3)}, {Host: "host4", Node: "host4", UUID: id('h', 4)}}
	require.Equal(t, want, chosen[0].Alternates)
	require.Equal(t, want, chosen[1].Alternates)
}

// TestTwice refuses to place an instance that holds something, unless it is
// said to exist.
func TestTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 2)
	s := w.scheduler(t, 1)
	_, err := s.Schedule(t.Context(), request(0, 1, 1, 4))
	require.NoError(t, err)
	_, err = s.Schedule(t.Context(), request(0, 1, 1, 4))
	require.ErrorIs(t, err, placement.ErrExists)
	again := request(0, 1, 2, 4)
	again.Existing = true
	_, err = s.Schedule(t.Context(), again)
	require.NoError(t, err)
	_, held, err := w.engine.Consumer(id('i', 0))
	require.NoError(t, err)
	require.EqualValues(t, 2, held[0].Amount)
}

// TestTime lets services go silent and come back, with no change in the
// engine.
func TestTime(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprint("a rank of its own: ", alone), func(t *testing.T) {
			t.Parallel()
			watchTime(t, alone)
		})
	}
}

func watchTime(t *testing.T, alone bool) {
	t.Helper()
	w := newWorld(t, nil, 2)
	for n := range 2 {
		_, err := w.engine.SetTraits(t.Context(), id('h', n), []string{"HW_CPU_X86_AVX2"}, placement.AnyGeneration)
		require.NoError(t, err)
	}
	now := noon
	w.cfg.Now = func() time.Time { return now }
	s := w.scheduler(t, 1)
	for k, c := range []struct {
		after  time.Duration
		report bool
		ok     bool
	}{{0, false, true}, {61 * time.Second, false, false}, {61 * time.Second, true, true}, {-time.Second, false, false}, {2 * time.Second, false, true}} {
		now = noon.Add(c.after)
		if c.report {
			for n := range 2 {
				require.NoError(t, w.hosts.Put(&scheduler.HostState{
					Host: "h", UUID: id('h', n).String(), Service: scheduler.Service{LastReport: now},
				}))
			}
		}
		r := request(k, 1, 1, 1)
		if alone {
			r.Where.Groups[0].Required = [][]string{{"HW_CPU_X86_AVX2"}}
		}
		_, err := s.Schedule(t.Context(), r)
		if c.ok {
			require.NoError(t, err, "step %d", k)
		} else {
			require.ErrorIs(t, err, scheduler.ErrNoValidHost, "step %d", k)
		}
	}
}

// TestBudget keeps the ranks within their memory.
func TestBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 100)
	_, err := w.engine.SetTraits(t.Context(), id('h', 2), []string{"HW_CPU_X86_AVX2"}, placement.AnyGeneration)
	require.NoError(t, err)
	w.cfg.RankBytes = 8 << 10
	s := w.scheduler(t, 1)
	for k := range 40 { // a trait makes each shape have a rank of its own
		r := request(k, 1, 1, 1)
		r.Where.Groups[0].Required = [][]string{{"HW_CPU_X86_AVX2"}}
		r.Where.Groups[0].Resources[1].Amount = int64(1 + k%20)
		if k >= 8 {
			r.Where.Groups[0].Resources = r.Where.Groups[0].Resources[1:]
		}
		_, err := s.Schedule(t.Context(), r)
		if k < 8 {
			require.NoError(t, err)
		}
	}
	stats := s.Stats()
	require.LessOrEqual(t, stats.RankBytes, int64(16<<10))
	require.Less(t, stats.Shapes, 10)
	require.Greater(t, stats.Rebuilds, int64(20))
}

// TestTooFarBehind loses both feeds between two requests.
func TestTooFarBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 3)
	w.hosts = live.NewHosts(2)
	w.cfg.Hosts = w.hosts
	for n := range 3 {
		w.putRecord(t, n, false)
	}
	s := w.scheduler(t, 1)
	_, err := s.Schedule(t.Context(), request(0, 1, 1, 1))
	require.NoError(t, err)
	for range 4 {
		for n := range 2 {
			w.putRecord(t, n, true)
		}
	}
	w.hosts.Remove(id('h', 0))
	chosen, err := s.Schedule(t.Context(), request(1, 1, 1, 1))
	require.NoError(t, err)
	require.Equal(t, id('h', 2), chosen[0].UUID)
	buf := make([]placement.UUID, 4)
	_, err = w.hosts.Changes(0, buf)
	require.ErrorIs(t, err, placement.ErrTooFarBehind)
}
