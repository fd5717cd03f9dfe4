package document

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

const full = `{"hosts": [{"host": "h", "nodename": "n", "cell_uuid": "c", "uuid": "u", "host_ip": "10.0.0.1", "free_ram_mb": -1, "total_usable_ram_mb": 2,
"free_disk_mb": 3, "disk_mb_used": 4, "vcpus_total": 5, "vcpus_used": 6, "num_instances": 7, "num_io_ops": 8, "cpu_allocation_ratio": 1.5,
"ram_allocation_ratio": 2.5, "disk_allocation_ratio": 3.5, "hypervisor_type": "QEMU", "hypervisor_version": 7002000, "hypervisor_hostname": "hh",
"supported_instances": [["x86_64", "kvm", "hvm"]], "cpu_info": {"cores": 3.0}, "stats": {"a": "1", "b": null, "c": 2.0}, "failed_builds": 9,
"aggregates": [{"id": 1, "name": "ag", "uuid": "au", "metadata": {"k": "v", "n": 1.50}}], "instances": ["i1", "i2"],
"instance_images": {"i1": {"os_type": "Linux"}, "gone": {"os_type": "linux"}}, "service": {"disabled": true, "forced_down": true, "seconds_since_report": -0.5},
"metrics": [{"name": "cpu.percent", "value": 0.29}, {"name": "m", "value": -2.9}, {"name": "m", "value": 3.9, "source": "s"}],
"seconds_in_use": 60, "seconds_until_empty": 0.5, "allocation_candidates": [{"mappings": {"": ["u"], "pci0-0": ["r"]}}], "numa_topology": {"cells": []}, "pci_pools": [{"vendor_id": "8086", "product_id": "1", "count": 2}, {"count": 3}]}],
"spec": {"flavor": {"name": "f", "vcpus": 1, "memory_mb": 2, "root_gb": 3, "ephemeral_gb": 4, "swap": 5, "extra_specs": {"a": "b", "t": true}},
"image": {"id": "i", "disk_format": "raw", "properties": {"architecture": "amd64", "unknown": "x"}}, "project_id": "p", "user_id": "us", "availability_zone": "z",
"scheduler_hints": {"a": ["b", "c"], "d": "e", "f": null, "g": []}, "instance_group": {"uuid": "g", "policy": "affinity", "rules": {"max_server_per_host": "2"}, "hosts": ["h"], "members": ["i1"]},
"ignore_hosts": ["x"], "force_hosts": ["y"], "force_nodes": ["z"], "requested_destination": {"host": "h", "node": "n", "cell_uuid": "c", "allow_cross_cell_move": true},
"instance_uuids": ["1", "2"], "network_metadata": {"physnets": ["a", "b"], "tunneled": true},
"pci_requests": [{"requester_id": "p", "numa_policy": "required", "spec": [{"physical_network": "a", "trusted": true}, {"physical_network": null}]}, {"count": 0}]}, "config": {"scheduler.max_attempts": 2, "pci.alias": ["{}"]}, "seed": 7}`

func TestRead(t *testing.T) {
	t.Parallel()
	version, two, host := int64(7002000), int64(2), "h"
	want := &Document{
		Hosts: []*scheduler.HostState{{
			Host: "h", Node: "n", Cell: "c", UUID: "u", HostIP: "10.0.0.1", FreeRAMMiB: -1, TotalRAMMiB: 2, FreeDiskMiB: 3, DiskUsedMiB: 4,
			VCPUsTotal: 5, VCPUsUsed: 6, NumInstances: 7, NumIOOps: 8, CPUAllocationRatio: 1.5, RAMAllocationRatio: 2.5, DiskAllocationRatio: 3.5,
			HypervisorType: "QEMU", HypervisorVersion: &version, HypervisorHostname: "hh", SupportedInstances: [][]string{{"x86_64", "kvm", "hvm"}},
			CPUInfo: map[string]any{"cores": json.Number("3.0")}, Stats: map[string]any{"a": "1", "b": nil, "c": "2.0"}, FailedBuilds: 9,
			Aggregates: []scheduler.Aggregate{{ID: 1, Name: "ag", UUID: "au", Metadata: map[string]string{"k": "v", "n": "1.50"}}},
			Instances:  map[string]scheduler.Instance{"i1": {Image: map[string]string{"os_type": "linux"}}, "i2": {}},
			Service:    scheduler.Service{Disabled: true, ForcedDown: true, LastReport: Now.Add(time.Second / 2)},
			Metrics:    map[string]int64{"cpu.percent": 28, "m": 3}, FreePCI: 5,
			UsedSince: Now.Add(-time.Minute), EmptyBy: Now.Add(time.Second / 2),
			Candidates:   []scheduler.Candidate{{Mappings: map[string][]string{"": {"u"}, "pci0-0": {"r"}}}},
			NUMATopology: json.RawMessage(`{"cells": []}`), PCIPools: json.RawMessage(`[{"vendor_id": "8086", "product_id": "1", "count": 2}, {"count": 3}]`),
		}},
		Spec: &scheduler.RequestSpec{
			Flavor: scheduler.Flavor{
				Name: "f", VCPUs: 1, MemoryMiB: 2, RootGiB: 3, EphemeralGB: 4, SwapMiB: 5,
				ExtraSpecs: map[string]string{"a": "b", "t": "True"},
			},
			Image:     &scheduler.Image{ID: "i", DiskFormat: "raw", Properties: map[string]string{"hw_architecture": "x86_64"}},
			ProjectID: "p", UserID: "us", AvailabilityZone: "z", Hints: map[string][]string{"a": {"b", "c"}, "d": {"e"}, "g": {}},
			Group:       &scheduler.Group{UUID: "g", Policy: "affinity", MaxServerPerHost: &two, Hosts: []string{"h"}, Members: []string{"i1"}},
			IgnoreHosts: []string{"x"}, ForceHosts: []string{"y"}, ForceNodes: []string{"z"},
			Destination: &scheduler.Destination{Host: &host, Node: "n", Cell: "c", AllowCrossCellMove: true}, Instances: []string{"1", "2"},
			Networks: scheduler.Networks{Physnets: []string{"a", "b"}, Tunneled: true},
			Devices: []scheduler.DeviceRequest{
				{Requester: "p", Count: 1, NUMAPolicy: "required", Specs: []map[string]string{{"physical_network": "a", "trusted": "True"}, {"physical_network": ""}}}, {},
			},
		},
		Config: map[string]any{"scheduler.max_attempts": json.Number("2"), "pci.alias": []any{"{}"}}, Seed: 7,
	}
	got, err := Read([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\n%+v\n%+v\nwant %+v\n%+v\n%+v", got, got.Hosts[0], got.Spec, want, want.Hosts[0], want.Spec)
	}
}

func TestAbsent(t *testing.T) {
	t.Parallel()
	nulls := `"hosts": [{"host": "h", "nodename": null, "service": null, "stats": null, "metrics": null, "pci_pools": null, "cpu_info": null}], "config": null, "seed": null`
	for _, text := range []string{`{"hosts": [{"host": "h"}], "spec": {}}`, `{` + nulls + `, "spec": {"instance_group": null, "instance_uuids": null}}`} {
		d, err := Read([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		h := d.Hosts[0]
		if h.Node != "h" || h.Cell != "" || h.CPUAllocationRatio != 4 || h.RAMAllocationRatio != 1 || h.HypervisorVersion != nil ||
			!h.Service.LastReport.Equal(Now) || !reflect.DeepEqual(h.CPUInfo, map[string]any{}) {
			t.Errorf("%s: %+v", text, h)
		}
		if s := d.Spec; s.Image == nil || s.Group != nil || len(s.Instances) != 1 || s.Hints != nil || s.Destination != nil {
			t.Errorf("%s: %+v", text, s)
		}
	}
	d, err := Read([]byte(`{"spec": {"image": null}}`))
	if err != nil || d.Spec.Image != nil || d.Hosts != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                "unexpected end of JSON input",
		`{"spec": {}`:     "the document is no JSON, at byte 11",
		`{"spec": {}} {}`: "the document is no JSON, at byte 14",
		`[]`:              "the document is [], allowed is: an object",
		`{}`:              "spec is absent, allowed is: an object",
		`{"spec": {"pci_requests": [{"alias_name": "a"}]}}`:                                                           `spec.pci_requests[0].alias_name is "a", allowed is: no such key; known are requester_id, count, spec, numa_policy`,
		`{"spec": {"pci_requests": [{"spec": [{"a": ""}]}]}}`:                                                         `spec.pci_requests[0].spec[0].a is "", allowed is: a text, or null for devices without it`,
		`{"spec": {"network_metadata": {"physnet": []}}}`:                                                             "spec.network_metadata.physnet is [], allowed is: no such key; known are physnets, tunneled",
		`{"spec": {}, "x": 1}`:                                                                                        "x is 1, allowed is: no such key; known are hosts, spec",
		`{"spec": {"flavr":1}}`:                                                                                       "spec.flavr is 1, allowed is: no such key; known are flavor,",
		`{"spec": {}, "hosts": {}}`:                                                                                   "hosts is {}, allowed is: a list",
		`{"spec": {}, "hosts": [{"host": "a"}, {"host": "b", "free_ram_mb": "4"}]}`:                                   `hosts[1].free_ram_mb is "4", allowed is: an integer`,
		`{"spec": {}, "hosts": [{"host": "a", "free_ram_mb": 1.5}]}`:                                                  `hosts[0].free_ram_mb is 1.5, allowed is: an integer`,
		`{"spec": {}, "hosts": [{"host": "a", "free_ram": 1}]}`:                                                       "hosts[0].free_ram is 1, allowed is: no such key",
		`{"spec": {}, "hosts": [{"Host": "a"}]}`:                                                                      `hosts[0].host is "", allowed is: a name`,
		`{"spec": {}, "hosts": ["a"]}`:                                                                                `hosts[0] is "a", allowed is: an object`,
		`{"spec": {}, "hosts": [{"host": "a", "cpu_info": 1}]}`:                                                       "hosts[0].cpu_info is 1, allowed is: an object, or a text that holds one",
		`{"spec": {}, "hosts": [{"host": "a", "instances": [1]}]}`:                                                    "hosts[0].instances[0] is 1, allowed is: a text",
		`{"spec": {}, "hosts": [{"host": "a", "metrics": [{"name": "m"}]}]}`:                                          "hosts[0].metrics[0].value is absent, allowed is: a number",
		`{"spec": {}, "hosts": [{"host": "a", "service": {"up": true}}]}`:                                             "hosts[0].service.up is true, allowed is: no such key",
		`{"spec": {}, "hosts": [{"host": "a", "aggregates": [{"metadata": {"k": {}}}]}]}`:                             "hosts[0].aggregates[0].metadata.k is {}, allowed is: a text",
		`{"spec": {}, "hosts": [{"host": "a", "instances": ["i"], "instance_images": {"i": {"hw_cpu_cores": "x"}}}]}`: `hosts[0].instance_images.i.hw_cpu_cores is "x", allowed is: an integer`,
		`{"spec": {"flavor": {"vcpus": true}}}`:                                                                       "spec.flavor.vcpus is true, allowed is: an integer",
		`{"spec": {"image": {"properties": {"architecture": "z80"}}}}`:                                                `spec.image.properties.architecture is "z80", allowed is: alpha,`,
		`{"spec": {"instance_uuids": []}}`:                                                                            "spec.instance_uuids is [], allowed is: one or more texts",
		`{"spec": {"scheduler_hints": {"a": {"b": 1}}}}`:                                                              `spec.scheduler_hints.a is {"b": 1}, allowed is: a text`,
		`{"spec": {"instance_group": {"rules": {"max_server_per_host": "x"}}}}`:                                       `spec.instance_group.rules.max_server_per_host is "x", allowed is: an integer`,
		`{"spec": {}, "config": {"a.b": {}}}`:                                                                         "config.a.b is {}, allowed is: a text, a number,",
		`{"spec": {}, "config": {"a.b": [null]}}`:                                                                     "config.a.b is [null], allowed is: a text, a number,",
		`{"spec": {}, "seed": -1}`:                                                                                    "seed is -1, allowed is: an integer of 0 or more",
		`{"spec": {}, "hosts": "` + strings.Repeat("é", 60) + `"}`:                                                    `hosts is "` + strings.Repeat("é", 29) + "…, allowed is: a list",
	} {
		if _, err := Read([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %s", text, err, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	reason := scheduler.Reason{Why: "too small"}
	rejected := []scheduler.Rejection{{Host: "b", Node: "1", Reason: reason}, {Host: "b", Node: "2", Reason: scheduler.Reason{Why: "late"}}}
	why := &scheduler.Explanation{
		Filters: []scheduler.FilterResult{{Name: "F", Before: 3, After: 1, Rejected: rejected}},
		Weights: []scheduler.HostWeight{{Host: "a", Node: "a", Total: -0.5, Weights: []scheduler.Weight{{Weigher: "W", Raw: 4096, Normalized: 0.25, Multiplier: -2, Weighted: -0.5}}}},
	}
	alternate := &scheduler.HostState{Host: "c"}
	selected := []scheduler.Selection{{Instance: "1", Host: &scheduler.HostState{Host: "a", Node: "a"}, Alternates: []*scheduler.HostState{alternate}}}
	none := &scheduler.NoValidHostError{Hosts: 3, Last: why.Filters[0]}
	for _, c := range []struct {
		answer *Answer
		want   string
	}{
		{
			Of(selected, why, nil), `{"selected":[{"instance":"1","host":"a","nodename":"a","alternates":["c"]}],` +
				`"filters":[{"name":"F","before":3,"after":1,"rejected":{"b":"too small"}}],` +
				`"weights":[{"host":"a","nodename":"a","total":-0.5,"weighers":{"W":{"raw":4096,"normalized":0.25,"multiplier":-2,"weighted":-0.5}}}],"error":null}`,
		},
		{
			Of(nil, &scheduler.Explanation{Demands: scheduler.FilterResult{Name: "the request", Before: 1}}, none),
			`{"selected":[],"demands":{"name":"the request","before":1,"after":0,"rejected":{}},"filters":[],"weights":[],"error":{"code":"NoValidHost",` +
				`"message":"no valid host was found: F removes the last 3 of 3 hosts: too small (1), late (1); nearest is b: too small",` +
				`"nearest":[{"host":"b","reason":"too small"},{"host":"b","reason":"late"}]}}`,
		},
		{
			Of(nil, &scheduler.Explanation{}, scheduler.ErrCannotEvaluate),
			`{"selected":[],"filters":[],"weights":[],"error":{"code":"SchedulerError","message":"cannot be evaluated","nearest":[]}}`,
		},
		{Refused(errors.New("no")), `{"selected":[],"filters":[],"weights":[],"error":{"code":"InvalidInput","message":"no","nearest":[]}}`},
	} {
		if got, err := json.Marshal(c.answer); err != nil || string(got) != c.want {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	inf := math.Inf(1)
	for n, want := range map[Number]string{0: "0", 1.5: "1.5", 1e21: "1e+21", Number(inf): `"inf"`, Number(-inf): `"-inf"`} {
		if got, err := json.Marshal(n); err != nil || string(got) != want {
			t.Errorf("%v: %s, %v; want %s", float64(n), got, err, want)
		}
	}
	if got, err := json.Marshal(Number(inf - inf)); err != nil || string(got) != `"nan"` {
		t.Errorf("%s, %v", got, err)
	}
}

// FuzzRead looks for texts that make Read fall over, or that it takes although
// they are no JSON.
func FuzzRead(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"spec": {"scheduler_hints": {"a": [[]]}}, "hosts": [{"host": "a", "stats": []}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := Read(text)
		if err != nil {
			return
		}
		if !json.Valid(text) || d.Spec == nil || len(d.Spec.Instances) == 0 {
			t.Errorf("%q is read as %+v", text, d)
		}
		for _, h := range d.Hosts {
			if h.Host == "" {
				t.Errorf("%q has a host without a name", text)
			}
		}
	})
}
