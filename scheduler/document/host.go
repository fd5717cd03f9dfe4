package document

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

const hostKeys = "host, nodename, cell_uuid, uuid, host_ip, free_ram_mb, total_usable_ram_mb, free_disk_mb, disk_mb_used, " +
	"vcpus_total, vcpus_used, num_instances, num_io_ops, cpu_allocation_ratio, ram_allocation_ratio, disk_allocation_ratio, " +
	"hypervisor_type, hypervisor_version, hypervisor_hostname, supported_instances, cpu_info, stats, failed_builds, " +
	"aggregates, instances, instance_images, service, metrics, numa_topology, pci_pools, allocation_candidates, " +
	"seconds_in_use, seconds_until_empty"

// readHost reads one of the hosts.
//
// Source: nova, scheduler/host_manager.py, HostState, for what is absent.
func readHost(o *object) *scheduler.HostState {
	h := &scheduler.HostState{CPUAllocationRatio: 4, RAMAllocationRatio: 1, DiskAllocationRatio: 1}
	o.text("host", &h.Host)
	if h.Host == "" {
		refuse(o.err, o.at("host"), []byte(`""`), "a name")
	}
	h.Node = h.Host
	o.text("nodename", &h.Node)
	o.text("cell_uuid", &h.Cell)
	o.text("uuid", &h.UUID)
	o.text("host_ip", &h.HostIP)
	o.text("hypervisor_type", &h.HypervisorType)
	o.text("hypervisor_hostname", &h.HypervisorHostname)
	o.into("hypervisor_version", &h.HypervisorVersion, "an integer")
	readAmounts(o, h)
	o.into("supported_instances", &h.SupportedInstances, "a list of lists of texts")
	h.CPUInfo = map[string]any{}
	readCPUInfo(o, h)
	readStats(o, h)
	readService(o, h)
	readInstances(o, h)
	readMetrics(o, h)
	o.each("aggregates", func(path string, raw json.RawMessage) {
		h.Aggregates = append(h.Aggregates, readAggregate(open(raw, path, o.err)))
	})
	if _, told := o.keys["allocation_candidates"]; told {
		h.Candidates = []scheduler.Candidate{}
	}
	o.each("allocation_candidates", func(path string, raw json.RawMessage) {
		in := open(raw, path, o.err)
		c := scheduler.Candidate{}
		in.into("mappings", &c.Mappings, "an object of lists of texts")
		in.done("mappings")
		h.Candidates = append(h.Candidates, c)
	})
	h.UsedSince, h.EmptyBy = readMoment(o, "seconds_in_use", -1), readMoment(o, "seconds_until_empty", 1)
	h.NUMATopology = o.take("numa_topology")
	readPools(o, h)
	o.done(hostKeys)
	return h
}

func readAmounts(o *object, h *scheduler.HostState) {
	o.integer("free_ram_mb", &h.FreeRAMMiB)
	o.integer("total_usable_ram_mb", &h.TotalRAMMiB)
	o.integer("free_disk_mb", &h.FreeDiskMiB)
	o.integer("disk_mb_used", &h.DiskUsedMiB)
	o.integer("vcpus_total", &h.VCPUsTotal)
	o.integer("vcpus_used", &h.VCPUsUsed)
	o.integer("num_instances", &h.NumInstances)
	o.integer("num_io_ops", &h.NumIOOps)
	o.integer("failed_builds", &h.FailedBuilds)
	o.number("cpu_allocation_ratio", &h.CPUAllocationRatio)
	o.number("ram_allocation_ratio", &h.RAMAllocationRatio)
	o.number("disk_allocation_ratio", &h.DiskAllocationRatio)
}

func readCPUInfo(o *object, h *scheduler.HostState) {
	raw := o.take("cpu_info")
	if raw == nil {
		return
	}
	if raw[0] != '{' && raw[0] != '"' {
		refuse(o.err, o.at("cpu_info"), raw, "an object, or a text that holds one")
	}
	h.CPUInfo = decode(raw)
}

// readStats keeps null apart from the text of that name.
func readStats(o *object, h *scheduler.HostState) {
	h.Stats = map[string]any{}
	in := o.object("stats")
	if in == nil {
		return
	}
	in.rest(func(key, path string, raw json.RawMessage) {
		h.Stats[key] = nil
		if string(raw) != "null" {
			h.Stats[key] = scalar(o.err, path, raw)
		}
	})
}

func readService(o *object, h *scheduler.HostState) {
	ago := 0.0
	if in := o.object("service"); in != nil {
		in.boolean("disabled", &h.Service.Disabled)
		in.boolean("forced_down", &h.Service.ForcedDown)
		in.number("seconds_since_report", &ago)
		in.done("disabled, forced_down, seconds_since_report")
	}
	h.Service.LastReport = after(-ago)
}

// after is so many seconds from now, but not more than a century, so that
// nanoseconds do not overflow.
func after(seconds float64) time.Time {
	const most = 4e9
	return Now.Add(time.Duration(math.Round(max(-most, min(seconds, most)) * float64(time.Second))))
}

// readMoment reads a number of seconds after now, or before it with sign -1;
// the zero time when there is none.
func readMoment(o *object, key string, sign float64) time.Time {
	if _, told := o.keys[key]; !told {
		return time.Time{}
	}
	seconds := 0.0
	o.number(key, &seconds)
	return after(sign * seconds)
}

func readInstances(o *object, h *scheduler.HostState) {
	var uuids []string
	o.texts("instances", &uuids)
	h.Instances = make(map[string]scheduler.Instance, len(uuids))
	for _, uuid := range uuids {
		h.Instances[uuid] = scheduler.Instance{}
	}
	images := o.object("instance_images")
	if images == nil {
		return
	}
	images.rest(func(uuid, path string, raw json.RawMessage) {
		image := readProperties(open(raw, path, o.err))
		if _, has := h.Instances[uuid]; has {
			h.Instances[uuid] = scheduler.Instance{Image: image}
		}
	})
}

// percentMetrics are reported as fractions.
var percentMetrics = []string{"cpu.user.percent", "cpu.kernel.percent", "cpu.idle.percent", "cpu.iowait.percent", "cpu.percent"}

// readMetrics makes integers of metrics. Of two with one name the last counts.
//
// Source: nova, objects/monitor_metric.py, FIELDS_REQUIRING_CONVERSION.
func readMetrics(o *object, h *scheduler.HostState) {
	h.Metrics = map[string]int64{}
	o.each("metrics", func(path string, raw json.RawMessage) {
		in := open(raw, path, o.err)
		name, value := "", math.NaN()
		in.text("name", &name)
		in.number("value", &value)
		delete(in.keys, "source")
		delete(in.keys, "timestamp")
		in.done("name, value, source, timestamp")
		if math.IsNaN(value) {
			refuse(o.err, path+".value", []byte("absent"), "a number")
			return
		}
		if slices.Contains(percentMetrics, name) {
			value *= 100
		}
		h.Metrics[name] = int64(max(-1<<62, min(value, 1<<62)))
	})
}

func readAggregate(o *object) scheduler.Aggregate {
	var a scheduler.Aggregate
	o.integer("id", &a.ID)
	o.text("name", &a.Name)
	o.text("uuid", &a.UUID)
	a.Metadata = o.mapping("metadata")
	o.done("id, name, uuid, metadata")
	return a
}

// readPools counts free devices; what pools are is for others to read.
func readPools(o *object, h *scheduler.HostState) {
	h.PCIPools = o.keys["pci_pools"]
	o.each("pci_pools", func(path string, raw json.RawMessage) {
		n := int64(0)
		open(raw, path, o.err).integer("count", &n)
		h.FreePCI += n
	})
}
