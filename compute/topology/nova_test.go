package topology

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// novaCase is a line of testdata/judge.py: a host, a request, and what Nova
// decided about it.
type novaCase struct {
	Seed      int64             `json:"seed"`
	NUMA      json.RawMessage   `json:"numa"`
	Pools     json.RawMessage   `json:"pools"`
	Aliases   []string          `json:"aliases"`
	Pack      bool              `json:"pack"`
	CPURatio  float64           `json:"cpu_ratio"`
	RAMRatio  float64           `json:"ram_ratio"`
	VCPUs     int64             `json:"vcpus"`
	Memory    int64             `json:"memory"`
	Extra     map[string]string `json:"extra"`
	Image     map[string]string `json:"image"`
	Instances int               `json:"instances"`
	Ports     []novaPort        `json:"ports"`
	Filtered  bool              `json:"filtered"`
	Want      struct {
		Refused  string         `json:"refused"`
		Asked    []novaInstance `json:"asked"`
		Emulator string         `json:"emulator"`
		Steps    []novaStep     `json:"steps"`
	} `json:"want"`
}

// novaPort is a request for devices of a port; null is for devices without
// the attribute.
type novaPort struct {
	Requester string               `json:"requester"`
	Count     int64                `json:"count"`
	Specs     []map[string]*string `json:"specs"`
	Policy    string               `json:"policy"`
}

func (p *novaPort) devices() scheduler.DeviceRequest {
	d := scheduler.DeviceRequest{Requester: p.Requester, Count: p.Count, NUMAPolicy: p.Policy}
	for _, spec := range p.Specs {
		attributes := map[string]string{}
		for name, value := range spec {
			if attributes[name] = ""; value != nil {
				attributes[name] = *value
			}
		}
		d.Specs = append(d.Specs, attributes)
	}
	return d
}

// novaStep is one instance: what the filters said, and what consuming left.
type novaStep struct {
	NUMA   any            `json:"numa"` // true, false, "raises"
	PCI    any            `json:"pci"`
	Error  bool           `json:"error"`
	Placed []novaInstance `json:"placed"`
	Cells  []novaCell     `json:"cells"`
	Pools  []int64        `json:"pools"`
}

type novaInstance struct {
	ID       int      `json:"id"`
	CPUs     []int    `json:"cpus"`
	PCPUs    []int    `json:"pcpus"`
	Memory   int64    `json:"memory"`
	Page     int64    `json:"page"`
	Policy   string   `json:"policy"`
	Threads  string   `json:"threads"`
	Pins     [][2]int `json:"pins"`
	Reserved []int    `json:"reserved"`
}

type novaCell struct {
	Pinned []int   `json:"pinned"`
	CPU    int     `json:"cpu"`
	Memory int64   `json:"memory"`
	Used   []int64 `json:"used"`
}

// TestNova plays what openstack/nova answered to random cases. KILONOVA_NOVA_CASES
// names a file with more of them, uncompressed.
func TestNova(t *testing.T) {
	t.Parallel()
	packed, err := os.Open("testdata/nova.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	cases, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	if n := playCases(t, cases); n < 1000 {
		t.Errorf("only %d cases", n)
	}
	if more := os.Getenv("KILONOVA_NOVA_CASES"); more != "" {
		f, err := os.Open(more)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		t.Logf("%d further cases", playCases(t, f))
	}
}

func playCases(t *testing.T, from io.Reader) int {
	t.Helper()
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	n, failed := 0, 0
	for ; lines.Scan(); n++ {
		var c novaCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if !c.play(t) {
			if failed++; failed == 10 {
				t.Fatalf("%d of %d cases differ; the rest is not played", failed, n+1)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return n
}

// play reports whether all is as Nova has it.
func (c *novaCase) play(t *testing.T) bool {
	t.Helper()
	options := &scheduler.Options{
		PCIAliases: c.Aliases, PackingHostNUMACellsAllocationStrategy: c.Pack, EnabledFilters: []string{numaFilterName},
	}
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{VCPUs: c.VCPUs, MemoryMiB: c.Memory, ExtraSpecs: c.Extra},
		Image:  &scheduler.Image{Properties: c.Image},
	}
	for p := range c.Ports {
		spec.Devices = append(spec.Devices, c.Ports[p].devices())
	}
	keeper, err := NewKeeper(options)
	if err == nil {
		err = keeper.ReadSpec(spec)
	}
	if refused := c.Want.Refused != ""; refused != (err != nil) {
		t.Errorf("seed %d: error %v, Nova says %q\nextra %v\nimage %v", c.Seed, err, c.Want.Refused, c.Extra, c.Image)
		return false
	} else if refused {
		return true
	}
	i := spec.Topology.(*Instance)
	if got := asNova(i); !reflect.DeepEqual(got, c.Want.Asked) || len(i.Cells) > 0 && i.EmulatorThreads != c.Want.Emulator {
		t.Errorf("seed %d: asks for %+v, %q, Nova for %+v, %q", c.Seed, got, i.EmulatorThreads, c.Want.Asked, c.Want.Emulator)
		return false
	}
	host := &scheduler.HostState{
		NUMATopology: c.NUMA, PCIPools: c.Pools, CPUAllocationRatio: c.CPURatio, RAMAllocationRatio: c.RAMRatio,
	}
	if err := keeper.ReadHost(host); err != nil {
		t.Errorf("seed %d: %v", c.Seed, err)
		return false
	}
	numa, _ := NewNUMATopologyFilter(options)
	pci, _ := NewPCIPassthroughFilter(options)
	for n := range c.Want.Steps {
		var got novaStep
		got.NUMA, got.PCI = verdictOf(t, numa, spec, host), verdictOf(t, pci, spec, host)
		next, nextSpec := *host, *spec
		got.Error = keeper.Consume(&nextSpec, &next, c.Filtered) != nil
		host, spec = &next, &nextSpec
		got.Placed = asNova(spec.Topology.(*Instance))
		got.Cells, got.Pools = usageAsNova(host.Topology.(*Host))
		if want := c.Want.Steps[n]; !reflect.DeepEqual(got, want) {
			t.Errorf("seed %d, instance %d:\n got %+v\nwant %+v\nof %+v\nhost %s %s", c.Seed, n, got, want, c.Want.Asked, c.NUMA, c.Pools)
			return false
		}
	}
	return true
}

func verdictOf(t *testing.T, f scheduler.Filter, s *scheduler.RequestSpec, h *scheduler.HostState) any {
	t.Helper()
	why, err := f.Pass(&scheduler.Request{Spec: s}, h)
	if err != nil {
		if !errors.Is(err, scheduler.ErrCannotEvaluate) {
			t.Errorf("%s: %v", f.Name(), err)
		}
		return "raises"
	}
	if s.Topology.(*Instance) != nil && f.(scheduler.Scoped).Scope(s) == scheduler.EveryHost && !why.Passes() {
		t.Errorf("%s: every host passes, but %s", f.Name(), why.String())
	}
	if text := why.String(); strings.Contains(text, "%") {
		t.Errorf("%s: reason %q", f.Name(), text)
	}
	return why.Passes()
}

func asNova(i *Instance) []novaInstance {
	var list []novaInstance
	for _, c := range i.Cells {
		n := novaInstance{
			ID: c.ID, CPUs: sorted(c.CPUs), PCPUs: sorted(c.PCPUs), Memory: c.MemoryMiB, Page: c.PageSizeKiB,
			Policy: c.CPUPolicy, Threads: c.ThreadPolicy, Pins: [][2]int{}, Reserved: sorted(c.Reserved),
		}
		for _, p := range c.Pins {
			n.Pins = append(n.Pins, [2]int{p.CPU, p.PCPU})
		}
		list = append(list, n)
	}
	return list
}

func usageAsNova(h *Host) (cells []novaCell, pools []int64) {
	if h.Cells != nil {
		cells = []novaCell{}
	}
	for _, c := range h.Cells {
		n := novaCell{Pinned: sorted(c.Pinned), CPU: c.CPUUsage, Memory: c.MemoryUsageMiB, Used: []int64{}}
		for _, p := range c.Pages {
			n.Used = append(n.Used, p.Used)
		}
		cells = append(cells, n)
	}
	pools = []int64{}
	for _, p := range h.Pools {
		pools = append(pools, p.Count)
	}
	return cells, pools
}

func sorted[T cmp.Ordered](list []T) []T {
	return append([]T{}, slices.Sorted(slices.Values(list))...)
}
