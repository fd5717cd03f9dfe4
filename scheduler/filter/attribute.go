package filter

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// document returns an attribute of a host that holds decoded JSON, or nil.
func document(h *scheduler.HostState, name string) any {
	switch name {
	case "cpu_info":
		return h.CPUInfo
	case "stats":
		return h.Stats
	default:
		return nil
	}
}

// attribute returns an attribute of Nova's HostState, and whether there is one
// of the name. Those that are objects in Nova are only known by name here.
//
// Source: nova, scheduler/host_manager.py, HostState.
func attribute(h *scheduler.HostState, name string) (pyvalue.Value, bool) {
	if v, ok := amount(h, name); ok {
		return v, true
	}
	switch name {
	case "host":
		return pyvalue.OfText(h.Host), true
	case "nodename":
		return pyvalue.OfText(h.Node), true
	case "_lock_name":
		return pyvalue.OfText(h.Host + "-" + h.Node), true
	case "uuid":
		return known(h.UUID), true
	case "cell_uuid":
		return known(h.Cell), true
	case "hypervisor_type":
		return known(h.HypervisorType), true
	case "hypervisor_hostname":
		return known(h.HypervisorHostname), true
	case "hypervisor_version":
		if h.HypervisorVersion == nil {
			return pyvalue.Value{}, true
		}
		return pyvalue.OfInt(*h.HypervisorVersion), true
	case "host_ip":
		return address(h.HostIP), true
	case "cpu_info", "stats":
		return pyvalue.OfDecoded(document(h, name)), true
	case "supported_instances":
		return supportedInstances(h), true
	default:
		return object(h, name)
	}
}

func amount(h *scheduler.HostState, name string) (pyvalue.Value, bool) {
	switch name {
	case "total_usable_ram_mb":
		return pyvalue.OfInt(h.TotalRAMMiB), true
	case "total_usable_disk_gb":
		return pyvalue.OfInt(h.TotalDiskGiB), true
	case "disk_mb_used":
		return pyvalue.OfInt(h.DiskUsedMiB), true
	case "free_ram_mb":
		return pyvalue.OfInt(h.FreeRAMMiB), true
	case "free_disk_mb":
		return pyvalue.OfInt(h.FreeDiskMiB), true
	case "vcpus_total":
		return pyvalue.OfInt(h.VCPUsTotal), true
	case "vcpus_used":
		return pyvalue.OfInt(h.VCPUsUsed), true
	case "num_instances":
		return pyvalue.OfInt(h.NumInstances), true
	case "num_io_ops":
		return pyvalue.OfInt(h.NumIOOps), true
	case "failed_builds":
		return pyvalue.OfInt(h.FailedBuilds), true
	case "cpu_allocation_ratio":
		return pyvalue.OfFloat(h.CPUAllocationRatio), true
	case "ram_allocation_ratio":
		return pyvalue.OfFloat(h.RAMAllocationRatio), true
	case "disk_allocation_ratio":
		return pyvalue.OfFloat(h.DiskAllocationRatio), true
	default:
		return pyvalue.Value{}, false
	}
}

// object returns attributes that are neither texts nor numbers. Their text is
// not Nova's.
func object(h *scheduler.HostState, name string) (pyvalue.Value, bool) {
	switch name {
	case "limits":
		return pyvalue.OfDict(&pyvalue.Dict{}), true
	case "updated":
		return pyvalue.Value{}, true
	case "numa_topology":
		if len(h.NUMATopology) == 0 {
			return pyvalue.Value{}, true
		}
		return pyvalue.OfObject(name, true), true
	case "metrics":
		return pyvalue.OfObject(name, len(h.Metrics) > 0), true
	case "aggregates":
		list := make([]pyvalue.Value, len(h.Aggregates))
		for i := range list {
			list[i] = pyvalue.OfObject(h.Aggregates[i].Name, true)
		}
		return pyvalue.OfList(list), true
	case "instances":
		return instancesOf(h), true
	case "service", "pci_stats", "allocation_candidates",
		"update", "consume_from_request", "_update_from_compute_node", "_locked_consume_from_request",
		"__class__", "__dict__", "__doc__", "__init__", "__module__", "__repr__":
		return pyvalue.OfObject(name, true), true
	default:
		return pyvalue.Value{}, false
	}
}

func instancesOf(h *scheduler.HostState) pyvalue.Value {
	d := &pyvalue.Dict{}
	for _, uuid := range slices.Sorted(maps.Keys(h.Instances)) {
		d.Set(uuid, pyvalue.OfObject(uuid, true))
	}
	return pyvalue.OfDict(d)
}

// known returns a text, None when it is empty.
func known(s string) pyvalue.Value {
	if s == "" {
		return pyvalue.Value{}
	}
	return pyvalue.OfText(s)
}

// address returns an address as Nova has it: an object that is equal to no text.
func address(s string) pyvalue.Value {
	if s == "" {
		return pyvalue.Value{}
	}
	if a, err := netip.ParseAddr(s); err == nil {
		s = a.String()
	}
	return pyvalue.OfObject(s, true)
}

func supportedInstances(h *scheduler.HostState) pyvalue.Value {
	list := make([]pyvalue.Value, len(h.SupportedInstances))
	for i, instance := range h.SupportedInstances {
		words := make([]pyvalue.Value, len(instance))
		for j, word := range instance {
			words[j] = pyvalue.OfText(word)
		}
		list[i] = pyvalue.OfList(words)
	}
	return pyvalue.OfList(list)
}
