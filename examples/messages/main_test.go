package main

import "github.com/kilonova-cloud/kilonova/cells/bus/local"

func Example() {
	check(run(local.New(local.Config{})))
	// Output:
	// uptime: 4 days
	// reboot: InstanceIsLocked: instance i1 is locked
	// fly: there is no such method: true
}
