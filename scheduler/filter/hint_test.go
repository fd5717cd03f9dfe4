package filter

import (
	"net/netip"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestHints(t *testing.T) {
	t.Parallel()
	type hints = map[string][]string
	h := &scheduler.HostState{HostIP: "10.1.2.3", Instances: map[string]scheduler.Instance{"a": {}, "b": {}}}
	for _, c := range []struct {
		filter string
		hints  hints
		want   string
	}{
		{"SameHostFilter", nil, ""},
		{"SameHostFilter", hints{"same_host": {}}, ""},
		{"SameHostFilter", hints{"same_host": {""}}, ""},
		{"SameHostFilter", hints{"same_host": {"c", "a"}}, ""},
		{"SameHostFilter", hints{"same_host": {"c", "d"}}, "hint same_host names 2 instances such as c, none is on the host"},
		{"SameHostFilter", hints{"same_host": {"", ""}}, "hint same_host names 2 instances such as , none is on the host"},
		{"DifferentHostFilter", nil, ""},
		{"DifferentHostFilter", hints{"different_host": {"c", "d"}}, ""},
		{"DifferentHostFilter", hints{"different_host": {"c", "b"}}, "hint different_host names instance b, which is on the host"},
		{"SimpleCIDRAffinityFilter", hints{"cidr": {"/32"}}, ""},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2.200"}}, ""},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.3.3"}}, "the host's address is 10.1.2.3, asked for is one near 10.1.3.3"},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.3.3"}, "cidr": {"/255.255.0.0"}}, ""},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2."}, "cidr": {"3"}}, ""},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"fd00::1"}}, "the host's address is 10.1.2.3, asked for is one near fd00::1"},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2.3"}, "cidr": {"/33"}}, raises},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2.3"}, "cidr": {"/255.0.255.0"}}, raises},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2.3"}, "cidr": {}}, raises},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"10.1.2.3", "10.1.2.4"}}, raises},
		{"SimpleCIDRAffinityFilter", hints{"build_near_host_ip": {"near"}}, raises},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Hints: c.hints}}
		if got := ask(t, c.filter, scheduler.Options{}, r, h); got != c.want {
			t.Errorf("%s, %v: %q, want %q", c.filter, c.hints, got, c.want)
		}
	}
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Hints: hints{"build_near_host_ip": {"10.1.2.3"}}}}
	if got := ask(t, "SimpleCIDRAffinityFilter", scheduler.Options{}, r, &scheduler.HostState{}); got != raises {
		t.Errorf("a host without an address: %q", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	h := &scheduler.HostState{Metrics: map[string]int64{"a": 0, "c": 1}}
	for names, want := range map[string]string{"": "", "a": "", "b": "the host has no metric b"} {
		var o scheduler.Options
		if names != "" {
			o.MetricsWeightSetting = []scheduler.Setting{{Name: "c"}, {Name: names}}
		}
		if got := ask(t, "MetricsFilter", o, nil, h); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
}

// FuzzNetwork compares with net/netip, which knows masks in bits only.
func FuzzNetwork(f *testing.F) {
	for _, s := range []string{"10.0.0.0/8", "10.0.0.1", "10.0.0.1/255.0.0.0", "10.0.0.1/0.0.0.255", "fd00::/ffff::", "fe80::1%eth0/64"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseNetwork(text)
		want, wantErr := netip.ParsePrefix(text)
		if wantErr == nil && (err != nil || got != want) {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
		if err == nil && !got.IsValid() {
			t.Errorf("%q is %v", text, got)
		}
	})
}
