package novajudge

import "fmt"

// ports asks for devices of ports, as Neutron's have them, where hosts have
// such devices, some with devices of aliases and near to networks.
func ports(g *gen) {
	pick(g, pci, pci, pci, numaPCI, near)(g)
	g.enable("PciPassthroughFilter")
	if g.chance(80) {
		delete(g.extra, "pci_passthrough:alias")
	}
	nets := []string{"physnet0", "physnet0", "physnet1"}
	for _, h := range g.hosts {
		list, _ := h["pci_pools"].(arr)
		for range 2 + g.IntN(3) {
			tags := obj{"physical_network": pick(g, nets...), "remote_managed": pick(g, "false", "false", "false", "false", "False", "true")}
			if g.chance(30) {
				tags["trusted"] = pick(g, "true", "True", "false")
			}
			if g.chance(10) {
				tags["physical_network"] = nil
			}
			p := obj{"vendor_id": pick(g, "8086", "15b3"), "product_id": pick(g, "1520", "101e"), "numa_node": pick[any](g, 0, 1, 1, nil), "count": pick(g, 0, 1, 2, 4, 4, 8), "tags": tags}
			if g.chance(80) {
				p["dev_type"] = pick(g, "type-VF", "type-VF", "type-VF", "type-VF", "type-VF", "type-PF", "vdpa")
			}
			list = append(list, p)
		}
		h["pci_pools"] = list
	}
	requests := arr{}
	for n := range 1 + g.IntN(2) {
		requests = append(requests, g.port(n, nets))
	}
	g.spec["pci_requests"] = requests
}

// port asks for one device mostly, as Neutron's ports do.
func (g *gen) port(n int, nets []string) obj {
	spec := obj{"physical_network": pick(g, nets...), "remote_managed": pick(g, "False", "False", "False", "False", "False", "False", "True")}
	if g.chance(15) {
		spec["dev_type"] = pick(g, "type-PF", "vdpa")
	}
	if g.chance(15) {
		spec["trusted"] = pick(g, "True", "False")
	}
	if g.chance(10) {
		spec["physical_network"] = nil
	}
	r := obj{"requester_id": fmt.Sprintf("port%d", n), "spec": arr{spec}}
	if g.chance(50) {
		r["numa_policy"] = pick(g, "required", "preferred", "legacy", "socket")
	}
	if g.chance(15) {
		r["count"] = pick(g, 0, 1, 2)
	}
	if g.chance(5) {
		r["spec"] = arr{spec, obj{"vendor_id": "8086"}}
	}
	return r
}
