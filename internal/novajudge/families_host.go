package novajudge

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

func compute(g *gen) {
	g.enable("ComputeFilter")
	down := pick(g, 60, 60, 60, 30, 120, 25, 11, 10, 5)
	if down != 60 {
		g.config["DEFAULT.service_down_time"] = down
	}
	for _, h := range g.hosts {
		s := obj{}
		if g.chance(15) {
			s["disabled"] = true
		}
		if g.chance(10) {
			s["forced_down"] = true
		}
		if g.chance(70) {
			at := float64(down)
			s["seconds_since_report"] = pick(g, 0, 1, at, at+1, at-1, -at, -at-1, at+0.001, at-0.001, -at+0.5, 1e6)
		}
		h["service"] = s
	}
}

// capabilities are looked up in every way, and compared in simple ones.
func capabilities(g *gen) {
	g.enable("ComputeCapabilitiesFilter")
	for _, h := range g.hosts {
		g.hypervisor(h)
		g.capable(h)
	}
	for range 1 + g.IntN(2) {
		key := pick(g, capabilityKeys...)
		g.extra[key] = g.requirement(g.lookup(key))
	}
	if g.chance(10) {
		g.extra["hw:maxphysaddr_bits"] = pick(g, "40", "46", "x")
	}
}

var capabilityKeys = strings.Fields(`
	capabilities:free_ram_mb capabilities:vcpus_used capabilities:hypervisor_type capabilities:hypervisor_version
	capabilities:hypervisor_hostname capabilities:cpu_allocation_ratio capabilities:ram_allocation_ratio
	capabilities:cpu_info:vendor capabilities:cpu_info:features capabilities:cpu_info:topology:cores
	capabilities:cpu_info:topology capabilities:cpu_info:nothing capabilities:cpu_info:maxphysaddr:bits
	capabilities:cpu_info capabilities:stats:rack capabilities:rack capabilities:stats:deep:er capabilities:deep:er
	capabilities:deep capabilities:flag capabilities:num_instances capabilities:num_io_ops capabilities:failed_builds
	capabilities:host capabilities:nodename capabilities:uuid capabilities:host_ip capabilities:nothing
	capabilities:host:nothing capabilities: Capabilities:free_ram_mb other:rack capabilities:supported_instances
	rack deep flag free_ram_mb free_disk_mb vcpus_total host nodename hypervisor_type hypervisor_version num_instances
	limits disk_mb_used nothing total_usable_ram_mb capabilities:disk_allocation_ratio host_ip`)

func (g *gen) hypervisor(h obj) {
	if g.chance(80) {
		h["hypervisor_type"] = pick(g, "QEMU", "kvm", "ironic", "QEMU")
	}
	if g.chance(80) {
		h["hypervisor_version"] = pick[any](g, 7002000, 6002001, 0, 6, 10000, 2012000000, nil)
	}
	if g.chance(50) {
		h["hypervisor_hostname"] = h["host"]
	}
}

// capable gives the host cpu_info and stats.
func (g *gen) capable(h obj) {
	info := obj{
		"vendor": pick(g, "Intel", "AMD"), "features": pick(g, arr{"aes", "avx2"}, arr{"aes"}, arr{}, arr{"a'b", "sse4"}),
		"topology": obj{"cores": pick[any](g, 4, 8, "8", json.Number("8.0"), json.Number("1e16")), "threads": pick[any](g, 1, 2, nil, true)},
	}
	if g.chance(40) {
		info["maxphysaddr"] = obj{"mode": "passthrough", "bits": pick(g, 39, 40, 46, 52)}
	}
	switch g.IntN(4) {
	case 0:
		h["cpu_info"] = encode(info)
	case 1:
		h["cpu_info"] = pick[any](g, "", "nonsense", `["a"]`, `7`)
	default:
		h["cpu_info"] = info
	}
	stats := obj{}
	if g.chance(70) {
		stats["rack"] = pick[any](g, "r1", "r2", "10", "2.5", "", nil)
	}
	if g.chance(50) {
		stats["deep"] = pick(g, `{"er": 4}`, `{"er": [1, 2.0, true, null, "x"]}`, `{"er": {"a": "it's"}}`, "{", `{"er": false}`)
	}
	if g.chance(50) {
		stats["flag"] = pick(g, "True", "true", "1", "0")
	}
	h["stats"] = stats
}

// lookup returns what some host has under the last part of key, as a text.
func (g *gen) lookup(key string) string {
	h := pick(g, g.hosts...)
	last := key[strings.LastIndexByte(key, ':')+1:]
	var places arr
	info, _ := h["cpu_info"].(obj)
	stats, _ := h["stats"].(obj)
	topology, _ := info["topology"].(obj)
	physical, _ := info["maxphysaddr"].(obj)
	places = append(places, h[last], info[last], stats[last], topology[last], physical[last])
	for _, v := range places {
		if v != nil {
			return fmt.Sprint(v)
		}
	}
	return pick(g, "4", "x", "None", "{}")
}

// requirement returns something that the text value may satisfy. Numbers are
// seldom asked of what is none, because that raises.
func (g *gen) requirement(value string) string {
	if g.chance(12) {
		return g.operation()
	}
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return pick(g, value, "== "+value, "= "+value, ">= "+value, "<= "+value, "!= 5", ">= 1", "<= 100000000", "<or> "+value+" <or> 4")
	}
	return pick(g, value, "s== "+value, "s!= "+value, "s!= zzz", "<in> "+value, "<or> "+value+" <or> zzz", "s>= "+value, "s<= "+value,
		"<all-in> "+value, "s< zzz", "s> A")
}

// capabilityOperators compare one value in every way.
func capabilityOperators(g *gen) {
	g.enable("ComputeCapabilitiesFilter")
	words := g.chance(50)
	key := pick(g, "capabilities:v", "capabilities:v", "v", "capabilities:cpu_info:v")
	for _, h := range g.hosts {
		h["stats"] = obj{"v": pick(g, pick(g, operands...), "4", "5", "10", "4.0")}
		if words {
			h["stats"] = obj{"v": pick(g, pick(g, operands...), "aes avx2", "kvm", "aes")}
		}
		if key == "capabilities:cpu_info:v" || g.chance(20) {
			h["cpu_info"] = obj{"v": pick[any](g, arr{"aes", "avx2"}, 4, json.Number("4.0"), 4.5, true, obj{"a": 1}, "4", arr{})}
		}
	}
	g.extra[key] = g.operation()
	if g.chance(45) {
		g.extra[key] = g.requirement(g.lookup(key))
	}
	if g.chance(20) {
		g.extra[pick(g, "capabilities:stats:v", "v")] = g.operation()
	}
}

var operands = []string{
	"4", "5", "10", "4.0", "4.5", "-4", " 4", "4 ", "+4", "04", "1e1", "1_0", "1__0", "0x10", "1,0", "inf", "nan", "", " ", "x", "kvm",
	" kvm", "aes avx2", "aes", "avx", "av", "['aes', 'avx2']", "True", "true", "False", ".5", "5.", "４", "\u00a04", "kvm qemu", "<or>", "==",
	"None", "Straße", "Ωmega",
}

// operation is an operator with something behind it, more often sensible than not.
func (g *gen) operation() string {
	op := pick(g, "=", "==", "!=", ">=", "<=", "s==", "s!=", "s<", "s<=", "s>", "s>=", "<in>", "<all-in>", "<or>", "", "<", ">", "=~", "<OR>")
	value := pick(g, operands...)
	if g.chance(60) {
		value = pick(g, "4", "5", "10", "kvm", "aes", "4.5")
	}
	switch op {
	case "<or>":
		return pick(g, "<or> "+value, "<or> "+value+" <or> 5", "<or> 5 <or> "+value+" <or>", "<or> 7 "+value+" 4", "<or>", "<or> 4 <or> 5")
	case "<all-in>", "<in>":
		return op + pick(g, " ", "  ") + pick(g, "aes", "av", "aes avx2", "avx2 aes", "',", value, value+" aes", "'aes'", "")
	}
	return pick(g, op+" "+value, op+" "+value, op+" "+value, op+"\t"+value, op+value, op, op+" "+value+" tail", " "+op+" "+value)
}

func imageProperties(g *gen) {
	g.enable("ImagePropertiesFilter")
	for _, h := range g.hosts {
		g.hypervisor(h)
		h["cpu_info"] = pick[any](g, obj{}, obj{"maxphysaddr": obj{"mode": "emulate", "bits": pick(g, 39, 40, 46)}}, obj{"maxphysaddr": obj{}})
		if g.chance(3) {
			h["cpu_info"] = "{}"
		}
		supported := arr{}
		for range pick(g, 0, 1, 2, 2, 3) {
			supported = append(supported, arr{
				pick(g, "x86_64", "x86_64", "i686", "aarch64"), pick(g, "kvm", "qemu", "xen", "baremetal"), pick(g, "hvm", "hvm", "xen", "exe"),
			})
		}
		h["supported_instances"] = supported
	}
	g.image()
	if g.chance(25) {
		g.config["filter_scheduler.image_properties_default_architecture"] = pick(g, "x86_64", "aarch64")
	}
	if g.chance(5) {
		g.spec["image"] = nil
	}
}

// image asks for an architecture, hypervisor, mode or version.
func (g *gen) image() {
	if g.chance(60) {
		g.props[pick(g, "hw_architecture", "architecture")] = pick(g, "x86_64", "X86_64", "amd64", "i386", "i686", "aarch64", "ppc64le")
	}
	if g.chance(40) {
		g.props[pick(g, "img_hv_type", "hypervisor_type")] = pick(g, "kvm", "qemu", "QEMU", "xapi", "xen", "baremetal", "lxc")
	}
	if g.chance(40) {
		g.props[pick(g, "hw_vm_mode", "vm_mode")] = pick(g, "hvm", "HVM", "pv", "xen", "hv", "baremetal", "exe")
	}
	if g.chance(30) {
		g.props[pick(g, "img_hv_requested_version", "hypervisor_version_requires")] = pick(g,
			">=6.0,<7.2", "==7.02", "==7.2.0", ">=6.0", "<7.2", "!=7.2", ">= 7, < 8", "==6", ">6", "<=7.2.0", "nonsense", ">=1.0,!=6.2.1", "==7.2.0.0", ">=2012.0")
	}
	if g.chance(15) {
		g.props["hw_maxphysaddr_mode"], g.props["hw_maxphysaddr_bits"] = "emulate", pick[any](g, 40, 46, "40")
	}
}

func ioOps(g *gen) {
	g.limited(pick(g, "IoOpsFilter", "AggregateIoOpsFilter"), "max_io_ops_per_host", "num_io_ops", 8)
}

func numInstances(g *gen) {
	g.limited(pick(g, "NumInstancesFilter", "AggregateNumInstancesFilter"), "max_instances_per_host", "num_instances", 50)
}

// limited is a filter that holds a host's number below an option, or below
// metadata of aggregates.
func (g *gen) limited(name, option, number string, def int) {
	g.enable(name)
	limit := pick(g, 1, 2, 3, def)
	if limit != def {
		g.config["filter_scheduler."+option] = limit
	}
	for _, h := range g.hosts {
		h[number] = max(0, limit-3+g.IntN(5))
		for range pick(g, 0, 0, 1, 1, 2) {
			g.aggregate(h, option, pick(g, fmt.Sprint(limit), fmt.Sprint(limit+1), fmt.Sprint(limit-1), "0", " 2 ", "2.5", "", "4,5", "1_0", "-1", "1e1"))
		}
	}
}

func isolated(g *gen) {
	g.enable("IsolatedHostsFilter")
	images := []any{"11111111-aaaa-4000-8000-000000000001", "11111111-aaaa-4000-8000-000000000002"}
	if g.chance(80) {
		g.config["filter_scheduler.isolated_images"] = some(g, 70, images)
	}
	var names arr
	for _, h := range g.hosts {
		if g.chance(40) {
			names = append(names, pick[any](g, h["host"], h["host"], h["host"], strings.ToUpper(h["host"].(string))))
		}
	}
	if names != nil {
		g.config["filter_scheduler.isolated_hosts"] = names
	}
	if g.chance(40) {
		g.config["filter_scheduler.restrict_isolated_hosts_to_isolated_images"] = g.chance(50)
	}
	switch g.IntN(5) {
	case 0:
		g.spec["image"] = nil
	case 1:
	default:
		g.spec["image"] = obj{"id": pick(g, images...), "properties": g.props}
	}
}

func metrics(g *gen) {
	if g.chance(70) {
		g.enable("MetricsFilter")
	}
	names := pick(g, []string{"cpu.percent", "cpu.frequency"}, []string{"cpu.idle.time", "numa.membw.max", "cpu.user.percent"})
	for _, h := range g.hosts {
		var list arr
		for _, n := range names {
			for g.chance(45) || list == nil && g.chance(60) || g.chance(30) {
				value := pick[any](g, 0.29, 0.57, 1.0, 0.1, 0.999, 0, 12.7, -3.9)
				if !strings.HasSuffix(n, "percent") {
					value = pick[any](g, 1000, 2400, 12.9, -7.5, 0)
				}
				list = append(list, obj{"name": n, "value": value})
			}
		}
		h["metrics"] = list
	}
	setting := arr{}
	for _, n := range names {
		if g.chance(60) {
			setting = append(setting, n+"="+pick(g, "1.0", "-1.5", "0", "0.1", " 2 ", "1e-2"))
		}
	}
	if g.chance(20) {
		setting = append(setting, pick[any](g, names[0]+"=2", "=1", names[0], names[0]+"=x", names[0]+"=1=2", " "+names[0]+"=1", names[0]+" =1"))
	}
	g.config["metrics.weight_setting"] = setting
	if g.chance(70) {
		g.config["metrics.required"] = false
	}
	g.metricOptions()
}

func (g *gen) metricOptions() {
	if g.chance(20) {
		g.config["metrics.weight_of_unavailable"] = pick(g, -1.5, 0.0, 100.0)
	}
	if g.chance(30) {
		g.config["metrics.weight_multiplier"] = pick(g, 0.0, -1.0, 2.5)
	}
	if g.chance(30) {
		for _, h := range g.hosts {
			if g.chance(50) {
				g.aggregate(h, "metrics_weight_multiplier", pick(g, "0", "0.0", "2", "-1.5", "x"))
			}
		}
	}
}
