package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// newDisk makes the weigher that prefers hosts with much free disk.
//
// Source: nova, scheduler/weights/disk.py, DiskWeigher.
func newDisk(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "DiskWeigher", reads: scheduler.ReadsAllocations, floored: true,
		multiplier: scheduler.Multiplier{Value: o.DiskWeightMultiplier, Key: "disk_weight_multiplier"},
		score:      func(h *scheduler.HostState) float64 { return float64(h.FreeDiskMiB) },
	}
}
