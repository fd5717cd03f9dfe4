package novajudge

import (
	"encoding/json"
	"fmt"
	"strings"
)

// encode returns v as JSON. Documents hold nothing that JSON cannot.
func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// members puts instances on hosts and makes the request's group of some.
func (g *gen) members(policy string) obj {
	members, hosts := arr{}, arr{}
	for _, h := range g.hosts {
		list := arr{}
		for range pick(g, 0, 0, 0, 1, 1, 2, 3) {
			uuid := g.uuid()
			list = append(list, uuid)
			if g.chance(60) {
				members = append(members, uuid)
				hosts = append(hosts, h["host"])
			}
		}
		h["instances"] = append(list, g.uuid())
		h["num_instances"] = len(list) + 1
	}
	if g.chance(70) {
		for _, u := range g.uuids {
			members = append(members, u)
		}
	}
	if g.chance(10) && len(members) > 0 {
		members = append(members, members[0], g.uuid())
	}
	group := obj{"policy": policy, "members": members, "hosts": hosts}
	g.spec["instance_group"] = group
	return group
}

func antiAffinity(g *gen) {
	g.enable("ServerGroupAntiAffinityFilter")
	group := g.members(pick(g, "anti-affinity", "anti-affinity", "anti-affinity", "soft-anti-affinity", "affinity"))
	if g.chance(50) {
		group["rules"] = obj{"max_server_per_host": pick[any](g, 1, 2, 2, 3, "2", "1", 0)}
	}
	if g.chance(10) { // the instance is on a host already
		h := pick(g, g.hosts...)
		h["instances"] = append(h["instances"].(arr), g.uuids[0])
	}
}

func affinity(g *gen) {
	g.enable("ServerGroupAffinityFilter")
	group := g.members(pick(g, "affinity", "affinity", "affinity", "soft-affinity", "anti-affinity"))
	switch g.IntN(4) {
	case 0:
		group["hosts"] = arr{}
	case 1:
		group["hosts"] = arr{pick(g, g.hosts...)["host"], "gone"}
	case 2:
		group["hosts"] = arr{strings.ToUpper(pick(g, g.hosts...)["host"].(string)), pick(g, g.hosts...)["host"]}
	}
}

func softAffinity(g *gen) {
	g.members(pick(g, "soft-affinity", "soft-anti-affinity"))
	if g.chance(50) {
		g.weights = arr{
			"nova.scheduler.weights.affinity.ServerGroupSoftAffinityWeigher",
			"nova.scheduler.weights.affinity.ServerGroupSoftAntiAffinityWeigher",
		}
	}
	for _, name := range []string{"soft_affinity_weight_multiplier", "soft_anti_affinity_weight_multiplier"} {
		if g.chance(40) {
			g.config["filter_scheduler."+name] = pick(g, 0.0, 0.5, 3.0)
		}
		g.multipliers(name)
	}
}

// sameHost is SameHostFilter and DifferentHostFilter.
func sameHost(g *gen) {
	same := g.chance(50)
	g.enable(pick(g, "SameHostFilter", "DifferentHostFilter"))
	if same {
		g.enable("SameHostFilter")
	} else {
		g.enable("DifferentHostFilter")
	}
	g.members("")
	delete(g.spec, "instance_group")
	for _, hint := range []string{"same_host", "different_host"} {
		if !g.chance(70) {
			continue
		}
		list := arr{}
		for range pick(g, 0, 1, 2, 3) {
			list = append(list, pick(g, pick(g, g.hosts...)["instances"].(arr)...))
		}
		if g.chance(20) {
			list = append(list, g.uuid(), g.uuids[0])
		}
		g.hints[hint] = list
	}
}

func cidr(g *gen) {
	g.enable("SimpleCIDRAffinityFilter")
	six := g.chance(20)
	for _, h := range g.hosts {
		h["host_ip"] = fmt.Sprintf("192.168.%d.%d", g.IntN(3), g.IntN(20))
		if six {
			h["host_ip"] = fmt.Sprintf("fd00:%d::%x", g.IntN(2), g.IntN(40))
		}
	}
	near := pick(g, g.hosts...)["host_ip"]
	if g.chance(90) {
		g.hints["build_near_host_ip"] = arr{near}
	}
	if g.chance(70) {
		g.hints["cidr"] = arr{pick(g, "/24", "/24", "/28", "/30", "/32", "/0", "/16")}
	}
	if g.chance(8) {
		g.hints[pick(g, "cidr", "build_near_host_ip")] = arr{pick(g, "/33", "nonsense", "10.0.0.1", "/x")} // not 24: old netaddr completes it
	}
}

func jsonFilter(g *gen) {
	g.enable("JsonFilter")
	for _, h := range g.hosts {
		g.capable(h)
		g.hypervisor(h)
		h["service"] = obj{"disabled": g.chance(30)}
	}
	query := encode(g.query(2))
	if g.chance(6) {
		query = pick(g, `{}`, `null`, `0`, `[]`, `["not"]`, `nonsense`, `""`, `["and"]`, `["="]`, `[["=", 1, 1]]`, `["nope", 1, 1]`, `{"a": 1}`, `""`, `true`, `7`)
	}
	g.hints["query"] = arr{query}
	if g.chance(3) {
		g.hints["query"] = arr{query, query}
	}
}

// query is a random query of the given depth.
func (g *gen) query(depth int) any {
	if depth > 0 && g.chance(45) {
		switch g.IntN(3) {
		case 0:
			return arr{"not", g.query(depth - 1)}
		default:
			list := arr{pick(g, "and", "or")}
			for range 1 + g.IntN(3) {
				list = append(list, g.query(depth-1))
			}
			return list
		}
	}
	h := pick(g, g.hosts...)
	attribute := pick(g, "free_ram_mb", "free_ram_mb", "free_disk_mb", "vcpus_used", "num_instances", "num_io_ops", "host", "vcpus_total")
	op := pick(g, "<", ">", "<=", ">=", "<=", ">=", "<=", ">=", "=", "in")
	if attribute == "host" {
		op = pick(g, "=", "in")
	}
	switch g.IntN(12) {
	case 0:
		return arr{op, "$" + attribute, "$" + attribute}
	case 1:
		return arr{
			"=", pick(g, "$service.disabled", "$stats.rack", "$hypervisor_type", "$hypervisor_version", "$stats.flag", "$cpu_info.vendor", "$nothing", "$host_ip", "$service.nothing.deep"),
			pick[any](g, true, false, "r1", "10", 1, 0, "QEMU", "Intel", 7002000, nil, ""),
		}
	case 2:
		return arr{"in", "$host", pick(g, g.hosts...)["host"], pick(g, g.hosts...)["host"], "h0"}
	case 3:
		return arr{pick(g, "=", "<", ">=", "in"), "$" + attribute, pick[any](g, h[attribute], "text", 1.5, nil, "", true), pick[any](g, 1e6, h[attribute], "$free_ram_mb")}
	case 4:
		return pick[any](g, arr{op, "$" + attribute}, arr{op, "$" + attribute, nil}, arr{op}, true, arr{"not", arr{}}, arr{"=", 1, json.Number("1.0"), 1}, arr{"=", true, 1}, arr{"=", "a", "a"})
	case 5:
		return arr{op, h[attribute], "$" + attribute}
	default:
		return arr{op, "$" + attribute, h[attribute]}
	}
}

func forced(g *gen) {
	compute(g)
	names := func(key string) arr {
		list := arr{}
		for range 1 + g.IntN(3) {
			h := pick(g, g.hosts...)
			name, ok := h[key].(string)
			if !ok {
				name = h["host"].(string)
			}
			list = append(list, pick(g, name, name, strings.ToUpper(name)))
		}
		return list
	}
	if g.chance(60) {
		g.spec["ignore_hosts"] = names("host")
	}
	if g.chance(50) {
		g.spec["force_hosts"] = names("host")
	}
	if g.chance(30) {
		g.spec["force_nodes"] = names("nodename")
	}
	if g.chance(20) {
		g.hints["_nova_check_type"] = arr{pick(g, "rebuild", "build", "Rebuild")}
	}
}

func destination(g *gen) {
	compute(g)
	g.cells()
	h := pick(g, g.hosts...)
	to := obj{}
	if g.chance(70) {
		to["host"] = pick(g, h["host"].(string), h["host"].(string), strings.ToUpper(h["host"].(string)), "gone")
		if g.chance(50) {
			to["node"] = pick[any](g, h["host"], h["host"].(string)+".example.org", nil)
		}
		if g.chance(30) { // one service, several hypervisors
			for i, other := range g.hosts {
				if g.chance(40) {
					other["host"], other["nodename"] = h["host"], fmt.Sprintf("n%d", i)
				}
			}
		}
	}
	if g.chance(50) {
		to["cell_uuid"] = pick[any](g, g.hosts[0]["cell_uuid"], nil)
		to["allow_cross_cell_move"] = g.chance(70)
	}
	g.spec["requested_destination"] = to
}

func rebuild(g *gen) {
	pick(g, imageProperties, isolated, aggregateImage, compute)(g)
	pick(g, imageProperties, isolated, aggregateImage, ioOps, capabilities)(g)
	g.hints["_nova_check_type"] = pick(g, arr{"rebuild"}, arr{"rebuild"}, arr{"rebuild"}, arr{"rebuild", "rebuild"}, arr{}, arr{"other"})
	if g.chance(30) {
		g.spec["requested_destination"] = obj{"host": g.hosts[0]["host"]}
	}
}
