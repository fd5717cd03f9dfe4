package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newRAM makes the weigher that prefers hosts with much free memory.
//
// Source: nova, scheduler/weights/ram.py, RAMWeigher.
func newRAM(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "RAMWeigher", reads: scheduler.ReadsAllocations, floored: true,
		multiplier: scheduler.Multiplier{Value: o.RAMWeightMultiplier, Key: "ram_weight_multiplier"},
		score:      func(h *scheduler.HostState) float64 { return float64(h.FreeRAMMiB) },
	}
}
