package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newHypervisorVersion makes the weigher that prefers newer hypervisors; an
// unknown version is the oldest.
//
// Source: nova, scheduler/weights/hypervisor_version.py,
// HypervisorVersionWeigher.
func newHypervisorVersion(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "HypervisorVersionWeigher", reads: scheduler.ReadsHost,
		multiplier: scheduler.Multiplier{
			Value: o.HypervisorVersionWeightMultiplier, Key: "hypervisor_version_weight_multiplier",
		},
		score: func(h *scheduler.HostState) float64 {
			if h.HypervisorVersion == nil {
				return 0
			}
			return float64(*h.HypervisorVersion)
		},
	}
}
