package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newIOOps makes the weigher that with its negative default avoids hosts that are busy building or moving instances.
//
// Source: nova, scheduler/weights/io_ops.py, IoOpsWeigher.
func newIOOps(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "IoOpsWeigher", reads: scheduler.ReadsAllocations, floored: true,
		multiplier: scheduler.Multiplier{Value: o.IOOpsWeightMultiplier, Key: "io_ops_weight_multiplier"},
		score:      func(h *scheduler.HostState) float64 { return float64(h.NumIOOps) },
	}
}
