package novajudge

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// obj and arr are JSON as documents are made of it.
type (
	obj = map[string]any
	arr = []any
)

// gen makes one document. Families write into it; finish puts it together.
type gen struct {
	*rand.Rand
	hosts   []obj
	spec    obj
	flavor  obj
	extra   obj
	props   obj // image properties, nil: no image
	hints   obj
	config  obj
	filters arr
	weights arr // nil: the default
	uuids   []string
	counter int
}

// generate returns document number n of a seed, and its family.
func generate(seed, n uint64) (name string, document obj) {
	f := family{"mixed", mixed}
	if i := n % uint64(len(families)+2); i < uint64(len(families)) {
		f = families[i]
	}
	g := &gen{Rand: rand.New(rand.NewPCG(seed, n))}
	g.base()
	f.make(g)
	return f.name, g.finish()
}

// pick returns one of the values.
func pick[T any](g *gen, values ...T) T { return values[g.IntN(len(values))] }

// chance reports true in percent of a hundred cases.
func (g *gen) chance(percent int) bool { return g.IntN(100) < percent }

// uuid returns a new UUID.
func (g *gen) uuid() string {
	g.counter++
	return fmt.Sprintf("%08x-0000-4000-8000-%012x", g.counter, g.Uint64()>>16)
}

// some returns each value with a chance of percent.
func some[T any](g *gen, percent int, values []T) []T {
	return slices.DeleteFunc(slices.Clone(values), func(T) bool { return !g.chance(percent) })
}

func (g *gen) base() {
	*g = gen{
		Rand: g.Rand, spec: obj{}, extra: obj{}, props: obj{}, hints: obj{}, config: obj{},
		flavor: obj{
			"name": pick(g, "m1.small", "m1.large"), "vcpus": 1 + g.IntN(4), "memory_mb": 256 * (1 + g.IntN(8)),
			"root_gb": g.IntN(20), "ephemeral_gb": pick(g, 0, 0, 5), "swap": pick(g, 0, 512),
		},
	}
	for i := range g.size() {
		g.hosts = append(g.hosts, g.host(i))
	}
	for range pick(g, 1, 1, 1, 2, 3, 4) {
		g.uuids = append(g.uuids, g.uuid())
	}
	g.spec["project_id"], g.spec["user_id"] = pick(g, "p1", "p2", "p3"), "u1"
}

func (g *gen) size() int {
	if g.chance(5) {
		return 1
	}
	if g.chance(10) {
		return 15 + g.IntN(26)
	}
	return 2 + g.IntN(9)
}

func (g *gen) host(i int) obj {
	h := obj{
		"host": fmt.Sprintf("h%02d", i), "uuid": g.uuid(),
		"free_ram_mb": pick(g, -512, 0, 512, 1024, 2048, 4096, 4096, 8192, g.IntN(100000)), "total_usable_ram_mb": 131072,
		"free_disk_mb": pick(g, -1024, 0, 10240, 20480, 102400, g.IntN(1000000)), "disk_mb_used": 1024 * g.IntN(50),
		"vcpus_total": pick(g, 4, 8, 16, 32), "vcpus_used": g.IntN(20),
		"num_instances": g.IntN(6), "num_io_ops": g.IntN(4),
	}
	if g.chance(30) {
		h["nodename"] = h["host"].(string) + ".example.org"
	}
	if g.chance(40) {
		h["cpu_allocation_ratio"] = pick(g, 1.0, 1.5, 16.0, 0.7)
	}
	return h
}

// enable puts filters into the configuration, among the default ones or alone.
func (g *gen) enable(names ...string) {
	for _, n := range names {
		g.filters = append(g.filters, n)
	}
}

// finish makes the document.
func (g *gen) finish() obj {
	if len(g.filters) > 0 {
		if g.chance(30) {
			g.filters = append(g.filters, pick(g, defaultFilters...), pick(g, defaultFilters...))
		}
		g.Shuffle(len(g.filters), func(i, j int) { g.filters[i], g.filters[j] = g.filters[j], g.filters[i] })
		g.config["filter_scheduler.enabled_filters"] = g.filters
	}
	if g.weights != nil {
		g.config["filter_scheduler.weight_classes"] = g.weights
	}
	if g.chance(20) {
		g.config["scheduler.max_attempts"] = pick(g, 1, 2, 5)
	}
	if g.chance(30) {
		g.Shuffle(len(g.hosts), func(i, j int) { g.hosts[i], g.hosts[j] = g.hosts[j], g.hosts[i] })
	}
	if g.chance(15) {
		g.forget()
	}
	if g.chance(15) {
		g.optionsAsText()
	}
	g.flavor["extra_specs"] = g.extra
	g.spec["flavor"], g.spec["scheduler_hints"], g.spec["instance_uuids"] = g.flavor, g.hints, g.uuids
	if _, set := g.spec["image"]; !set {
		g.spec["image"] = obj{"properties": g.props}
	}
	return obj{"hosts": g.hosts, "spec": g.spec, "config": g.config, "seed": 1}
}

// forget leaves out what has a default, and lists an aggregate twice.
func (g *gen) forget() {
	for _, h := range g.hosts {
		for _, key := range slices.Sorted(maps.Keys(h)) {
			if key != "host" && key != "uuid" && g.chance(20) {
				delete(h, key)
			}
		}
		if list, ok := h["aggregates"].(arr); ok {
			h["aggregates"] = append(list, list[0])
		}
	}
}

// optionsAsText writes options as nova.conf has them.
func (g *gen) optionsAsText() {
	for key, value := range g.config {
		switch v := value.(type) {
		case arr:
			texts := make([]string, len(v))
			for i, e := range v {
				texts[i] = fmt.Sprint(e)
			}
			if key != "pci.alias" {
				g.config[key] = strings.Join(texts, ", ")
			}
		default:
			g.config[key] = fmt.Sprint(v)
		}
	}
}

var defaultFilters = []any{
	"ComputeFilter", "ComputeCapabilitiesFilter", "ImagePropertiesFilter", "ServerGroupAntiAffinityFilter",
	"ServerGroupAffinityFilter", "AllHostsFilter",
}

// family is one kind of document.
type family struct {
	name string
	make func(g *gen)
}

var families = []family{
	{"ComputeFilter", compute},
	{"ComputeCapabilitiesFilter", capabilities},
	{"ComputeCapabilitiesFilter operators", capabilityOperators},
	{"ImagePropertiesFilter", imageProperties},
	{"ServerGroupAntiAffinityFilter", antiAffinity},
	{"ServerGroupAffinityFilter", affinity},
	{"IoOpsFilter", ioOps},
	{"NumInstancesFilter", numInstances},
	{"IsolatedHostsFilter", isolated},
	{"AggregateInstanceExtraSpecsFilter", aggregateExtraSpecs},
	{"AggregateImagePropertiesIsolation", aggregateImage},
	{"AggregateMultiTenancyIsolation", tenancy},
	{"AggregateTypeAffinityFilter", typeAffinity},
	{"SameHostFilter", sameHost},
	{"SimpleCIDRAffinityFilter", cidr},
	{"JsonFilter", jsonFilter},
	{"MetricsFilter", metrics},
	{"NUMATopologyFilter", numa},
	{"NUMATopologyFilter pinned", numaPinned},
	{"PciPassthroughFilter", pci},
	{"NUMA and PCI", numaPCI},
	{"NUMA and networks", near},
	{"PCI in placement", placedDevices},
	{"ports", ports},
	{"weighers", weighers},
	{"BuildFailureWeigher", buildFailure},
	{"CrossCellWeigher", crossCell},
	{"ImagePropertiesWeigher", imageWeigher},
	{"soft affinity", softAffinity},
	{"forced hosts", forced},
	{"requested destination", destination},
	{"rebuild", rebuild},
}

// mixed puts several families into one document.
func mixed(g *gen) {
	for range 2 + g.IntN(4) {
		pick(g, families...).make(g)
	}
}
