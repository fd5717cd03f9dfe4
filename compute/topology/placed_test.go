package topology

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

func placedKeeper(t *testing.T, aliases ...string) *Keeper {
	t.Helper()
	k, err := NewKeeper(&scheduler.Options{
		PCIInPlacement: true, PCIAliases: aliases, EnabledFilters: []string{"PciPassthroughFilter", numaFilterName},
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wants(aliases string) *scheduler.RequestSpec {
	return &scheduler.RequestSpec{Image: &scheduler.Image{}, Flavor: scheduler.Flavor{
		VCPUs: 1, MemoryMiB: 64, ExtraSpecs: map[string]string{aliasSpec: aliases},
	}}
}

// TestPCIGroups holds what placement is asked for devices.
func TestPCIGroups(t *testing.T) {
	t.Parallel()
	k := placedKeeper(t,
		`{"name": "a", "vendor_id": "15b3", "product_id": "101e"}`,
		`{"name": "b", "resource_class": "gpu-a", "traits": "x,HW_NIC_SRIOV,x,CUSTOM_Y"}`,
		`{"name": "c", "resource_class": "vgpu", "traits": ""}`)
	got, err := k.PCIGroups(wants("a:1,b:2,c:0"))
	two := []placement.Resource{{Class: "CUSTOM_GPU_A", Amount: 1}}
	required := [][]string{{"CUSTOM_X"}, {"CUSTOM_Y"}, {"HW_NIC_SRIOV"}}
	want := []placement.RequestGroup{
		{Suffix: "pci0-0", Resources: []placement.Resource{{Class: "CUSTOM_PCI_15B3_101E", Amount: 1}}},
		{Suffix: "pci1-0", Resources: two, Required: required},
		{Suffix: "pci1-1", Resources: two, Required: required},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	got, err = k.PCIGroups(wants("c:1"))
	if err != nil || got[0].Resources[0].Class != "VGPU" {
		t.Errorf("%+v, %v; want VGPU", got, err)
	}
	off, err := NewKeeper(&scheduler.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := off.PCIGroups(wants("a:1")); err != nil || got != nil {
		t.Errorf("without the option: %+v, %v", got, err)
	}
}

func TestPlacementAliases(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{
		"":                              {`{"name": "a", "resource_class": "A"}`},
		"[0].vendor_id is null":         {`{"name": "a", "traits": "A"}`},
		"an alias has no alternatives":  {`{"name": "a", "resource_class": "A"}`, `{"name": "a", "resource_class": "B"}`},
		"[0].resource_class is 1, allo": {`{"name": "a", "resource_class": 1}`},
	} {
		_, err := ParsePlacementAliases(values)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", values, err, want)
		}
	}
}

// TestCandidates looks which candidate of a host with two NUMA cells and a
// pool on each is taken, and what of the pools is left.
func TestCandidates(t *testing.T) {
	t.Parallel()
	const numa = `{"cells": [{"id": 0, "cpuset": [0, 1], "memory": 1024, "siblings": [], "mempages": [{"size_kb": 4, "total": 262144}]},
		{"id": 1, "cpuset": [2, 3], "memory": 32, "siblings": [], "mempages": [{"size_kb": 4, "total": 8192}]}]}`
	pools := func(last string) string {
		return `[{"vendor_id": "1", "product_id": "1", "numa_node": 0, "count": 2, "tags": {"rp_uuid": "near"}},
			{"vendor_id": "1", "product_id": "1", "numa_node": 1, "count": 2, "tags": {"rp_uuid": "` + last + `"}}]`
	}
	by := func(providers ...string) scheduler.Candidate {
		m := map[string][]string{}
		for device, p := range providers {
			m[suffixOf(0, int64(device))] = []string{p}
		}
		return scheduler.Candidate{Mappings: m}
	}
	far := by("far", "far")
	for name, c := range map[string]struct {
		nodes, pools string
		candidates   []scheduler.Candidate
		taken        map[string]int64 // nil: the host is refused
	}{
		"the first":                  {"", pools("far"), []scheduler.Candidate{far, by("near", "near")}, map[string]int64{"far": 2}},
		"from two providers":         {"", pools("far"), []scheduler.Candidate{by("far", "near")}, map[string]int64{"far": 1, "near": 1}},
		"no pool of the provider":    {"", pools("far"), []scheduler.Candidate{by("gone", "gone"), by("near", "near")}, map[string]int64{"near": 2}},
		"only one near enough":       {"1", pools("far"), []scheduler.Candidate{far, by("near", "near")}, map[string]int64{"near": 2}},
		"none near enough":           {"1", pools("far"), []scheduler.Candidate{far}, nil},
		"a provider with two pools":  {"", pools("near"), []scheduler.Candidate{by("near", "near")}, nil},
		"no candidate":               {"", pools("far"), []scheduler.Candidate{}, nil},
		"nobody asked":               {"", pools("far"), nil, map[string]int64{"near": 2}},
		"a candidate without groups": {"", pools("far"), []scheduler.Candidate{by()}, map[string]int64{"near": 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := placedKeeper(t, `{"name": "a", "resource_class": "A", "numa_policy": "required"}`)
			spec, h := wants("a:2"), &scheduler.HostState{
				NUMATopology: []byte(numa), PCIPools: []byte(c.pools), Candidates: c.candidates, CPUAllocationRatio: 4, RAMAllocationRatio: 1,
			}
			if c.nodes != "" {
				spec.Flavor.ExtraSpecs["hw:numa_nodes"] = c.nodes
			}
			passes := true
			for _, f := range []scheduler.Narrower{pciFilter{k}, numaFilter{k}} {
				kept, why, err := f.Narrow(&scheduler.Request{Spec: spec}, h)
				if err != nil {
					t.Fatal(err)
				}
				h.Candidates, passes = kept, passes && why.Passes()
			}
			if passes != (c.taken != nil) {
				t.Fatalf("passes is %v", passes)
			}
			if c.taken == nil {
				h.Candidates = []scheduler.Candidate{}
			}
			err := k.Consume(spec, h, true)
			if c.taken == nil {
				if !errors.Is(err, ErrNoCandidate) {
					t.Errorf("%v, want %v", err, ErrNoCandidate)
				}
				return
			}
			taken := map[string]int64{}
			for _, p := range spec.Topology.(*Instance).Requests[0].Taken {
				taken[p.provider] += p.Count
			}
			if err != nil || !reflect.DeepEqual(taken, c.taken) {
				t.Errorf("took %v, %v; want %v", taken, err, c.taken)
			}
		})
	}
}

// TestConsumeOnRebuild takes no devices that are in placement for a rebuild.
func TestConsumeOnRebuild(t *testing.T) {
	t.Parallel()
	k := placedKeeper(t, `{"name": "a", "resource_class": "A"}`)
	for _, rebuild := range []bool{false, true} {
		spec, h := wants("a:2"), &scheduler.HostState{
			PCIPools:   []byte(`[{"vendor_id": "1", "product_id": "1", "numa_node": null, "count": 2, "tags": {"rp_uuid": "near"}}]`),
			Candidates: []scheduler.Candidate{{Mappings: map[string][]string{suffixOf(0, 0): {"near"}, suffixOf(0, 1): {"near"}}}},
		}
		if rebuild {
			spec.Hints = map[string][]string{"_nova_check_type": {"rebuild"}}
		}
		err := k.Consume(spec, h, true)
		if errors.Is(err, ErrNoCandidate) != rebuild || (err != nil) != rebuild {
			t.Errorf("rebuild %v: %v", rebuild, err)
		}
	}
}

// TestPinInPlacement holds that no device is given away whose provider nobody
// claims.
func TestPinInPlacement(t *testing.T) {
	t.Parallel()
	k := placedKeeper(t, `{"name": "a", "resource_class": "A"}`)
	pins, why, err := k.Pin(&scheduler.Request{Spec: wants("a:1")}, &scheduler.HostState{
		PCIPools: []byte(`[{"vendor_id": "1", "product_id": "1", "count": 2, "tags": {"rp_uuid": "p"}}]`),
	}, nil)
	if err != nil || pins != nil || why.Why == "" {
		t.Errorf("%s, %+v, %v", pins, why, err)
	}
}
