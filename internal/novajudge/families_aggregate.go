package novajudge

import "fmt"

// aggregate puts the host into a new aggregate with one metadata entry.
func (g *gen) aggregate(h obj, key, value string) {
	list, _ := h["aggregates"].(arr)
	if n := len(list); n > 0 && g.chance(40) {
		list[g.IntN(n)].(obj)["metadata"].(obj)[key] = value
		return
	}
	g.counter++
	h["aggregates"] = append(list, obj{
		"id": g.counter, "name": fmt.Sprint("a", g.counter), "uuid": g.uuid(), "metadata": obj{key: value},
	})
}

func aggregateExtraSpecs(g *gen) {
	g.enable("AggregateInstanceExtraSpecsFilter")
	keys := []string{"ssd", "rack", "a:b", "", "quality"}
	values := []string{"true", "4", "5", "10", "r1", "r1,r2", " r1 , r2", "", "4,5", "aes avx2", "x,", "4.0"}
	for _, h := range g.hosts {
		for range g.IntN(4) {
			g.aggregate(h, pick(g, keys[:2]...), pick(g, values...))
		}
		if g.chance(30) {
			g.aggregate(h, pick(g, keys...), pick(g, values...))
		}
	}
	for range pick(g, 0, 1, 1, 1, 2) {
		key := pick(g, pick(g, keys[:2]...), pick(g, keys[:2]...), pick(g, keys...))
		if g.chance(60) {
			key = pick(g, "aggregate_instance_extra_specs:", "aggregate_instance_extra_specs:", "other:") + key
		}
		g.extra[key] = pick(g, "true", "4", "r1", "r2", "", "<or> r1 <or> 4", "<in> r", "!= zzz", "s!= r1", ">= 4", "== 4", "= 4",
			"s>= a", "<or> true <or> r2", "<all-in> aes avx2", g.operation())
	}
}

func aggregateImage(g *gen) {
	g.enable("AggregateImagePropertiesIsolation")
	keys := []string{"os_distro", "os_type", "hw_architecture", "hw_qemu_guest_agent", "hw_boot_menu", "architecture", "unknown_key", "hw_cpu_sockets"}
	if g.chance(15) {
		separator := pick(g, ".", "_", ":")
		g.config["filter_scheduler.aggregate_image_properties_isolation_namespace"] = pick(g, "hw", "os", "ns")
		g.config["filter_scheduler.aggregate_image_properties_isolation_separator"] = separator
		keys = append(keys, "hw"+separator+"x", "ns"+separator+"os_type")
	}
	for _, h := range g.hosts {
		for range g.IntN(4) {
			key := pick(g, keys...)
			g.aggregate(h, key, pick(g, g.imageValue(key), g.imageValue(key), g.imageValue(key)+","+g.imageValue(key), "", "true"))
		}
	}
	for range 1 + g.IntN(3) {
		key := pick(g, keys...)
		g.props[key] = g.imageValue(key)
	}
	if g.chance(5) {
		g.spec["image"] = nil
	}
}

// imageValue returns a value that an image property may have.
func (g *gen) imageValue(key string) string {
	switch key {
	case "os_type":
		return pick(g, "linux", "windows")
	case "hw_architecture", "architecture":
		return pick(g, "x86_64", "aarch64", "i686")
	case "hw_qemu_guest_agent", "hw_boot_menu":
		return pick(g, "True", "true", "no", "False", "yes")
	case "hw_cpu_sockets":
		return pick(g, "1", "2", "0")
	}
	return pick(g, "debian", "ubuntu", "windows")
}

func tenancy(g *gen) {
	g.enable("AggregateMultiTenancyIsolation")
	for _, h := range g.hosts {
		for range pick(g, 0, 0, 1, 1, 2) {
			key := pick(g, "filter_tenant_id", "filter_tenant_id", "filter_tenant_id2", "filter_tenant_id_a", "Filter_tenant_id", "xfilter_tenant_id")
			g.aggregate(h, key, pick(g, "p1", "p2", "p1,p2", " p1 , p3", "", "p", "p1,", "P1"))
		}
	}
	if g.chance(3) {
		delete(g.spec, "project_id")
	}
}

func typeAffinity(g *gen) {
	g.enable("AggregateTypeAffinityFilter")
	for _, h := range g.hosts {
		for range pick(g, 0, 1, 1, 2) {
			g.aggregate(h, "instance_type", pick(g, "m1.small", "m1.large", "m1.small,m1.large", " m1.small , x", "", "m1", "M1.SMALL", "x,"))
		}
	}
}
