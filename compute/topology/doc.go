// Package topology fits instances on the NUMA cells and PCI devices of a host,
// as OpenStack Nova does, down to the choice of every host CPU.
//
// A [Host] has [Cell]s and [Pool]s of free devices; [ParseHost] reads them. An
// [Instance] has cells and [Request]s for devices; [Aliases.Instance] makes it
// from a flavor and an image. A [Fitter] says whether an instance fits on a
// host, or why not; [Fitter.Consume] takes what it needs from the host, and
// [Release] gives it back. [Keeper] is all this behind the ports of package
// scheduler, with the filters NUMATopologyFilter and PciPassthroughFilter.
//
//	host, _ := topology.ParseHost(numaJSON, poolsJSON)
//	instance, _ := aliases.Instance(&flavor, &image)
//	host, instance, err := fitter.Consume(host, instance, nil)
//
// Hosts and instances are values that nobody changes once they are made, and
// safe to share. A Fitter holds scratch memory and serves one goroutine.
// Memory is in MiB, pages in KiB. CPUs are numbers as the host, or the
// instance, counts them.
//
// Source: nova, virt/hardware.py, pci/stats.py, pci/request.py.
package topology
