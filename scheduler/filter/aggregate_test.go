package filter

import (
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestMost(t *testing.T) {
	t.Parallel()
	o := scheduler.Options{MaxIOOpsPerHost: 8, MaxInstancesPerHost: 50}
	for _, c := range []struct {
		n          int64
		aggregates []string
		limit      int64 // of the aggregate forms
	}{
		{3, nil, -1},
		{3, []string{"3"}, 3},
		{3, []string{"4"}, 4},
		{3, []string{"9", " 1_0", "4", "4"}, 4},
		{3, []string{"9", "2.5", "0"}, -1},
		{3, []string{"0", ""}, -1},
		{3, []string{"4,5"}, -1},
		{8, []string{"99"}, 99},
		{0, []string{"-1"}, -1},
		{50, []string{"7"}, 7},
	} {
		h := &scheduler.HostState{NumIOOps: c.n, NumInstances: c.n, Aggregates: []scheduler.Aggregate{{Metadata: map[string]string{"other": "0"}}}}
		for _, v := range c.aggregates {
			h.Aggregates = append(h.Aggregates, scheduler.Aggregate{Metadata: map[string]string{
				"max_io_ops_per_host": v, "max_instances_per_host": v,
			}})
		}
		for name, option := range map[string]int64{"IoOpsFilter": 8, "NumInstancesFilter": 50} {
			limit := c.limit
			if limit < 0 && len(c.aggregates) != 1 || c.aggregates == nil || c.aggregates[0] == "4,5" {
				limit = option
			}
			if got := ask(t, name, o, nil, h); (got == "") != (c.n < option) {
				t.Errorf("%s, %d of %d: %q", name, c.n, option, got)
			}
			if got := ask(t, "Aggregate"+name, o, nil, h); (got == "") != (c.n < limit) {
				t.Errorf("Aggregate%s, %d of %d: %q", name, c.n, limit, got)
			}
		}
	}
	h := &scheduler.HostState{NumIOOps: 9, NumInstances: 51}
	if got, want := ask(t, "IoOpsFilter", o, nil, h), "the host has 9 I/O operations, allowed are fewer than 8"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := ask(t, "AggregateNumInstancesFilter", o, nil, h), "the host has 51 instances, allowed are fewer than 50"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// in returns a host in aggregates with this metadata.
func in(aggregates ...map[string]string) *scheduler.HostState {
	h := &scheduler.HostState{Host: "h"}
	for _, m := range aggregates {
		h.Aggregates = append(h.Aggregates, scheduler.Aggregate{Metadata: m})
	}
	return h
}

type dict = map[string]string

func TestAggregateExtraSpecs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		specs dict
		h     *scheduler.HostState
		want  string
	}{
		{nil, in(), ""},
		{dict{"hw:x": "1", "trait:y": "required"}, in(), ""},
		{dict{"ssd": "true"}, in(), "extra spec ssd asks for true, no aggregate of the host has the key"},
		{dict{"ssd": "true"}, in(dict{"other": "x"}, dict{"ssd": "true"}), ""},
		{dict{"ssd": "true"}, in(dict{"ssd": "false, true"}), ""},
		{dict{"ssd": "true"}, in(dict{"ssd": "false"}, dict{"ssd": "no"}), "extra spec ssd asks for true, the host's aggregates have no"},
		{dict{"aggregate_instance_extra_specs:a:b": ">= 4"}, in(dict{"a:b": "3"}, dict{"a:b": "5"}), ""},
		{dict{"aggregate_instance_extra_specs:a:b": ">= 4"}, in(dict{"a": "5"}), "extra spec aggregate_instance_extra_specs:a:b asks for >= 4, no aggregate of the host has the key"},
		{dict{"n": ">= 4"}, in(dict{"n": "many"}), raises},
		{dict{"n": ">= 4"}, in(dict{"n": "many,4"}), ""},
		{dict{"": "x"}, in(dict{"": "x"}), ""},
		{dict{"": "x", "a": "x"}, in(dict{"a": "x"}), "extra spec  asks for x, no aggregate of the host has the key"},
		{dict{"empty": ""}, in(dict{"empty": ""}), ""},
		{dict{"b": "1", "a": "1"}, in(), "extra spec a asks for 1, no aggregate of the host has the key"},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: c.specs}}}
		if got := ask(t, "AggregateInstanceExtraSpecsFilter", scheduler.Options{}, r, c.h); got != c.want {
			t.Errorf("%v: %q, want %q", c.specs, got, c.want)
		}
	}
}

func TestAggregateImageProperties(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		props     dict
		h         *scheduler.HostState
		namespace string
		want      string
	}{
		{dict{"os_type": "linux"}, in(), "", ""},
		{dict{"os_type": "linux"}, in(dict{"os_distro": "debian"}), "", ""},
		{dict{"os_type": "linux"}, in(dict{"os_type": "windows"}), "", "the image's os_type is linux, the host's aggregates allow windows"},
		{dict{"os_type": "linux"}, in(dict{"os_type": "windows"}, dict{"os_type": "bsd , linux"}), "", ""},
		{dict{"hw_boot_menu": "True"}, in(dict{"hw_boot_menu": "true"}), "", "the image's hw_boot_menu is True, the host's aggregates allow true"},
		{dict{"hw_boot_menu": "False"}, in(dict{"hw_boot_menu": "True"}), "", ""},
		{dict{"hw_cpu_cores": "0"}, in(dict{"hw_cpu_cores": "4"}), "", ""},
		{dict{"os_distro": "0"}, in(dict{"os_distro": "4"}), "", "the image's os_distro is 0, the host's aggregates allow 4"},
		{dict{"os_distro": ""}, in(dict{"os_distro": "4"}), "", ""},
		{dict{"os_type": "linux"}, in(dict{"os_type": "windows"}), "os", ""},
		{dict{"os_type": "linux"}, in(dict{"os_type": "windows"}), "os_", ""},
		{nil, in(dict{"os_type": "windows"}), "", ""},
		{dict{"os_type": "linux", "os_distro": "x"}, in(dict{"os_type": "windows", "os_distro": "y"}), "", "the image's os_distro is x, the host's aggregates allow y"},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Image: &scheduler.Image{Properties: c.props}}}
		if c.props == nil {
			r.Spec.Image = nil
		}
		o := scheduler.Options{AggregateImagePropertiesIsolationNS: c.namespace, AggregateImagePropertiesIsolationSep: "."}
		if got := ask(t, "AggregateImagePropertiesIsolation", o, r, c.h); got != c.want {
			t.Errorf("%v in %q: %q, want %q", c.props, c.namespace, got, c.want)
		}
	}
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Image: &scheduler.Image{Properties: dict{"os_type": "linux"}}}}
	o := scheduler.Options{AggregateImagePropertiesIsolationNS: "os", AggregateImagePropertiesIsolationSep: "_"}
	if got := ask(t, "AggregateImagePropertiesIsolation", o, r, in(dict{"os_type": "windows"})); got == "" {
		t.Error("a key in the namespace is not looked at")
	}
}

func TestAggregateNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter string
		h      *scheduler.HostState
		want   string
	}{
		{"AggregateMultiTenancyIsolation", in(), ""},
		{"AggregateMultiTenancyIsolation", in(dict{"tenant": "q"}), ""},
		{"AggregateMultiTenancyIsolation", in(dict{"filter_tenant_id": "q"}), "the host's aggregates are for other projects than p"},
		{"AggregateMultiTenancyIsolation", in(dict{"filter_tenant_id": "q"}, dict{"filter_tenant_id_2": "r, p"}), ""},
		{"AggregateMultiTenancyIsolation", in(dict{"filter_tenant_id": ""}), "the host's aggregates are for other projects than p"},
		{"AggregateTypeAffinityFilter", in(), ""},
		{"AggregateTypeAffinityFilter", in(dict{"instance_type": "m2"}), "the flavor is m1, the host's aggregates are for others such as m2"},
		{"AggregateTypeAffinityFilter", in(dict{"instance_type": "m2"}, dict{"instance_type": "m0, m1 "}), ""},
		{"AggregateTypeAffinityFilter", in(dict{"instance_type": ""}), "the flavor is m1, the host's aggregates are for others such as "},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{ProjectID: "p", Flavor: scheduler.Flavor{Name: "m1"}}}
		if got := ask(t, c.filter, scheduler.Options{}, r, c.h); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.filter, c.h.Aggregates, got, c.want)
		}
	}
	nobody := &scheduler.Request{Spec: &scheduler.RequestSpec{}}
	if got := ask(t, "AggregateMultiTenancyIsolation", scheduler.Options{}, nobody, in(dict{"filter_tenant_id": "p,"})); got == "" {
		t.Error("a request without a project passes for one of the empty name")
	}
}

// TestIsolatedHosts is the matrix of Nova's filter.
func TestIsolatedHosts(t *testing.T) {
	t.Parallel()
	const imageOnly, hostOnly = "image iso is isolated, the host is not", "the host is isolated, the image is not"
	for _, c := range []struct {
		images   []string
		restrict bool
		image    string
		host     string
		want     string
	}{
		{[]string{"iso"}, true, "iso", "h", ""},
		{[]string{"iso"}, true, "iso", "H", imageOnly},
		{[]string{"iso"}, true, "other", "h", hostOnly},
		{[]string{"iso"}, true, "other", "g", ""},
		{[]string{"iso"}, true, "", "h", hostOnly},
		{[]string{"iso"}, false, "iso", "h", ""},
		{[]string{"iso"}, false, "iso", "g", imageOnly},
		{[]string{"iso"}, false, "other", "h", ""},
		{[]string{"iso"}, false, "other", "g", ""},
		{nil, true, "iso", "h", hostOnly},
		{nil, true, "iso", "g", ""},
		{nil, false, "iso", "h", ""},
		{[]string{""}, true, "", "h", hostOnly},
	} {
		o := scheduler.Options{IsolatedHosts: []string{"h"}, IsolatedImages: c.images, RestrictIsolatedHostsToIsolatedImages: c.restrict}
		for _, image := range []*scheduler.Image{{ID: c.image}, nil} {
			if image == nil && c.image != "" {
				continue
			}
			r := &scheduler.Request{Spec: &scheduler.RequestSpec{Image: image}}
			if got := ask(t, "IsolatedHostsFilter", o, r, &scheduler.HostState{Host: c.host}); got != c.want {
				t.Errorf("%+v: %q, want %q", c, got, c.want)
			}
		}
	}
}
