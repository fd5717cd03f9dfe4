package novajudge

import (
	"fmt"
	"strconv"
	"strings"
)

// numaHost gives the host cells, with threads or without.
func (g *gen) numaHost(h obj) {
	if g.chance(5) {
		if g.chance(50) {
			h["numa_topology"] = nil
		}
		return
	}
	cells := arr{}
	n, threads, cores := pick(g, 1, 2, 2, 4), pick(g, 1, 2, 2), pick(g, 2, 3, 4)
	mode, pages := pick(g, "shared", "same", "split", "split", "split", "pinned"), g.IntN(4)
	for c := range n {
		var siblings [][]int
		for k := range cores {
			var core []int
			for t := range threads {
				core = append(core, c*cores+k+t*cores*n)
			}
			siblings = append(siblings, core)
		}
		cell := obj{"id": c, "memory": pick(g, 4096, 8192, 16384), "siblings": siblings, "socket": pick[any](g, c/2, c/2, nil)}
		g.cellCPUs(cell, siblings, mode)
		g.cellPages(cell, pages)
		cells = append(cells, cell)
	}
	if g.chance(2) {
		cells[0].(obj)["siblings"] = arr{}
	}
	if g.chance(30) {
		g.Shuffle(n, func(i, j int) { cells[i], cells[j] = cells[j], cells[i] })
	}
	h["numa_topology"] = obj{"cells": cells}
	h["cpu_allocation_ratio"] = pick(g, 1.0, 4.0, 1.5)
	h["ram_allocation_ratio"] = pick(g, 1.0, 1.0, 1.5)
}

func (g *gen) cellCPUs(cell obj, siblings [][]int, mode string) {
	shared, pinned := []int{}, []int{}
	for i, core := range siblings {
		split := i == 0 && mode == "split"
		if mode == "shared" || mode == "same" || split {
			shared = append(shared, core...)
		}
		if mode == "pinned" || mode == "same" || mode == "split" && !split {
			pinned = append(pinned, core...)
		}
	}
	cell["cpuset"], cell["pcpuset"] = shared, pinned
	if len(shared) > 0 {
		cell["cpu_usage"] = g.IntN(len(shared) + 2)
	}
	cell["pinned_cpus"] = some(g, pick(g, 0, 0, 15, 30, 60), pinned)
}

func (g *gen) cellPages(cell obj, kinds int) {
	memory := cell["memory"].(int)
	cell["memory_usage"] = pick(g, 0, 0, 512, 1024, memory/2)
	if kinds == 0 {
		cell["mempages"] = arr{}
		return
	}
	huge := arr{}
	left := memory * 1024
	for _, size := range []int{2048, 1048576}[:kinds-1] {
		total := memory / 4 * 1024 / size * pick(g, 0, 1, 1)
		left -= total * size
		page := obj{"size_kb": size, "total": total, "used": g.IntN(total + 1)}
		if g.chance(50) {
			page["used"] = 0
		}
		if g.chance(30) {
			page["reserved"] = min(total, g.IntN(3))
		}
		huge = append(huge, page)
	}
	small := obj{"size_kb": 4, "total": left / 4, "used": pick(g, 0, 0, 1000, left/8)}
	cell["mempages"] = append(arr{small}, huge...)
}

// guest asks for NUMA nodes.
func (g *gen) guest(pinned bool) {
	nodes := pick(g, 1, 1, 2, 2, 2, 4)
	g.flavor["vcpus"] = nodes * pick(g, 1, 1, 2, 3)
	g.flavor["memory_mb"] = nodes * pick(g, 256, 512, 512, 1024, 2048, 1000)
	prefix, at := "hw:", g.extra
	if g.chance(15) {
		prefix, at = "hw_", g.props
	}
	if nodes > 1 || !pinned || g.chance(50) {
		at[prefix+"numa_nodes"] = strconv.Itoa(nodes)
	}
	if nodes == 2 && g.chance(30) {
		vcpus, memory := g.flavor["vcpus"].(int), g.flavor["memory_mb"].(int)
		at[prefix+"numa_cpus.0"], at[prefix+"numa_mem.0"] = "0", fmt.Sprint(memory/4)
		at[prefix+"numa_cpus.1"], at[prefix+"numa_mem.1"] = fmt.Sprintf("1-%d", vcpus-1), fmt.Sprint(memory-memory/4)
	}
	if g.chance(45) {
		size := pick(g, "small", "large", "large", "any", "any", "2048", "2MB", "1GB", "4", "1048576")
		if g.chance(75) {
			g.extra["hw:mem_page_size"] = size
		} else {
			g.props["hw_mem_page_size"] = size
			if g.chance(70) {
				g.extra["hw:mem_page_size"] = "any"
			}
		}
	}
}

func numa(g *gen) {
	g.enable("NUMATopologyFilter")
	for _, h := range g.hosts {
		g.numaHost(h)
	}
	g.guest(false)
	g.packing()
	if g.chance(3) {
		g.spec["image"] = nil
	}
}

// near says which physical networks cells are near to, and on which the
// instance's ports are.
func near(g *gen) {
	g.uuids = g.uuids[:min(len(g.uuids), 2)]
	for len(g.hosts) < 5 { // few hosts have all
		g.hosts = append(g.hosts, g.host(len(g.hosts)))
	}
	pick(g, numa, numa, numaPinned, numaPCI)(g)
	networks := []string{"physnet0", "physnet1", "physnet2"}
	for _, h := range g.hosts {
		topology, _ := h["numa_topology"].(obj)
		cells, _ := topology["cells"].(arr)
		for _, c := range cells {
			if g.chance(70) {
				c.(obj)["network_metadata"] = obj{"physnets": some(g, 35, networks), "tunneled": g.chance(30)}
			}
		}
	}
	want := obj{}
	if g.chance(90) {
		want["physnets"] = some(g, 40, networks)
	}
	if g.chance(70) {
		want["tunneled"] = g.chance(50)
	}
	g.spec["network_metadata"] = want
}

func (g *gen) packing() {
	if g.chance(30) {
		g.config["compute.packing_host_numa_cells_allocation_strategy"] = g.chance(70)
	}
}

func numaPinned(g *gen) {
	g.enable("NUMATopologyFilter")
	for _, h := range g.hosts {
		g.numaHost(h)
	}
	g.guest(true)
	g.packing()
	switch policy := pick(g, "dedicated", "dedicated", "dedicated", "mixed", "shared"); {
	case policy == "mixed":
		vcpus := g.flavor["vcpus"].(int)
		if vcpus < 2 {
			g.flavor["vcpus"], vcpus = 2, 2
		}
		g.extra["hw:cpu_policy"] = policy
		g.extra["hw:cpu_dedicated_mask"] = pick(g, "0", "^0", fmt.Sprintf("0-%d", max(0, vcpus-2)), strings.Trim(fmt.Sprint(some(g, 60, []int{1, 0})), "[]"))
		if vcpus > 2 && g.chance(40) {
			g.extra["hw:cpu_dedicated_mask"] = "0,2"
		}
	case g.chance(25) && policy == "dedicated":
		g.props["hw_cpu_policy"] = policy
	default:
		g.extra["hw:cpu_policy"] = policy
	}
	if g.chance(50) {
		policy := pick(g, "prefer", "isolate", "require")
		if g.chance(75) {
			g.extra["hw:cpu_thread_policy"] = policy
		} else {
			g.props["hw_cpu_thread_policy"] = policy
		}
	}
	if g.chance(25) {
		g.extra["hw:emulator_threads_policy"] = pick(g, "share", "isolate")
	}
}

// pciHost gives the host pools of devices.
func (g *gen) pciHost(h obj) {
	pools := arr{}
	for range 1 + g.IntN(6) {
		p := obj{
			"vendor_id": pick(g, "8086", "8086", "8086", "15b3"), "product_id": pick(g, "1520", "1520", "1520", "154d"),
			"numa_node": pick[any](g, nil, 0, 0, 1), "count": pick(g, 0, 1, 2, 4, 8, 8),
		}
		if g.chance(85) {
			p["dev_type"] = pick(g, "type-PCI", "type-VF", "type-VF", "type-PCI", "type-PF", "vdpa")
		}
		tags := obj{}
		for _, tag := range some(g, 20, []string{"physical_network", "live_migratable", "remote_managed", "address"}) {
			tags[tag] = map[string]string{
				"physical_network": pick(g, "physnet0", "physnet1"), "live_migratable": pick(g, "true", "false", "True"),
				"remote_managed": pick(g, "true", "false", "True"), "address": pick(g, "0000:81:00.0", "0000:82:00.0"),
			}[tag]
		}
		if len(tags) > 0 {
			p["tags"] = tags
		}
		pools = append(pools, p)
	}
	if len(pools) > 0 || g.chance(50) {
		h["pci_pools"] = pools
	}
}

// devices asks for PCI devices by aliases.
func (g *gen) devices() {
	aliases, wanted := arr{}, []string{}
	for _, name := range append([]string{"nic"}, some(g, 30, []string{"gpu", "x"})...) {
		alias := obj{"name": name, "vendor_id": pick(g, "8086", "8086", "8086", "15B3"), "product_id": pick(g, "1520", "1520", "1520", "154D")}
		policy, kind := "", ""
		if g.chance(35) {
			kind = pick(g, "type-PCI", "type-VF", "type-VF", "type-PF")
			alias["device_type"] = kind
		}
		if g.chance(60) {
			policy = pick(g, "required", "preferred", "socket", "legacy")
			alias["numa_policy"] = policy
		}
		if g.chance(8) {
			alias["live_migratable"] = pick(g, "yes", "true", "no", "false")
		}
		aliases = append(aliases, encode(alias))
		if kind != "" && g.chance(25) { // an alternative of the same name
			other := obj{"name": name, "vendor_id": "15b3", "product_id": "154d", "device_type": kind}
			if policy != "" {
				other["numa_policy"] = policy
			}
			aliases = append(aliases, encode(other))
		}
		wanted = append(wanted, pick(g, "", "", " ")+name+pick(g, "", "", " ")+":"+pick(g, "1", "1", "1", "1", "2", "2", "3", " 1 ", "0"))
	}
	if g.chance(15) {
		wanted = append(wanted, wanted[0])
	}
	g.config["pci.alias"] = aliases
	g.extra["pci_passthrough:alias"] = strings.Join(wanted, ",")
	if g.chance(25) {
		policy := pick(g, "required", "preferred", "socket", "legacy")
		if g.chance(70) {
			g.extra["hw:pci_numa_affinity_policy"] = policy
		} else {
			g.props["hw_pci_numa_affinity_policy"] = policy
		}
	}
}

func pci(g *gen) {
	g.enable("PciPassthroughFilter")
	for _, h := range g.hosts {
		g.pciHost(h)
	}
	g.devices()
	if g.chance(20) {
		g.multipliers("pci_weight_multiplier")
	}
}

func numaPCI(g *gen) {
	g.uuids = g.uuids[:min(len(g.uuids), 2)]
	for len(g.hosts) < 5 { // few hosts have both
		g.hosts = append(g.hosts, g.host(len(g.hosts)))
	}
	pick(g, numa, numa, numaPinned)(g)
	if g.chance(60) {
		g.enable("PciPassthroughFilter")
	}
	for _, h := range g.hosts {
		g.pciHost(h)
		for range 2 { // likelier to fit
			if list, ok := h["pci_pools"].(arr); ok && g.chance(65) {
				p := obj{"vendor_id": "8086", "product_id": "1520", "numa_node": pick[any](g, 0, 1, nil), "count": pick(g, 2, 6), "dev_type": pick(g, "type-VF", "type-PCI")}
				h["pci_pools"] = append(list, p)
			}
		}
	}
	g.devices()
}
