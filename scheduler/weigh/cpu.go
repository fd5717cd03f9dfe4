package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newCPU makes the weigher that prefers hosts with many free vCPUs, after
// overcommitment.
//
// Source: nova, scheduler/weights/cpu.py, CPUWeigher.
func newCPU(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "CPUWeigher", reads: scheduler.ReadsAllocations | scheduler.ReadsHost, floored: true,
		multiplier: scheduler.Multiplier{Value: o.CPUWeightMultiplier, Key: "cpu_weight_multiplier"},
		score: func(h *scheduler.HostState) float64 {
			total := float64(float64(h.VCPUsTotal) * h.CPUAllocationRatio) // the conversion forbids fusing
			return total - float64(h.VCPUsUsed)
		},
	}
}
