package bench

import (
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// BenchmarkOpenB replays the OpenB trace in memory. The replay itself checks
// every answer.
func BenchmarkOpenB(b *testing.B) {
	nodes, errNodes := trace.OpenBNodes()
	tasks, errTasks := trace.OpenBTasks("default")
	if errNodes != nil || errTasks != nil {
		b.Fatal(errNodes, errTasks)
	}
	for _, policy := range []Policy{FirstFit, BestFit} {
		b.Run(policy.String(), func(b *testing.B) {
			var claims, seconds float64
			for b.Loop() {
				e, err := placement.Open(b.Context(), placement.Config{})
				if err != nil {
					b.Fatal(err)
				}
				r, err := ReplayGPU(b.Context(), e, GPUConfig{Nodes: nodes, Tasks: tasks, Policy: policy, Now: time.Now})
				if err != nil {
					b.Fatal(err)
				}
				claims, seconds = claims+float64(r.Placed), seconds+r.Seconds
				if err := e.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(claims/seconds, "claims/s")
		})
	}
}
