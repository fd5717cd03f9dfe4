package live_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// defaults reads no option: all are Nova's.
type defaults struct{}

func (defaults) Bool(_, _ string, def bool) bool             { return def }
func (defaults) Int(_, _ string, def, _ int) int             { return def }
func (defaults) Float(_, _ string, def, _ float64) float64   { return def }
func (defaults) String(_, _, def string) string              { return def }
func (defaults) Choice(_, _, def string, _ ...string) string { return def }
func (defaults) List(_, _ string) []string                   { return nil }
func (defaults) Multi(_, _ string) []string                  { return nil }

// cluster makes big hosts and a scheduler with Nova's default filters and
// weighers.
func cluster(tb testing.TB, hosts int) (*world, *live.Scheduler) {
	tb.Helper()
	w := newWorld(tb, nil, 0)
	var err error
	o := scheduler.ReadOptions(defaults{})
	w.cfg.Filters, err = filter.Choose(o)
	require.NoError(tb, err)
	w.cfg.Weighers, err = weigh.Choose(o)
	require.NoError(tb, err)
	for n := range hosts {
		_, err := w.engine.CreateProvider(tb.Context(), placement.Provider{UUID: id('h', n), Name: fmt.Sprint("host", n)})
		require.NoError(tb, err)
		vcpu := placement.NewInventory(256)
		vcpu.AllocationRatio = 16
		_, err = w.engine.SetInventories(tb.Context(), id('h', n), map[string]placement.Inventory{
			"VCPU": vcpu, "MEMORY_MB": placement.NewInventory(4 << 20), "DISK_GB": placement.NewInventory(1 << 20),
		}, placement.AnyGeneration)
		require.NoError(tb, err)
		w.putRecord(tb, n, false)
	}
	return w, w.scheduler(tb, 1)
}

// BenchmarkSelectAndClaim places instances of many shapes in turn.
func BenchmarkSelectAndClaim(b *testing.B) {
	for _, hosts := range []int{1_000, 10_000, 100_000} {
		for _, shapes := range []int{1, 16, 100} {
			b.Run(fmt.Sprintf("hosts=%d/shapes=%d", hosts, shapes), func(b *testing.B) {
				w, s := cluster(b, hosts)
				var requests []*live.Request
				for k := range shapes {
					r := request(k, 1, int64(1+k%4), int64(512+8*k))
					requests = append(requests, r)
					_, err := s.Schedule(b.Context(), r)
					require.NoError(b, err)
				}
				b.ReportAllocs()
				n, start := 0, cpuTime(b)
				for b.Loop() {
					r := requests[n%shapes]
					r.Spec.Instances[0] = id('i', 1000+n).String()
					n++
					if _, err := s.Schedule(b.Context(), r); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)/(cpuTime(b)-start).Seconds(), "claims/cpu-s")
				count(b, w, hosts, n+shapes)
			})
		}
	}
}

// cpuTime is what the process has used, by which others on the machine do not
// count.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	require.NoError(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// count demands that so many instances are spread over the hosts: as Nova's
// weighers prefer free hosts, none has two more than another.
func count(tb testing.TB, w *world, hosts, instances int) {
	tb.Helper()
	sum, most, least := 0, 0, instances
	var state placement.TreeState
	for n := range hosts {
		require.True(tb, w.engine.ReadTree(id('h', n), &state))
		sum += state.Consumers
		most, least = max(most, state.Consumers), min(least, state.Consumers)
	}
	require.Equal(tb, instances, sum)
	require.LessOrEqual(tb, least, instances/hosts)
	require.GreaterOrEqual(tb, most, instances/hosts)
}

// BenchmarkThousand places a request of 1,000 servers at once.
func BenchmarkThousand(b *testing.B) {
	for _, spread := range []bool{true, false} {
		b.Run(fmt.Sprint("spread=", spread), func(b *testing.B) {
			w, s := cluster(b, 10_000)
			if !spread {
				s = packing(b, w)
			}
			n, used := 0, time.Duration(0)
			for b.Loop() {
				r := request(n, 1000, 2, 1024)
				n += 1000
				start := cpuTime(b)
				chosen, err := s.Schedule(b.Context(), r)
				used += cpuTime(b) - start
				require.NoError(b, err)
				require.Len(b, chosen, 1000)
			}
			b.ReportMetric(1e3*used.Seconds()/float64(b.N), "cpu-ms/op")
			sum := 0
			var state placement.TreeState
			for k := range 10_000 {
				require.True(b, w.engine.ReadTree(id('h', k), &state))
				sum += state.Consumers
			}
			require.Equal(b, n, sum)
		})
	}
}

// packing returns a scheduler that fills hosts up.
func packing(tb testing.TB, w *world) *live.Scheduler {
	tb.Helper()
	o := scheduler.ReadOptions(defaults{})
	o.RAMWeightMultiplier, o.CPUWeightMultiplier, o.DiskWeightMultiplier = -1, -1, -1
	cfg := w.cfg
	var err error
	cfg.Weighers, err = weigh.Choose(o)
	require.NoError(tb, err)
	s, err := live.New(cfg)
	require.NoError(tb, err)
	return s
}

// BenchmarkTwoSchedulers has two schedulers fill one engine by best fit, with
// 16 requests in flight each, and counts decisions that were in vain.
func BenchmarkTwoSchedulers(b *testing.B) {
	for _, c := range []struct {
		store  string
		subset int
	}{{"memory", 1}, {"memory", 32}, {"store", 1}, {"store", 32}} {
		b.Run(fmt.Sprintf("%s/subset=%d", c.store, c.subset), func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(100*wasted(b, c.store, c.subset), "%wasted")
			}
		})
	}
}

// wasted returns the share of decisions that were in vain.
func wasted(tb testing.TB, kind string, subset int) float64 {
	tb.Helper()
	const hosts, each, inFlight = 10_000, 10_000, 16
	var kept store.Store
	if kind == "store" {
		kept = mem.New(mem.Config{})
	}
	w := newWorld(tb, kept, 0)
	o := scheduler.ReadOptions(defaults{})
	o.WeightClasses, o.RAMWeightMultiplier = []string{"RAMWeigher"}, -1
	var err error
	w.cfg.Weighers, err = weigh.Choose(o)
	require.NoError(tb, err)
	for n := range hosts {
		w.addHost(tb, n, 64, 64)
	}
	w.cfg.Subset = subset
	var wg sync.WaitGroup
	var next atomic.Int64
	both := []*live.Scheduler{w.scheduler(tb, 1), w.scheduler(tb, 2)}
	for _, s := range both {
		for range inFlight {
			wg.Go(func() {
				for n := next.Add(1); n <= 2*each; n = next.Add(1) {
					if _, err := s.Schedule(tb.Context(), request(int(n), 1, 1+n%4, 1+n%4)); err != nil {
						tb.Error(err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	one, two := both[0].Stats(), both[1].Stats()
	require.EqualValues(tb, 2*each, one.Claims+two.Claims)
	lost := float64(one.Lost + two.Lost)
	return lost / (lost + float64(one.Claims+two.Claims))
}

// BenchmarkRankMemory ranks a hundred shapes that all have ranks of their own.
func BenchmarkRankMemory(b *testing.B) {
	for _, hosts := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint("hosts=", hosts), func(b *testing.B) {
			w, s := cluster(b, hosts)
			trait := "HW_CPU_X86_AVX2"
			for n := range hosts {
				_, err := w.engine.SetTraits(b.Context(), id('h', n), []string{trait}, placement.AnyGeneration)
				require.NoError(b, err)
			}
			n := 0
			for b.Loop() {
				for k := range 100 {
					r := request(n, 1, int64(1+k%4), int64(512+8*k))
					r.Where.Groups[0].Required = [][]string{{trait}}
					n++
					_, err := s.Schedule(b.Context(), r)
					require.NoError(b, err)
				}
			}
			stats := s.Stats()
			require.Equal(b, 100, stats.Shapes)
			b.ReportMetric(float64(stats.RankBytes)/(1<<30), "GiB")
			b.ReportMetric(float64(stats.RankBytes)/float64(100*hosts), "B/host/shape")
		})
	}
}
