package filter

import (
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestServerGroup(t *testing.T) {
	t.Parallel()
	const anti, together = "ServerGroupAntiAffinityFilter", "ServerGroupAffinityFilter"
	none, two, three := int64(0), int64(2), int64(3)
	h := &scheduler.HostState{Host: "h", Instances: map[string]scheduler.Instance{"a": {}, "b": {}, "x": {}}}
	for _, c := range []struct {
		filter   string
		group    *scheduler.Group
		instance string
		want     string
	}{
		{anti, nil, "n", ""},
		{anti, &scheduler.Group{Policy: scheduler.SoftAntiAffinity, Members: []string{"a"}}, "n", ""},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"n"}, Hosts: []string{"h"}}, "n", ""},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"a"}}, "n", "the host has 1 members of the anti-affinity group, allowed are 1"},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"a"}}, "x", ""},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"a", "a", "c"}, MaxServerPerHost: &two}, "n", ""},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"b", "a", "c"}, MaxServerPerHost: &two}, "n", "the host has 2 members of the anti-affinity group, allowed are 2"},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, Members: []string{"b", "a", "c"}, MaxServerPerHost: &three}, "n", ""},
		{anti, &scheduler.Group{Policy: scheduler.AntiAffinity, MaxServerPerHost: &none}, "n", "the host has 0 members of the anti-affinity group, allowed are 0"},
		{together, nil, "n", ""},
		{together, &scheduler.Group{Policy: scheduler.Affinity, Members: []string{"a"}}, "n", ""},
		{together, &scheduler.Group{Policy: scheduler.Affinity, Hosts: []string{"g", "h"}}, "n", ""},
		{together, &scheduler.Group{Policy: scheduler.Affinity, Hosts: []string{"H"}}, "n", "the affinity group is on 1 other hosts, H among them"},
		{together, &scheduler.Group{Policy: scheduler.SoftAffinity, Hosts: []string{"g"}}, "n", ""},
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Group: c.group}, Instance: c.instance}
		if c.group != nil {
			r.GroupHosts = c.group.Hosts
		}
		if got := ask(t, c.filter, scheduler.Options{}, r, h); got != c.want {
			t.Errorf("%s, %+v, %s: %q, want %q", c.filter, c.group, c.instance, got, c.want)
		}
	}
}
