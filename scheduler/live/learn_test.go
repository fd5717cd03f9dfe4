package live_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

// TestFragmentationFollowsTheMix has two schedulers share a weigher that
// learns, and asks another about every host before each decision.
func TestFragmentationFollowsTheMix(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			const hosts = 40
			rng := rand.New(rand.NewPCG(seed, 1))
			w := newWorld(t, nil, 0)
			var mix, twin pack.LiveMix
			w.cfg.Weighers = []scheduler.Weigher{pack.NewFragmentation(&mix, 1)}
			both := []*live.Scheduler{w.scheduler(t, seed), w.scheduler(t, seed+1)}
			every := make([]*scheduler.HostState, hosts)
			at := map[string]*scheduler.HostState{}
			for n := range every {
				w.addHost(t, n, int64(5+n%13), 64)
				every[n] = &scheduler.HostState{VCPUsTotal: int64(5 + n%13), TotalRAMMiB: 64, FreeRAMMiB: 64, CPUAllocationRatio: 1, RAMAllocationRatio: 1, DiskAllocationRatio: 1}
				at[fmt.Sprint("host", n)] = every[n]
			}
			judge := pack.NewFragmentation(&twin, 1)
			raw, instances := make([]float64, hosts), 0
			for round := range 110 {
				vcpus := 1 + rng.Int64N(2)
				if round > 30 { // the mix moves
					vcpus = 1 + 2*rng.Int64N(2)
				}
				r := request(instances, 1+rng.IntN(2), vcpus, 4*vcpus)
				instances += len(r.Spec.Instances)
				chosen, err := both[rng.IntN(2)].Schedule(t.Context(), r)
				if err != nil {
					break // full
				}
				for k, c := range chosen {
					h := at[c.Host]
					require.NoError(t, judge.Weigh(&scheduler.Request{Spec: r.Spec}, every, raw))
					best := slices.Max(fitting(every, raw, vcpus))
					require.Equal(t, best, raw[slices.Index(every, h)], "round %d, instance %d, seed %d", round, k, seed)
					h.VCPUsUsed += vcpus
					h.FreeRAMMiB -= 4 * vcpus
				}
				twin.Add(pack.DemandOf(&r.Spec.Flavor), int64(len(chosen)))
			}
			require.Greater(t, instances, 130)
			require.GreaterOrEqual(t, mix.Version(), uint64(2), "the mix moved")
			require.Equal(t, twin.Version(), mix.Version())
		})
	}
}

// fitting returns the scores of the hosts that have room.
func fitting(hosts []*scheduler.HostState, raw []float64, vcpus int64) []float64 {
	var list []float64
	for k, h := range hosts {
		if h.VCPUsTotal-h.VCPUsUsed >= vcpus && h.FreeRAMMiB >= 4*vcpus {
			list = append(list, raw[k])
		}
	}
	return list
}

// TestFewShapesOfFragmentation asks for one flavor by many users: they share
// a rank, which is made anew when the mix moves and not more often.
func TestFewShapesOfFragmentation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 100)
	w.cfg.Weighers = []scheduler.Weigher{pack.NewFragmentation(&pack.LiveMix{}, 1)}
	s := w.scheduler(t, 1)
	for n := range 100 {
		r := request(n, 1, 1, 4)
		r.Spec.UserID, r.Spec.Flavor.Name = fmt.Sprint("user", n), fmt.Sprint("flavor", n%3)
		_, err := s.Schedule(t.Context(), r)
		require.NoError(t, err)
	}
	require.Equal(t, 1, s.Stats().Shapes)
	require.EqualValues(t, 2, s.Stats().Rebuilds, "the first request, and after the 16th")
}

// TestForeignLearns places as many requests as the first step takes.
func TestForeignLearns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, 4)
	var mix pack.LiveMix
	w.cfg.Weighers = []scheduler.Weigher{pack.NewFragmentation(&mix, 1)}
	f := foreign(t, w, serve(t, w), nil)
	_, err := f.Schedule(t.Context(), request(0, 100, 1, 1))
	require.Error(t, err)
	for n := range 8 {
		require.Zero(t, mix.Version())
		_, err := f.Schedule(t.Context(), request(2*n, 2, 1, 1))
		require.NoError(t, err)
	}
	require.EqualValues(t, 1, mix.Version())
}

// BenchmarkFragmentation fills hosts by a mix that is known, and by one that is
// not in the beginning and moves once.
func BenchmarkFragmentation(b *testing.B) {
	for _, shapes := range []int{4, 100} {
		var known []string
		for k := range shapes {
			for half := int64(1); half <= 2; half++ {
				vcpus, mib := flavor(int64(k) * half)
				known = append(known, fmt.Sprintf("%d:%d:0=1", vcpus, mib))
			}
		}
		for _, mix := range [][]string{known, nil} {
			b.Run(fmt.Sprintf("shapes=%d/live=%v", shapes, mix == nil), func(b *testing.B) {
				for b.Loop() {
					measure, err := pack.MeasureOf(&scheduler.Options{RequestMix: mix, WeightClasses: []string{"FragmentationWeigher"}}, &pack.LiveMix{})
					require.NoError(b, err)
					fillByMix(b, measure, shapes)
				}
			})
		}
	}
}

func flavor(k int64) (vcpus, mib int64) { return 1 + k%16, 1024 * (1 + k/4) }

func fillByMix(b *testing.B, m pack.Measure, shapes int) {
	b.Helper()
	const claims = 20_000
	w, _ := cluster(b, 10_000)
	w.cfg.Weighers = []scheduler.Weigher{pack.NewFragmentation(m, 1)}
	s := w.scheduler(b, 1)
	rng := rand.New(rand.NewPCG(1, 1))
	start, slowest := cpuTime(b), time.Duration(0)
	for n := range claims {
		vcpus, mib := flavor(int64(rng.IntN(shapes) * (1 + n/(claims/2)))) // the second half asks for others
		at := cpuTime(b)
		_, err := s.Schedule(b.Context(), request(n, 1, vcpus, mib))
		slowest = max(slowest, cpuTime(b)-at)
		require.NoError(b, err)
	}
	b.ReportMetric(claims/(cpuTime(b)-start).Seconds(), "claims/cpu-s")
	b.ReportMetric(float64(s.Stats().Rebuilds), "rebuilds")
	b.ReportMetric(slowest.Seconds()*1e3, "slowest-ms")
}
