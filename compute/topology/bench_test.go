package topology

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// document returns the NUMA topology and the pools of a host of cells with
// cores of two threads each; of every third core a thread is taken.
func documents(cells, cores int) (numa, pools []byte) {
	var list []string
	for c := range cells {
		var siblings, cpus, pinned []string
		for n := range cores {
			a, b := c*cores+n, (cells+c)*cores+n
			siblings = append(siblings, fmt.Sprintf("[%d,%d]", a, b))
			cpus = append(cpus, fmt.Sprint(a), fmt.Sprint(b))
			if n%3 == 0 {
				pinned = append(pinned, fmt.Sprint(b))
			}
		}
		list = append(list, fmt.Sprintf(`{"id":%d,"cpuset":[],"pcpuset":[%s],"pinned_cpus":[%s],"siblings":[%s],"memory":262144,"socket":%d,
			"mempages":[{"size_kb":4,"total":50331648},{"size_kb":1048576,"total":64,"used":%d}]}`,
			c, strings.Join(cpus, ","), strings.Join(pinned, ","), strings.Join(siblings, ","), c/2, c))
	}
	var devices []string
	for p := range 8 {
		devices = append(devices, fmt.Sprintf(`{"vendor_id":"8086","product_id":"15%02d","numa_node":%d,"dev_type":"type-VF","count":16,
			"tags":{"physical_network":"physnet%d","remote_managed":"false","address":"0000:%02x:00.0"}}`, p%2, p%cells, p, p))
	}
	return []byte(`{"cells":[` + strings.Join(list, ",") + `]}`), []byte("[" + strings.Join(devices, ",") + "]")
}

// busy is a request and a host that it fits on, or not.
type busy struct {
	name         string
	cells, cores int
	flavor       scheduler.Flavor
	passes       bool
}

func busies() []busy {
	pinned := map[string]string{"hw:cpu_policy": "dedicated", "hw:numa_nodes": "2", "hw:mem_page_size": "1GB", aliasSpec: "nic:2"}
	isolated := map[string]string{"hw:cpu_policy": "dedicated", "hw:numa_nodes": "4", "hw:cpu_thread_policy": "isolate"}
	return []busy{
		{"pinned/cells=2", 2, 32, scheduler.Flavor{VCPUs: 16, MemoryMiB: 16384, ExtraSpecs: pinned}, true},
		{"pinned/cells=8", 8, 8, scheduler.Flavor{VCPUs: 16, MemoryMiB: 16384, ExtraSpecs: pinned}, true},
		{"hopeless/cells=2", 2, 32, scheduler.Flavor{VCPUs: 256, MemoryMiB: 16384, ExtraSpecs: pinned}, false},
		{"hopeless/cells=8", 8, 8, scheduler.Flavor{VCPUs: 32, MemoryMiB: 16384, ExtraSpecs: isolated}, false},
	}
}

// asked is a request about one host.
type asked struct {
	keeper *Keeper
	filter scheduler.Filter
	r      *scheduler.Request
	host   *scheduler.HostState
}

func (a *asked) pass() { _, _ = a.filter.Pass(a.r, a.host) }

func (b *busy) ask(t testing.TB) *asked {
	t.Helper()
	options := &scheduler.Options{
		EnabledFilters: []string{numaFilterName},
		PCIAliases:     []string{`{"name": "nic", "vendor_id": "8086", "product_id": "1500", "device_type": "type-VF"}`},
	}
	keeper, err := NewKeeper(options)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := NewNUMATopologyFilter(options)
	if err != nil {
		t.Fatal(err)
	}
	spec := &scheduler.RequestSpec{Flavor: b.flavor, Image: &scheduler.Image{}}
	host := &scheduler.HostState{CPUAllocationRatio: 1, RAMAllocationRatio: 1}
	host.NUMATopology, host.PCIPools = documents(b.cells, b.cores)
	if err := keeper.ReadSpec(spec); err != nil {
		t.Fatal(err)
	}
	if err := keeper.ReadHost(host); err != nil {
		t.Fatal(err)
	}
	r := &scheduler.Request{Spec: spec}
	why, err := filter.Pass(r, host)
	if err != nil || why.Passes() != b.passes {
		t.Fatalf("%s: %s, %v", b.name, why.String(), err)
	}
	return &asked{keeper, filter, r, host}
}

func TestPassDoesNotAllocate(t *testing.T) {
	if raceDetector() {
		t.Skip("under the race detector a sync.Pool forgets a part of what it is given")
	}
	for _, b := range busies() {
		if n := testing.AllocsPerRun(100, b.ask(t).pass); n > 0 {
			t.Errorf("%s: %v allocations", b.name, n)
		}
	}
}

// TestPlain holds that what needs no topology costs nothing.
func TestPlain(t *testing.T) {
	plain := busy{"plain", 2, 2, scheduler.Flavor{VCPUs: 2, MemoryMiB: 512}, true}
	a := plain.ask(t)
	spec, host := *a.r.Spec, *a.host
	n := testing.AllocsPerRun(100, func() {
		if err := a.keeper.Consume(&spec, &host, true); err != nil {
			t.Error(err)
		}
	})
	if n > 0 || host.Topology != a.host.Topology || host.FreePCI != a.host.FreePCI || a.filter.(scheduler.Scoped).Scope(&spec) != scheduler.EveryHost {
		t.Errorf("%v allocations, scope %d", n, a.filter.(scheduler.Scoped).Scope(&spec))
	}
}

// BenchmarkPass asks NUMATopologyFilter about one host.
func BenchmarkPass(b *testing.B) {
	for _, c := range busies() {
		b.Run(c.name, func(b *testing.B) {
			a := c.ask(b)
			b.ReportAllocs()
			for b.Loop() {
				a.pass()
			}
		})
	}
}

// BenchmarkConsume places an instance.
func BenchmarkConsume(b *testing.B) {
	for _, c := range busies()[:2] {
		b.Run(c.name, func(b *testing.B) {
			a := c.ask(b)
			b.ReportAllocs()
			for b.Loop() {
				h, s := *a.host, *a.r.Spec
				if err := a.keeper.Consume(&s, &h, true); err != nil || s.Topology.(*Instance).Cells == nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReadHost decodes what a compute service reports.
func BenchmarkReadHost(b *testing.B) {
	for _, cells := range []int{2, 8} {
		b.Run(fmt.Sprintf("cells=%d", cells), func(b *testing.B) {
			numa, pools := documents(cells, 64/cells)
			if !json.Valid(numa) || !json.Valid(pools) {
				b.Fatal("no JSON")
			}
			b.ReportAllocs()
			for b.Loop() {
				if h, err := ParseHost(numa, pools); err != nil || len(h.Cells) != cells {
					b.Fatal(err)
				}
			}
		})
	}
}

// raceDetector reports whether the test was built with -race.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
