package filter

import (
	"errors"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// raises stands for an error in tables of reasons.
const raises = "raises"

// ask makes a filter and returns its reason for a host: a sentence, "" or
// raises.
func ask(t *testing.T, name string, o scheduler.Options, r *scheduler.Request, h *scheduler.HostState) string {
	t.Helper()
	o.EnabledFilters = []string{name}
	list, err := Choose(&o)
	if err != nil {
		t.Fatal(err)
	}
	reason, err := list[0].Pass(r, h)
	switch {
	case err == nil:
		return reason.String()
	case !errors.Is(err, scheduler.ErrCannotEvaluate):
		t.Errorf("%s: %v", name, err)
	}
	return raises
}

// TestEveryHost holds scopes to their word: every host passes then.
func TestEveryHost(t *testing.T) {
	t.Parallel()
	h := &scheduler.HostState{
		Host: "h", Instances: map[string]scheduler.Instance{"1": {}}, NumInstances: 1 << 40, NumIOOps: 1 << 40,
		Service: scheduler.Service{Disabled: true}, Stats: map[string]any{"unscoped": "x"},
		Aggregates: []scheduler.Aggregate{{Metadata: map[string]string{
			"instance_type": "x", "filter_tenant_id": "x", "os_type": "x", "max_io_ops_per_host": "0", "max_instances_per_host": "0",
		}}},
	}
	skipped := map[string]int{}
	for _, s := range []*scheduler.RequestSpec{
		{},
		{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated", "trait:X": "required"}}},
		{Image: &scheduler.Image{ID: "i", Properties: map[string]string{"os_type": "linux"}}},
		{Group: &scheduler.Group{Policy: scheduler.SoftAffinity, Members: []string{"1"}, Hosts: []string{"other"}}},
		{Hints: map[string][]string{"query": {""}, "same_host": {}, "different_host": nil, "build_near_host_ip": {""}}},
	} {
		for _, c := range Builtin() {
			f, err := c.New(&scheduler.Options{})
			if err != nil {
				t.Fatal(err)
			}
			scoped, ok := f.(scheduler.Scoped)
			if !ok || scoped.Scope(s)&scheduler.EveryHost == 0 {
				continue
			}
			skipped[c.Name]++
			reason, err := f.Pass(&scheduler.Request{Spec: s, Instance: "new", GroupHosts: []string{"other"}}, h)
			if err != nil || !reason.Passes() {
				t.Errorf("%s, %+v: %v, %v", c.Name, s, reason.String(), err)
			}
		}
	}
	for _, name := range []string{
		"ComputeCapabilitiesFilter", "ImagePropertiesFilter", "ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter",
		"SameHostFilter", "DifferentHostFilter", "SimpleCIDRAffinityFilter", "JsonFilter", "MetricsFilter", "AllHostsFilter",
	} {
		if skipped[name] != 5 {
			t.Errorf("%s has no say in %d requests, want 5", name, skipped[name])
		}
	}
}

func TestPassingDoesNotAllocate(t *testing.T) {
	h := in(dict{"instance_type": "m0, m1", "filter_tenant_id": "q,p", "os_type": "linux", "ssd": "no, true", "max_instances_per_host": "9"})
	h.FreeRAMMiB, h.HostIP, h.Stats = 4096, "10.0.1.1", map[string]any{"rack": "r2"}
	h.Instances = map[string]scheduler.Instance{"2": {}}
	h.SupportedInstances = [][]string{{"x86_64", "kvm", "hvm"}}
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{
		ProjectID: "p", Flavor: scheduler.Flavor{Name: "m1", ExtraSpecs: dict{"ssd": "<or> 1 <or> true"}},
		Image: &scheduler.Image{ID: "i", Properties: dict{"os_type": "linux", "hw_vm_mode": "hvm"}},
		Hints: map[string][]string{
			"query":     {`["and", ["in", "$stats.rack", "r1", "r2"], [">=", "$free_ram_mb", 1024], ["=", false, "$service.disabled"]]`},
			"same_host": {"1", "2"}, "different_host": {"3"}, "build_near_host_ip": {"10.0.0.9"}, "cidr": {"/16"},
		},
	}}
	for _, c := range Builtin() {
		f, err := c.New(&scheduler.Options{MaxIOOpsPerHost: 1, MaxInstancesPerHost: 1, ServiceDownTime: 1})
		if err != nil {
			t.Fatal(err)
		}
		r.Now = h.Service.LastReport
		if n := testing.AllocsPerRun(100, func() {
			if reason, err := f.Pass(r, h); err != nil || !reason.Passes() {
				t.Fatal(c.Name, reason.String(), err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.Name, n)
		}
	}
}
