package query

import (
	"context"
	"slices"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// TestEngine asks an engine what was built: which of four hosts can take a
// request.
func TestEngine(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e, err := placement.Open(ctx, placement.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	zone := placement.MustUUID("5e08ea53-c4c6-448e-9334-ac4953de3cfa")
	uuid := func(name string) placement.UUID {
		return placement.MustUUID("0000000" + name + "-0000-4000-8000-000000000000")
	}
	for name, host := range map[string]engineHost{
		"1": {},
		"2": {[]string{"COMPUTE_STATUS_DISABLED"}, []placement.UUID{zone}, 0},
		"3": {[]string{"HW_CPU_X86_VMX"}, []placement.UUID{zone}, 0},
		"4": {[]string{"HW_CPU_X86_VMX", "HW_CPU_HYPERTHREADING"}, nil, 8},
	} {
		if err := host.add(ctx, e, uuid(name)); err != nil {
			t.Fatal(err)
		}
	}
	v := &View{
		Aggregates: []scheduler.Aggregate{{UUID: zone.String(), Metadata: map[string]string{"availability_zone": "az", "trait:HW_CPU_X86_VMX": "required"}}},
		Nodes:      func(host, _, _ string) []placement.UUID { return []placement.UUID{uuid(host)} },
	}
	for _, c := range []struct {
		name string
		spec scheduler.RequestSpec
		want []string
	}{
		{"anything", scheduler.RequestSpec{}, []string{"1", "3", "4"}},
		{"zone", scheduler.RequestSpec{AvailabilityZone: "az"}, []string{"3"}},
		{"trait", scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{"trait:HW_CPU_X86_VMX": "required"}}}, []string{"3", "4"}},
		{"no trait", scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{"trait:HW_CPU_X86_VMX": "forbidden"}}}, []string{"1"}},
		{"image", scheduler.RequestSpec{Image: &scheduler.Image{Properties: map[string]string{"traits_required": "['HW_CPU_HYPERTHREADING']"}}}, []string{"4"}},
		{"pinned", scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate"}}}, []string{"4"}},
		{"forced", scheduler.RequestSpec{ForceHosts: []string{"3"}}, []string{"3"}},
		{"forced, disabled", scheduler.RequestSpec{ForceHosts: []string{"2"}}, nil},
	} {
		c.spec.Flavor.VCPUs, c.spec.Flavor.MemoryMiB, c.spec.Flavor.RootGiB, c.spec.Flavor.SwapMiB = 7, 4096, 99, 1
		q, err := New(&scheduler.Options{MaxPlacementResults: 10}).Build(v, &Request{Spec: &c.spec})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for candidate, err := range e.Candidates(ctx, q.Candidates) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, candidate.Root.String()[7:8])
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: hosts %v, want %v", c.name, got, c.want)
		}
	}
}

// engineHost is a host of 8 vCPUs, 4096 MiB and 100 GiB.
type engineHost struct {
	traits     []string
	aggregates []placement.UUID
	pinned     int64 // PCPU
}

func (h *engineHost) add(ctx context.Context, e *placement.Engine, uuid placement.UUID) error {
	inventory := map[string]placement.Inventory{
		"VCPU": placement.NewInventory(8), "MEMORY_MB": placement.NewInventory(4096), "DISK_GB": placement.NewInventory(100),
	}
	if h.pinned > 0 {
		inventory["PCPU"] = placement.NewInventory(h.pinned)
	}
	_, err := e.CreateProvider(ctx, placement.Provider{UUID: uuid, Name: uuid.String()})
	if err == nil {
		_, err = e.SetInventories(ctx, uuid, inventory, placement.AnyGeneration)
	}
	if err == nil {
		_, err = e.SetTraits(ctx, uuid, h.traits, placement.AnyGeneration)
	}
	if err == nil {
		_, err = e.SetAggregates(ctx, uuid, h.aggregates, placement.AnyGeneration)
	}
	return err
}
