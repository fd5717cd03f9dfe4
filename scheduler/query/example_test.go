package query_test

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/query"
)

func Example() {
	b := query.New(&scheduler.Options{MaxPlacementResults: 1000})
	q, err := b.Build(
		&query.View{Aggregates: []scheduler.Aggregate{{
			UUID: "5e08ea53-c4c6-448e-9334-ac4953de3cfa", Metadata: map[string]string{"availability_zone": "az1"},
		}}},
		&query.Request{Spec: &scheduler.RequestSpec{
			Flavor: scheduler.Flavor{
				VCPUs: 4, MemoryMiB: 8192, RootGiB: 20, SwapMiB: 1025,
				ExtraSpecs: map[string]string{
					"hw:cpu_policy": "dedicated", "hw:emulator_threads_policy": "isolate", "trait:HW_CPU_X86_AVX2": "required", "resources1:VGPU": "1",
				},
			},
			AvailabilityZone: "az1",
		}},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range q.Candidates.Groups {
		fmt.Printf("%q: %v, traits %v, member of %v\n", g.Suffix, g.Resources, g.Required, g.MemberOf)
	}
	fmt.Println("root:", q.Candidates.RootRequired, "without", q.Candidates.RootForbidden, "limit", q.Candidates.Limit)
	// Output:
	// "": [{DISK_GB 22} {MEMORY_MB 8192} {PCPU 5}], traits [[HW_CPU_X86_AVX2]], member of [[5e08ea53-c4c6-448e-9334-ac4953de3cfa]]
	// "1": [{VGPU 1}], traits [], member of []
	// root: [] without [COMPUTE_STATUS_DISABLED] limit 1000
}
