package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newNumInstances makes the weigher that counts instances; with its default of 0 it has no say.
//
// Source: nova, scheduler/weights/num_instances.py, NumInstancesWeigher.
func newNumInstances(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "NumInstancesWeigher", reads: scheduler.ReadsAllocations,
		multiplier: scheduler.Multiplier{Value: o.NumInstancesWeightMultiplier, Key: "num_instances_weight_multiplier"},
		score:      func(h *scheduler.HostState) float64 { return float64(h.NumInstances) },
	}
}
