package novajudge

import "fmt"

// placedDevices asks for PCI devices that placement allocates: pools are bound
// to providers, and hosts have candidates.
func placedDevices(g *gen) {
	for len(g.hosts) < 5 { // few hosts have all
		g.hosts = append(g.hosts, g.host(len(g.hosts)))
	}
	pick(g, pci, numaPCI, numaPCI, numaPCI)(g)
	if len(g.filters) == 1 && g.chance(50) {
		g.enable("PciPassthroughFilter")
	}
	g.config["filter_scheduler.pci_in_placement"] = true
	g.uuids = g.uuids[:min(len(g.uuids), pick(g, 1, 2, 3))]
	counts := g.placedAliases()
	for _, h := range g.hosts {
		g.offer(h, counts)
	}
}

// placedAliases asks by aliases of one specification each, some of which name
// a resource class only. It returns the counts.
func (g *gen) placedAliases() []int {
	aliases, counts, wanted := arr{}, []int{}, ""
	for n, name := range append([]string{"nic"}, some(g, 40, []string{"gpu"})...) {
		alias := obj{"name": name}
		byID, byClass := g.chance(60), g.chance(60)
		if byID || !byClass {
			alias["vendor_id"], alias["product_id"] = "8086", "1520"
		}
		if byClass {
			alias["resource_class"] = pick(g, "CUSTOM_NIC", "gpu", "a-b")
		}
		if g.chance(30) {
			alias["traits"] = pick(g, "CUSTOM_A", "HW_NIC_SRIOV,x", "")
		}
		if g.chance(25) {
			alias["device_type"] = pick(g, "type-PCI", "type-VF", "type-PF")
		}
		if g.chance(60) {
			alias["numa_policy"] = pick(g, "required", "preferred", "socket", "legacy")
		}
		if g.chance(8) {
			alias["live_migratable"] = pick(g, "yes", "no")
		}
		aliases = append(aliases, encode(alias))
		count := pick(g, 1, 1, 1, 2, 2, 3, 0)
		counts = append(counts, count)
		if n > 0 {
			wanted += ","
		}
		wanted += fmt.Sprintf("%s:%d", name, count)
	}
	g.config["pci.alias"] = aliases
	g.extra["pci_passthrough:alias"] = wanted
	return counts
}

// offer binds pools of a host to providers, and makes candidates of them.
func (g *gen) offer(h obj, counts []int) {
	providers := []string{g.uuid()} // one that no pool is bound to
	pools, _ := h["pci_pools"].(arr)
	for i, p := range pools {
		tags := obj{}
		if had, ok := p.(obj)["tags"].(obj); ok {
			tags = had
		}
		switch {
		case g.chance(90):
			provider := fmt.Sprintf("%s-%d", h["host"], i)
			if g.chance(2) {
				provider = providers[len(providers)-1]
			}
			tags["rp_uuid"] = provider
			providers = append(providers, provider)
		case g.chance(20):
			tags["rp_uuid"] = nil
		}
		if len(tags) > 0 {
			p.(obj)["tags"] = tags
		}
	}
	candidates := arr{}
	for range 1 + g.IntN(4) {
		mappings := obj{"": []string{h["uuid"].(string)}}
		for n, count := range counts {
			from := pick(g, providers...)
			for device := range count {
				if g.chance(40) {
					from = pick(g, providers...)
				}
				mappings[fmt.Sprintf("pci%d-%d", n, device)] = []string{from}
			}
		}
		candidates = append(candidates, obj{"mappings": mappings})
	}
	h["allocation_candidates"] = candidates
}
