package filter_test

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
)

func Example() {
	filters, err := filter.Choose(&scheduler.Options{
		EnabledFilters: []string{"ComputeCapabilitiesFilter", "NumInstancesFilter"}, MaxInstancesPerHost: 10,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	request := &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{
		ExtraSpecs: map[string]string{"capabilities:cpu_info:arch": "<or> aarch64 <or> x86_64"},
	}}}
	for _, host := range []*scheduler.HostState{
		{Host: "h1", CPUInfo: `{"arch": "x86_64"}`, NumInstances: 9},
		{Host: "h2", CPUInfo: `{"arch": "s390x"}`},
		{Host: "h3", CPUInfo: `{"arch": "aarch64"}`, NumInstances: 10},
	} {
		for _, f := range filters {
			if reason, err := f.Pass(request, host); err != nil || !reason.Passes() {
				fmt.Println(host.Host, f.Name(), reason.String(), err)
			}
		}
	}
	// Output:
	// h2 ComputeCapabilitiesFilter extra spec capabilities:cpu_info:arch asks for <or> aarch64 <or> x86_64, the host has s390x <nil>
	// h3 NumInstancesFilter the host has 10 instances, allowed are fewer than 10 <nil>
}
