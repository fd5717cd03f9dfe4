package topology_test

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Two instances with two pinned CPUs each, on a cell with two cores.
func Example() {
	host, _ := topology.ParseHost([]byte(`{"cells": [{"id": 0, "memory": 4096, "pcpuset": [0, 1, 2, 3], "siblings": [[0, 2], [1, 3]],
		"mempages": [{"size_kb": 4, "total": 1048576}]}]}`), nil)
	flavor := scheduler.Flavor{VCPUs: 2, MemoryMiB: 1024, ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated"}}
	instance, _ := topology.Aliases{}.Instance(&flavor, nil)
	var fitter topology.Fitter
	for range 3 {
		why, _ := fitter.Fit(host, instance, nil)
		if !why.Passes() {
			fmt.Println(why.String())
			break
		}
		next, placed, _ := fitter.Consume(host, instance, nil)
		host = next
		fmt.Println(placed.Cells[0].Pins, "of cell", placed.Cells[0].ID)
	}
	// Output:
	// [{0 0} {1 2}] of cell 0
	// [{0 1} {1 3}] of cell 0
	// cell has 0 free CPUs for pinning, the instance needs 2
}
