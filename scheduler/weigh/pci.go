package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// maxDevices is how many free devices make a difference, plus one.
const maxDevices = 100

// newPCI makes the weigher that prefers hosts with few free PCI devices,
// whether the request wants any or not.
//
// Source: nova, scheduler/weights/pci.py, PCIWeigher.
func newPCI(o *scheduler.Options) scheduler.Weigher {
	return &hostOnly{
		name: "PCIWeigher", reads: scheduler.ReadsAllocations,
		multiplier: scheduler.Multiplier{Value: o.PCIWeightMultiplier, Key: "pci_weight_multiplier"},
		score: func(h *scheduler.HostState) float64 {
			return float64(maxDevices - min(h.FreePCI, maxDevices-1))
		},
	}
}
