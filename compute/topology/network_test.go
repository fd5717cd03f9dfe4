package topology

import (
	"reflect"
	"slices"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// TestNetworks places an instance of one cell on a host whose cells 1 and 2
// are near to networks, and looks at which cell it gets, again once it is
// there: what is read and written keeps the networks.
func TestNetworks(t *testing.T) {
	t.Parallel()
	const numa = `{"cells": [
		{"id": 0, "cpuset": [0, 1, 2, 3], "memory": 4096, "siblings": [], "mempages": [{"size_kb": 4, "total": 1048576}]},
		{"id": 1, "cpuset": [4, 5], "memory": 2048, "cpu_usage": 10, "siblings": [], "mempages": [{"size_kb": 4, "total": 524288}],
			"network_metadata": {"physnets": ["a", "b"]}},
		{"id": 2, "cpuset": [6, 7], "memory": 1024, "cpu_usage": 20, "siblings": [], "mempages": [{"size_kb": 4, "total": 262144}],
			"network_metadata": {"physnets": ["b", "c"], "tunneled": true}}]}`
	for name, c := range map[string]struct {
		nodes string
		want  scheduler.Networks
		on    []int // nil: nowhere
		why   string
	}{
		"none":                      {"1", scheduler.Networks{}, []int{0}, ""},
		"physnet of one cell":       {"1", scheduler.Networks{Physnets: []string{"a"}}, []int{1}, ""},
		"physnet of two cells":      {"1", scheduler.Networks{Physnets: []string{"b"}}, []int{1}, ""},
		"both of one cell":          {"1", scheduler.Networks{Physnets: []string{"c", "b"}}, []int{2}, ""},
		"tunnels":                   {"1", scheduler.Networks{Tunneled: true}, []int{2}, ""},
		"physnet and tunnels":       {"1", scheduler.Networks{Physnets: []string{"b"}, Tunneled: true}, []int{2}, ""},
		"physnet of no cell":        {"1", scheduler.Networks{Physnets: []string{"x"}}, []int{0}, ""},
		"physnets apart":            {"1", scheduler.Networks{Physnets: []string{"a", "c"}}, nil, "no choice of NUMA cells is near to physical network %t"},
		"physnet and tunnels apart": {"1", scheduler.Networks{Physnets: []string{"a"}, Tunneled: true}, nil, "no choice of NUMA cells is near to physical network %t"},
		"tunnels to a full cell":    {"full", scheduler.Networks{Tunneled: true}, nil, "no choice of NUMA cells is near to tunneled networks"},
		"physnets on two cells":     {"2", scheduler.Networks{Physnets: []string{"a", "c"}}, []int{1, 2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := &scheduler.Options{EnabledFilters: []string{numaFilterName}}
			keeper, err := NewKeeper(options)
			if err != nil {
				t.Fatal(err)
			}
			host := &scheduler.HostState{NUMATopology: []byte(numa), CPUAllocationRatio: 16, RAMAllocationRatio: 1}
			spec := scheduler.RequestSpec{
				Flavor: scheduler.Flavor{VCPUs: 2, MemoryMiB: 256, ExtraSpecs: map[string]string{"hw:numa_nodes": c.nodes}},
				Image:  &scheduler.Image{}, Networks: c.want,
			}
			if c.nodes == "full" {
				spec.Flavor.MemoryMiB, spec.Flavor.ExtraSpecs["hw:numa_nodes"] = 2048, "1"
			}
			for range 2 {
				why, err := numaFilter{keeper}.Pass(&scheduler.Request{Spec: &spec}, host)
				if err != nil || why.Why != c.why {
					t.Fatalf("%+v, %v; want %q", why, err, c.why)
				}
				next := spec
				if err := keeper.Consume(&next, host, true); err != nil {
					t.Fatal(err)
				}
				var on []int
				for _, cell := range next.Topology.(*Instance).Cells {
					on = append(on, cell.ID)
				}
				if slices.Sort(on); !reflect.DeepEqual(on, c.on) {
					t.Errorf("on cells %v, want %v", on, c.on)
				}
				document, _, err := host.Topology.(*Host).Documents()
				if err != nil {
					t.Fatal(err)
				}
				host.Topology, host.NUMATopology = nil, document
			}
		})
	}
}
