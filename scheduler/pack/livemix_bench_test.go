package pack

import (
	"fmt"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// BenchmarkFragmentation scores hosts, which differ, by a live mix: what a
// claim costs for each shape, and a step for each host and shape.
func BenchmarkFragmentation(b *testing.B) {
	for _, flavors := range []int64{4, 100} {
		b.Run(fmt.Sprint("flavors=", flavors), func(b *testing.B) {
			live := &LiveMix{}
			for k := range flavors {
				live.Add(Demand{Need: [Amounts]int64{1 + k%16, 1024 * (1 + k/3), 1024}}, 100)
			}
			w := NewFragmentation(live, 1)
			hosts := make([]*scheduler.HostState, 1000)
			for k := range hosts {
				hosts[k] = hostState(64, int64(k%100), 512<<10, int64(1024*(k%500)))
			}
			raw, r := make([]float64, len(hosts)), &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{VCPUs: 4, MemoryMiB: 8192}}}
			b.ReportAllocs()
			for b.Loop() {
				_ = w.Weigh(r, hosts, raw)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(hosts)), "ns/host")
		})
	}
}
