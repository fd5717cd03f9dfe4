package topology

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// TestSetOrder holds how CPython 3.11 iterates over sets of these numbers,
// and over what a field of a Nova object makes of them.
func TestSetOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		list, set, field []int
	}{
		{nil, nil, nil},
		{[]int{3, 1, 2}, []int{1, 2, 3}, []int{1, 2, 3}},
		{[]int{0, 8}, []int{0, 8}, []int{0, 8}},
		{[]int{8, 0}, []int{8, 0}, []int{8, 0}},
		{[]int{7, 15}, []int{15, 7}, []int{7, 15}},
		{[]int{1, 40}, []int{40, 1}, []int{40, 1}},
		{[]int{5, 13, 21, 29, 37}, []int{37, 5, 13, 21, 29}, []int{29, 5, 37, 21, 13}},
		{[]int{263, 1287, 2311, 3335, 4359, 5383}, []int{3335, 4359, 1287, 2311, 263, 5383}, []int{3335, 5383, 263, 4359, 1287, 2311}},
	} {
		set := setOf(c.list).order()
		field := appendCoerced(nil, set)
		if !slices.Equal(set, c.set) || !slices.Equal(appendSet(nil, c.list), c.set) || !slices.Equal(field, c.field) {
			t.Errorf("%v: set %v, field %v; want %v, %v", c.list, set, field, c.set, c.field)
		}
	}
}

// TestRefusals holds what is refused, and that errors name it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	cell := func(members string) string { return `{"cells": [{"id": 0, "memory": 1, ` + members + `}]}` }
	for _, c := range []struct{ numa, pools, want string }{
		{`{`, ``, "numa_topology: unexpected EOF"},
		{`{} {}`, ``, "allowed is: one JSON value"},
		{`[]`, ``, "numa_topology is [], allowed is: an object"},
		{`{"cell": []}`, ``, `numa_topology: a member is "cell", allowed is: [cells]`},
		{`{"cells": {}}`, ``, "numa_topology.cells is map[], allowed is: a list"},
		{`{"cells": [1]}`, ``, "numa_topology.cells[0] is 1, allowed is: an object"},
		{`{"cells": [{"memory": 1}]}`, ``, "numa_topology.cells[0].id is null, allowed is: an integer from 0 to"},
		{`{"cells": [{"id": 0}]}`, ``, "cells[0].memory is null"},
		{`{"cells": [{"id": 0, "memory": 1}, {"id": 0, "memory": 1}]}`, ``, "cells[1].id is 0, allowed is: another"},
		{cell(`"memory_usage": -1`), ``, "memory_usage is -1, allowed is: an integer from 0"},
		{cell(`"cpu_usage": 1.5`), ``, "cpu_usage is 1.5"},
		{cell(`"ID": 1`), ``, `a member is "ID"`},
		{cell(`"cpuset": [0, "1"]`), ``, `cpuset[1] is "1", allowed is: an integer from 0 to 1048575`},
		{cell(`"cpuset": [null]`), ``, "cpuset[0] is null"},
		{cell(`"pcpuset": [1048576]`), ``, "pcpuset[0] is 1048576"},
		{cell(`"pcpuset": [1], "pinned_cpus": [2]`), ``, "pinned_cpus is 2, allowed is: a member of pcpuset"},
		{cell(`"siblings": [[0, 1], [1, 2]]`), ``, "siblings[1] is 1, allowed is: CPUs that are on no other core"},
		{cell(`"mempages": [{"size_kb": 0, "total": 1}]`), ``, "mempages[0].size_kb is 0, allowed is: 1 or more"},
		{cell(`"mempages": [{"size_kb": 4, "total": 1}, {"size_kb": 4, "total": 1}]`), ``, "mempages[1].size_kb is 4"},
		{cell(`"mempages": [{"size_kb": 4}]`), ``, "mempages[0].total is null"},
		{cell(`"network_metadata": {"physnet": []}`), ``, `network_metadata: a member is "physnet", allowed is: [physnets tunneled]`},
		{cell(`"network_metadata": {"physnets": [1]}`), ``, "network_metadata.physnets[0] is 1, allowed is: a text"},
		{cell(`"network_metadata": {"tunneled": "yes"}`), ``, "network_metadata.tunneled is \"yes\", allowed is: true or false"},
		{``, `{}`, "pci_pools is map[], allowed is: a list"},
		{``, `[{"product_id": "1", "count": 1}]`, "pci_pools[0].vendor_id is null, allowed is: a text"},
		{``, `[{"vendor_id": "1", "product_id": "1"}]`, "pci_pools[0].count is null"},
		{``, `[{"vendor_id": "1", "product_id": "1", "count": -1}]`, "pci_pools[0].count is -1"},
		{``, `[{"vendor_id": "1", "product_id": "1", "count": 1, "dev_type": "type-X"}]`, `dev_type is "type-X"`},
		{``, `[{"vendor_id": "1", "product_id": "1", "count": 1, "tags": {"count": "2"}}]`, `tags: a member is "count"`},
		{``, `[{"vendor_id": "1", "product_id": "1", "count": 1, "tags": {"a": 2}}]`, "tags.a is 2, allowed is: a text or null"},
	} {
		if h, err := ParseHost([]byte(c.numa), []byte(c.pools)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, %v; want %q", c.numa, c.pools, h, err, c.want)
		}
	}
	ids := `"vendor_id": "8086", "product_id": "1520"`
	for alias, want := range map[string]string{
		`{`:                                  "[pci] alias[0]: unexpected EOF",
		`{"name": "a", "x": 1}`:              `[pci] alias[0]: a member is "x"`,
		`{` + ids + `}`:                      "[pci] alias[0].name is null, allowed is: a text",
		`{"name": "", ` + ids + `}`:          "allowed is: 1 to 256 characters",
		`{"name": "a", "vendor_id": "8086"}`: "product_id is null, allowed is: four hexadecimal digits",
		`{"name": "a", "vendor_id": "0x8086", "product_id": "1"}`: "allowed is: four hexadecimal digits",
		`{"name": "a", "device_type": "vdpa", ` + ids + `}`:       `device_type is "vdpa"`,
		`{"name": "a", "numa_policy": "strict", ` + ids + `}`:     `numa_policy is "strict"`,
		`{"name": "a", "live_migratable": "maybe", ` + ids + `}`:  `live_migratable is "maybe"`,
		`{"name": "a", "live_migratable": true, ` + ids + `}`:     "live_migratable is true, allowed is: a text",
	} {
		if a, err := ParseAliases([]string{alias}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", alias, a, err, want)
		}
	}
}

// TestImage holds what image properties say, in the form that
// scheduler/imagemeta gives them.
func TestImage(t *testing.T) {
	t.Parallel()
	image := &scheduler.Image{Properties: map[string]string{
		"hw_numa_nodes": "2", "hw_numa_mem": "[256, 512]", "hw_numa_cpus.0": "0", "hw_numa_cpus.1": "1-2",
		"hw_cpu_policy": "dedicated", "traits_required": "['A', 'HW_CPU_HYPERTHREADING']",
	}}
	i, err := Aliases{}.Instance(&scheduler.Flavor{VCPUs: 3, MemoryMiB: 768}, image)
	if err != nil {
		t.Fatal(err)
	}
	want := []InstanceCell{
		{ID: 0, PCPUs: []int{0}, MemoryMiB: 256, CPUPolicy: CPUDedicated, ThreadPolicy: ThreadsRequire},
		{ID: 1, PCPUs: []int{1, 2}, MemoryMiB: 512, CPUPolicy: CPUDedicated, ThreadPolicy: ThreadsRequire},
	}
	if !reflect.DeepEqual(i.Cells, want) {
		t.Errorf("%+v, want %+v", i.Cells, want)
	}
}

// TestHuge holds that numbers without measure are refused, and at once.
func TestHuge(t *testing.T) {
	t.Parallel()
	for _, f := range []scheduler.Flavor{
		{VCPUs: 1 << 40},
		{VCPUs: -1},
		{VCPUs: 1, MemoryMiB: 1 << 50},
		{VCPUs: 1, ExtraSpecs: map[string]string{"hw:numa_nodes": "1000000000"}},
		{VCPUs: 2, ExtraSpecs: map[string]string{"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "0-99999999999"}},
		{VCPUs: 1, ExtraSpecs: map[string]string{"hw:mem_page_size": "99999999999999999999"}},
		{VCPUs: 1, ExtraSpecs: map[string]string{"hw:mem_page_size": "99999999999999999999GB"}},
		{VCPUs: 1, ExtraSpecs: map[string]string{aliasSpec: "a:99999999999999999999"}},
	} {
		var field *FieldError
		if i, err := (Aliases{"a": {}}).Instance(&f, nil); !errors.As(err, &field) {
			t.Errorf("%+v: %v, %v", f, i, err)
		}
	}
}

// world makes a host, and an instance that may fit on it.
func world(t testing.TB, rng *rand.Rand) (*Host, *Instance) {
	t.Helper()
	cells, cores := 1+rng.IntN(4), 2+rng.IntN(7)
	h := make([]string, cells)
	for c := range h {
		var cpus, siblings []string
		for core := range cores {
			a, b := c*cores+core, cells*cores+c*cores+core
			cpus = append(cpus, fmt.Sprint(a), fmt.Sprint(b))
			siblings = append(siblings, fmt.Sprintf("[%d, %d]", a, b))
		}
		set := "[" + strings.Join(cpus, ", ") + "]"
		h[c] = fmt.Sprintf(`{"id": %d, "cpuset": %s, "pcpuset": %s, "memory": 4096, "siblings": [%s], "socket": %d,
			"mempages": [{"size_kb": 4, "total": 786432}, {"size_kb": 2048, "total": 512}]}`,
			c, set, set, strings.Join(siblings, ", "), c/2)
	}
	pools := fmt.Sprintf(`[{"vendor_id": "8086", "product_id": "1520", "numa_node": 0, "count": %d},
		{"vendor_id": "8086", "product_id": "1520", "numa_node": null, "count": 2, "tags": {"x": "y"}},
		{"vendor_id": "8086", "product_id": "1520", "numa_node": %d, "count": 3}]`, 1+rng.IntN(3), cells-1)
	host, err := ParseHost([]byte(`{"cells": [`+strings.Join(h, ", ")+`]}`), []byte(pools))
	if err != nil {
		t.Fatal(err)
	}
	aliases, err := ParseAliases([]string{`{"name": "a", "vendor_id": "8086", "product_id": "1520", "numa_policy": "preferred"}`})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(1 + rng.IntN(cells))
	spec := map[string]string{"hw:numa_nodes": fmt.Sprint(n), "hw:cpu_policy": "dedicated", "hw:mem_page_size": "any"}
	switch rng.IntN(4) {
	case 0:
		spec["hw:cpu_policy"] = "shared"
	case 1:
		spec["hw:cpu_thread_policy"] = "isolate"
	case 2:
		spec["hw:emulator_threads_policy"] = "isolate"
	}
	if rng.IntN(2) == 0 {
		spec["pci_passthrough:alias"] = fmt.Sprintf("a:%d, a:1", 1+rng.IntN(2))
	}
	i, err := aliases.Instance(&scheduler.Flavor{VCPUs: n * int64(1+rng.IntN(3)), MemoryMiB: n * 512, ExtraSpecs: spec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return host, i
}

// usageOf is what of a host changes when instances come and go.
func usageOf(h *Host) string {
	var b strings.Builder
	for _, c := range h.Cells {
		fmt.Fprintln(&b, c.ID, sorted(c.Pinned), c.CPUUsage, c.MemoryUsageMiB, c.Pages)
	}
	pools := map[string]int64{} // pools that are alike become one
	for _, p := range h.Pools {
		if p.Count > 0 {
			pools[fmt.Sprint(p.VendorID, p.ProductID, p.NUMANode, p.DevType, p.Tags)] += p.Count
		}
	}
	return b.String() + fmt.Sprint(pools)
}

// TestRelease fills hosts, empties them in another order, and looks that each
// state was left as it was and that the host ends as it began.
func TestRelease(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		host, asked := world(t, rng)
		var f Fitter
		first, full := usageOf(host), host
		var placed []*Instance
		for {
			before, wanted := usageOf(full), fmt.Sprintf("%+v", *asked)
			next, i, err := f.Consume(full, asked, &Limits{CPURatio: 4, RAMRatio: 1})
			if now := usageOf(full); now != before || fmt.Sprintf("%+v", *asked) != wanted {
				t.Fatalf("seed %d: consuming changed\n%s to\n%s", seed, before, now)
			}
			if err != nil || i.Cells == nil {
				break
			}
			placed, full = append(placed, i), next
		}
		rng.Shuffle(len(placed), func(a, b int) { placed[a], placed[b] = placed[b], placed[a] })
		for _, i := range placed {
			before := usageOf(full)
			next, err := Release(full, i)
			if err != nil || usageOf(full) != before {
				t.Fatalf("seed %d: release: %v", seed, err)
			}
			full = next
		}
		if last := usageOf(full); last != first {
			t.Errorf("seed %d: after %d instances\n%s, was\n%s", seed, len(placed), last, first)
		}
		if len(placed) > 0 && len(placed[0].Cells[0].Pins) > 0 {
			if _, err := Release(host, placed[0]); !errors.Is(err, ErrUsage) {
				t.Errorf("seed %d: released twice: %v", seed, err)
			}
		}
	}
}

// TestSymmetry holds that a fit neither depends on what a Fitter fitted before
// nor allocates.
func TestSymmetry(t *testing.T) {
	t.Parallel()
	var f Fitter
	for seed := range uint64(300) {
		host, i := world(t, rand.New(rand.NewPCG(seed, 2)))
		got, err := f.Fit(host, i, nil)
		want, errNew := new(Fitter).Fit(host, i, nil)
		if !reflect.DeepEqual(got, want) || err != nil || errNew != nil {
			t.Fatalf("seed %d: %v, %v; want %v, %v", seed, got, err, want, errNew)
		}
	}
}

// TestManyChoices holds that a search among too many choices ends.
func TestManyChoices(t *testing.T) {
	t.Parallel()
	host := &Host{}
	for n := range 16 {
		host.Cells = append(host.Cells, NewCell(Cell{ID: n, CPUs: []int{n}, MemoryMiB: 1024}))
	}
	i := &Instance{Requests: []Request{{Count: 1, Policy: PolicyRequired}}}
	for n := range 8 {
		i.Cells = append(i.Cells, InstanceCell{ID: n, CPUs: []int{n}, MemoryMiB: 1})
	}
	why, err := new(Fitter).Fit(host, i, nil)
	if err != nil || why.Want != maxTrials {
		t.Errorf("%s, %v", why.String(), err)
	}
}

func FuzzParseHost(f *testing.F) {
	f.Add([]byte(`{"cells": [{"id": 0, "memory": 1024, "pcpuset": [0, 8], "siblings": [[0, 8]], "mempages": [{"size_kb": 4, "total": 9}]}]}`),
		[]byte(`[{"vendor_id": "8086", "product_id": "1520", "count": 1, "tags": {"a": null}}]`), "2", "dedicated", "any")
	f.Fuzz(func(t *testing.T, numa, pools []byte, nodes, policy, size string) {
		h, err := ParseHost(numa, pools)
		if err != nil {
			return
		}
		aliases, err := ParseAliases([]string{`{"name": "a", "vendor_id": "8086", "product_id": "1520"}`})
		if err != nil {
			t.Fatal(err)
		}
		i, err := aliases.Instance(&scheduler.Flavor{VCPUs: 2, MemoryMiB: 2, ExtraSpecs: map[string]string{
			"hw:numa_nodes": nodes, "hw:cpu_policy": policy, "hw:mem_page_size": size, aliasSpec: "a:1",
		}}, nil)
		if err != nil {
			return
		}
		var fit Fitter
		before := usageOf(h)
		numa, pools, err = h.Documents()
		if again, errAgain := ParseHost(numa, pools); err != nil || errAgain != nil || usageOf(again) != before {
			t.Errorf("written and read again: %v, %v: %s %s", err, errAgain, numa, pools)
		}
		next, placed, err := fit.Consume(h, i, nil)
		if usageOf(h) != before {
			t.Error("the host changed")
		}
		if err != nil || placed.Cells == nil {
			return
		}
		back, err := Release(next, placed)
		if err != nil || usageOf(back) != before {
			t.Errorf("%v: %s\nreleased %s", err, before, usageOf(back))
		}
	})
}

// FuzzInstance holds that what is accepted is whole: each CPU of the flavor is
// on one cell, once, and so is its memory.
func FuzzInstance(f *testing.F) {
	f.Add(`{"name": "a", "vendor_id": "8086", "product_id": "1520"}`, "a:1, a:2", "mixed", "^0", "1,0", "2-3", "1GB", "no", "[512, 512]")
	f.Fuzz(func(t *testing.T, alias, asks, policy, mask, first, second, size, realtime, memory string) {
		aliases, err := ParseAliases([]string{alias})
		if err != nil {
			return
		}
		flavor := scheduler.Flavor{VCPUs: 4, MemoryMiB: 1024, ExtraSpecs: map[string]string{
			"hw:numa_nodes": "2", "hw:cpu_policy": policy, "hw:mem_page_size": size, "hw:cpu_realtime": realtime,
			"hw:numa_cpus.0": first, "hw:numa_cpus.1": second, aliasSpec: asks,
		}}
		if mask != "" {
			flavor.ExtraSpecs["hw:cpu_dedicated_mask"] = mask
		}
		i, err := aliases.Instance(&flavor, &scheduler.Image{Properties: map[string]string{"hw_numa_mem": memory}})
		if err != nil {
			var field *FieldError
			if !errors.As(err, &field) || len(err.Error()) > 1000 {
				t.Errorf("%v", err)
			}
			return
		}
		var cpus []int
		var mib int64
		for _, c := range i.Cells {
			cpus, mib = slices.Concat(cpus, c.CPUs, c.PCPUs), mib+c.MemoryMiB
		}
		if slices.Sort(cpus); !slices.Equal(cpus, upTo(4)) || mib != 1024 || len(i.Requests) != strings.Count(asks, ",")+1 {
			t.Errorf("%+v", i)
		}
	})
}
