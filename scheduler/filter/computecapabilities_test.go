package filter

import (
	"encoding/json"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func capableHost() *scheduler.HostState {
	version := int64(7002000)
	return &scheduler.HostState{
		Host: "h1", Node: "n1", UUID: "u1", FreeRAMMiB: 4096, CPUAllocationRatio: 4, HypervisorType: "QEMU",
		HypervisorVersion: &version, HostIP: "10.0.0.1",
		SupportedInstances: [][]string{{"x86_64", "kvm", "hvm"}},
		CPUInfo: map[string]any{
			"arch": "x86_64", "features": []any{"aes", "avx2"}, "maxphysaddr": map[string]any{"mode": "emulate", "bits": json.Number("46")},
			"ratio": json.Number("3.0"), "nothing": nil, "flag": true,
		},
		Stats: map[string]any{
			"unscoped": "7", "uuid": "stat", "hypervisor_hostname": "from stats", "json": `{"a": {"b": 3.0, "c": "{\"d\": [1, \"x\"]}"}}`,
			"nothing": nil,
		},
		Instances: map[string]scheduler.Instance{"i1": {}},
	}
}

func TestComputeCapabilities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, requirement, want string }{
		{"capabilities:cpu_info:arch", "x86_64", ""},
		{"capabilities:cpu_info:arch", "s== x86_64", ""},
		{"capabilities:cpu_info:arch", "aarch64", "extra spec capabilities:cpu_info:arch asks for aarch64, the host has x86_64"},
		{"capabilities:cpu_info:arch", ">= 4", raises},
		{"capabilities:cpu_info:features", "<in> av", ""},
		{"capabilities:cpu_info:features", "<in> ',", ""},
		{"capabilities:cpu_info:features", "<all-in> aes avx2", ""},
		{"capabilities:cpu_info:features", "<all-in> aes sse", "extra spec capabilities:cpu_info:features asks for <all-in> aes sse, the host has ['aes', 'avx2']"},
		{"capabilities:cpu_info:ratio", "3.0", ""},
		{"capabilities:cpu_info:ratio", "3", "extra spec capabilities:cpu_info:ratio asks for 3, the host has 3.0"},
		{"capabilities:cpu_info:flag", "True", ""},
		{"capabilities:cpu_info:flag", "== 1", raises},
		{"capabilities:cpu_info:maxphysaddr", "<in> 'bits': 46", ""},
		{"capabilities:cpu_info:maxphysaddr:bits", "<= 46", ""},
		{"capabilities:cpu_info:nothing", "None", "extra spec capabilities:cpu_info:nothing asks for None, the host does not tell"},
		{"capabilities:cpu_info:arch:deeper", "x", "extra spec capabilities:cpu_info:arch:deeper asks for x, the host does not tell"},
		{"hw:maxphysaddr_bits", "46", ""},
		{"hw:maxphysaddr_bits", "47", "extra spec hw:maxphysaddr_bits asks for 47, the host has 46"},
		{"hw:maxphysaddr_bits", "wide", raises},
		{"capabilities:free_ram_mb", ">= 4096", ""},
		{"capabilities:free_ram_mb", "s< 5", ""},
		{"capabilities:cpu_allocation_ratio", "4.0", ""},
		{"capabilities:hypervisor_version", "= 7000000", ""},
		{"capabilities:hypervisor_hostname", "<in> stats", ""},
		{"capabilities:host_ip", "10.0.0.1", ""},
		{"capabilities:limits", "{}", ""},
		{"capabilities:limits:x", "x", "extra spec capabilities:limits:x asks for x, the host does not tell"},
		{"capabilities:free_ram_mb:x", "x", "extra spec capabilities:free_ram_mb:x asks for x, the host does not tell"},
		{"capabilities:supported_instances", "<in> ['x86_64',", ""},
		{"capabilities:instances:i1", "s!= x", ""},
		{"capabilities:instances:i2", "s!= x", "extra spec capabilities:instances:i2 asks for s!= x, the host does not tell"},
		{"capabilities:stats:unscoped", "!= 8", ""},
		{"capabilities:unscoped", "== 7.0", ""},
		{"capabilities:uuid", "u1", ""},
		{"capabilities:stats:json:a:b", "3.0", ""},
		{"capabilities:json:a:c:d", "[1, 'x']", ""},
		{"capabilities:json:a:c:d:e", "x", "extra spec capabilities:json:a:c:d:e asks for x, the host does not tell"},
		{"capabilities:", "x", "extra spec capabilities: asks for x, the host does not tell"},
		{"capabilities:stats:nothing", "x", "extra spec capabilities:stats:nothing asks for x, the host does not tell"},
		{"Capabilities:stats:nothing", "x", ""},
		{"other:stats:nothing", "x", ""},
		{"unscoped", "7", ""},
		{"unscoped", "8", "extra spec unscoped asks for 8, the host has 7"},
		{"nothing", "x", "extra spec nothing asks for x, the host does not tell"},
		{"unknown", "x", ""},
		{"host", "h1", ""},
		{"host", "H1", "extra spec host asks for H1, the host has h1"},
		{"numa_topology", "x", "extra spec numa_topology asks for x, the host does not tell"},
		{"update", "s!= x", ""},
	} {
		s := &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{c.key: c.requirement}}}
		if got := ask(t, "ComputeCapabilitiesFilter", scheduler.Options{}, &scheduler.Request{Spec: s}, capableHost()); got != c.want {
			t.Errorf("%s=%s: %q, want %q", c.key, c.requirement, got, c.want)
		}
	}
}

func TestSeveralCapabilities(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		specs map[string]string
		want  string
	}{
		{map[string]string{"host": "h1", "unscoped": "7", "capabilities:cpu_info:arch": "x86_64"}, ""},
		{map[string]string{"host": "x", "unscoped": "x", "uuid": "x"}, "extra spec host asks for x, the host has h1"},
		{map[string]string{"host": "x", "unscoped": "= x"}, "extra spec host asks for x, the host has h1"},
		{map[string]string{"host": "= x", "unscoped": "x"}, raises},
		{map[string]string{"hw:maxphysaddr_bits": "40", "capabilities:cpu_info:maxphysaddr:bits": "never"}, ""},
	} {
		s := &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: c.specs}}
		for range 20 { // maps have many orders
			if got := ask(t, "ComputeCapabilitiesFilter", scheduler.Options{}, &scheduler.Request{Spec: s}, capableHost()); got != c.want {
				t.Errorf("%v: %q, want %q", c.specs, got, c.want)
			}
		}
	}
}

// TestCapabilitiesInText holds that cpu_info may be a text that holds JSON.
func TestCapabilitiesInText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"arch": "x86_64", "arch": "s390x"}`: "",
		`{"arch": null}`:                      "extra spec capabilities:cpu_info:arch asks for s390x, the host does not tell",
		`"{\"arch\": \"s390x\"}"`:             "extra spec capabilities:cpu_info:arch asks for s390x, the host does not tell",
		`"arch"`:                              "extra spec capabilities:cpu_info:arch asks for s390x, the host does not tell",
		`{arch`:                               "extra spec capabilities:cpu_info:arch asks for s390x, the host does not tell",
		``:                                    "extra spec capabilities:cpu_info:arch asks for s390x, the host does not tell",
	} {
		s := &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{"capabilities:cpu_info:arch": "s390x"}}}
		h := &scheduler.HostState{CPUInfo: text}
		if got := ask(t, "ComputeCapabilitiesFilter", scheduler.Options{}, &scheduler.Request{Spec: s}, h); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestCapabilitiesDoNotAllocate(t *testing.T) {
	f, _ := newComputeCapabilities(nil)
	h := capableHost()
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{
		"capabilities:cpu_info:arch": "<or> aarch64 <or> x86_64", "capabilities:free_ram_mb": ">= 1024",
		"hw:maxphysaddr_bits": "40", "unscoped": "s!= 8", "trait:X": "required", "host": "<in> h",
	}}}}
	for _, info := range []any{h.CPUInfo, `{"arch": "x86_64", "maxphysaddr": {"bits": 40}}`} {
		h.CPUInfo = info
		if n := testing.AllocsPerRun(100, func() {
			if reason, err := f.Pass(r, h); err != nil || !reason.Passes() {
				t.Fatal(reason.String(), err)
			}
		}); n != 0 {
			t.Errorf("%v: %v allocations", info, n)
		}
	}
}

func BenchmarkComputeCapabilities(b *testing.B) {
	f, _ := newComputeCapabilities(nil)
	h := capableHost()
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Flavor: scheduler.Flavor{ExtraSpecs: map[string]string{
		"capabilities:cpu_info:arch": "x86_64", "capabilities:free_ram_mb": ">= 1024", "hw:cpu_policy": "dedicated",
	}}}}
	for b.Loop() {
		if reason, err := f.Pass(r, h); err != nil || !reason.Passes() {
			b.Fatal(reason.String(), err)
		}
	}
}
