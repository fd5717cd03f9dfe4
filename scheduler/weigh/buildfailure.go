package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newBuildFailure makes the weigher that avoids hosts on which builds failed.
//
// Source: nova, scheduler/weights/compute.py, BuildFailureWeigher.
func newBuildFailure(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "BuildFailureWeigher", reads: scheduler.ReadsHost,
		multiplier: scheduler.Multiplier{Value: o.BuildFailureWeightMultiplier, Key: "build_failure_weight_multiplier", Negate: true},
		score:      func(h *scheduler.HostState) float64 { return float64(h.FailedBuilds) },
	}
}
