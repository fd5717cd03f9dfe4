package novajudge

import "maps"

// weigherNames are the weigher classes and the option that multiplies each,
// in the order in which all_weighers adds them up.
var weigherNames = []struct{ class, option string }{
	{"affinity.ServerGroupSoftAffinityWeigher", "soft_affinity_weight_multiplier"},
	{"affinity.ServerGroupSoftAntiAffinityWeigher", "soft_anti_affinity_weight_multiplier"},
	{"compute.BuildFailureWeigher", "build_failure_weight_multiplier"},
	{"cpu.CPUWeigher", "cpu_weight_multiplier"},
	{"cross_cell.CrossCellWeigher", "cross_cell_move_weight_multiplier"},
	{"disk.DiskWeigher", "disk_weight_multiplier"},
	{"hypervisor_version.HypervisorVersionWeigher", "hypervisor_version_weight_multiplier"},
	{"image_props.ImagePropertiesWeigher", "image_props_weight_multiplier"},
	{"io_ops.IoOpsWeigher", "io_ops_weight_multiplier"},
	{"metrics.MetricsWeigher", ""},
	{"num_instances.NumInstancesWeigher", "num_instances_weight_multiplier"},
	{"pci.PCIWeigher", "pci_weight_multiplier"},
	{"ram.RAMWeigher", "ram_weight_multiplier"},
}

const (
	weighersPackage = "nova.scheduler.weights."
	allWeighers     = weighersPackage + "all_weighers"
)

// multipliers sets one in aggregates of some hosts.
func (g *gen) multipliers(option string) {
	if !g.chance(30) {
		return
	}
	for _, h := range g.hosts {
		for range pick(g, 0, 0, 1, 2) {
			g.aggregate(h, option, pick(g, "2", "2.0", "-1", "0.5", "0", " 3 ", "x", "", "1e1", "0.1", "1,2", "1_0"))
		}
	}
}

// weighers exercises all weighers that look at numbers of a host.
func weighers(g *gen) {
	for _, h := range g.hosts {
		g.hypervisor(h)
		h["num_io_ops"], h["num_instances"] = g.IntN(10), g.IntN(30)
		h["failed_builds"] = pick(g, 0, 0, 0, 1, 3)
		if g.chance(50) {
			h["pci_pools"] = arr{obj{"vendor_id": "8086", "product_id": "1520", "count": pick(g, 0, 1, 5, 98, 99, 100, 120), "numa_node": nil}}
		}
		h["cpu_allocation_ratio"] = pick(g, 1.0, 1.1, 16.0, 0.3)
	}
	if g.chance(20) { // all hosts alike
		for _, h := range g.hosts {
			h["free_ram_mb"], h["free_disk_mb"] = g.hosts[0]["free_ram_mb"], 0
		}
	}
	for _, w := range weigherNames {
		if w.option == "" {
			continue
		}
		if g.chance(20) {
			g.config["filter_scheduler."+w.option] = g.multiplier(w.option)
		}
		if g.chance(20) {
			g.multipliers(w.option)
		}
	}
	if g.chance(50) {
		g.chooseWeighers()
	}
}

// multiplier is a value that the option may have.
func (g *gen) multiplier(option string) float64 {
	switch option {
	case "pci_weight_multiplier", "soft_affinity_weight_multiplier", "soft_anti_affinity_weight_multiplier":
		return pick(g, 0.0, 0.1, 2.0)
	}
	return pick(g, 0.0, -1.0, 0.1, 2.0, 1000.0, -0.3, 1e-3)
}

func (g *gen) chooseWeighers() {
	g.weights = arr{}
	for range 1 + g.IntN(5) {
		g.weights = append(g.weights, weighersPackage+pick(g, weigherNames...).class)
	}
	if g.chance(15) {
		g.weights = append(g.weights, allWeighers)
	}
}

func buildFailure(g *gen) {
	for _, h := range g.hosts {
		h["failed_builds"] = pick(g, 0, 1, 1, 2, 7)
		h["stats"] = obj{"failed_builds": "9"}
	}
	if g.chance(40) {
		g.config["filter_scheduler.build_failure_weight_multiplier"] = pick(g, 0.0, 0.5, -2.0)
	}
	g.multipliers("build_failure_weight_multiplier")
}

func (g *gen) cells() {
	one, two := g.uuid(), g.uuid()
	for _, h := range g.hosts {
		h["cell_uuid"] = pick(g, one, two)
	}
}

func crossCell(g *gen) {
	g.cells()
	if g.chance(90) {
		g.spec["requested_destination"] = obj{"cell_uuid": pick(g, g.hosts...)["cell_uuid"], "allow_cross_cell_move": g.chance(80)}
	}
	if g.chance(30) {
		g.config["filter_scheduler.cross_cell_move_weight_multiplier"] = pick(g, 0.0, 1.0, -5.5)
	}
	g.multipliers("cross_cell_move_weight_multiplier")
}

func imageWeigher(g *gen) {
	g.enable("AllHostsFilter")
	if g.chance(90) {
		g.config["filter_scheduler.image_props_weight_multiplier"] = pick(g, 1.0, -1.0, 0.5)
	}
	keys := []string{"os_distro", "os_type", "hw_qemu_guest_agent", "hw_architecture", "architecture", "hw_cpu_sockets", "unknown_key"}
	properties := func() obj {
		p := obj{}
		for range g.IntN(4) {
			key := pick(g, keys...)
			p[key] = g.imageValue(key)
		}
		return p
	}
	for _, h := range g.hosts {
		list, images := arr{}, obj{}
		for range g.IntN(4) {
			uuid := g.uuid()
			list = append(list, uuid)
			if g.chance(80) {
				images[uuid] = properties()
			}
		}
		h["instances"], h["instance_images"] = list, images
	}
	for range 3 {
		maps.Copy(g.props, properties())
	}
	if g.chance(40) {
		setting := arr{}
		for range 1 + g.IntN(3) {
			setting = append(setting, pick(g, keys...)+"="+pick(g, "1", "2.5", "-1", "x", "0.1", ""))
		}
		g.config["filter_scheduler.image_props_weight_setting"] = setting
	}
	g.multipliers("image_props_weight_multiplier")
	if g.chance(5) {
		g.spec["image"] = nil
	}
}
