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
	} {
		if skipped[name] != 5 {
			t.Errorf("%s has no say in %d requests, want 5", name, skipped[name])
		}
	}
}
