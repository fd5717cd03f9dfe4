package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler/document"
)

func writeTemp(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const twoHosts = `{"hosts": [{"host": "small", "free_ram_mb": 1024}, {"host": "large", "free_ram_mb": 4096}, {"host": "off", "service": {"disabled": true}}],
"spec": {"flavor": {"memory_mb": 512}, "instance_uuids": ["i"]CONFIG`

func twoHostsWith(config string) string {
	config = `}, "config": {"filter_scheduler.enabled_filters": ["ComputeFilter"]` + config + "}}"
	return strings.ReplaceAll(strings.Replace(twoHosts, "CONFIG", config, 1), "\n", " ")
}

// pinnedWith asks for two instances with pinned CPUs and a device each.
func pinnedWith(vcpus, cell string) string {
	text := `{"hosts": [
{"host": "full", "numa_topology": {"cells": [{"id": 0, "memory": 4096, "pcpuset": [0, 1], "pinned_cpus": [1], "siblings": [[0], [1]], "mempages": [{"size_kb": 4, "total": 1048576}]CELL}]}},
{"host": "roomy", "numa_topology": {"cells": [{"id": 0, "memory": 4096, "pcpuset": [0, 1, 2, 3], "siblings": [[0, 2], [1, 3]], "mempages": [{"size_kb": 4, "total": 1048576}]}]},
 "pci_pools": [{"vendor_id": "8086", "product_id": "1520", "numa_node": 0, "count": 2}]}],
"spec": {"flavor": {"memory_mb": 512, "vcpus": 2, "extra_specs": {"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "nic:1", "hw:cpu_realtime": "no", "resources:X": "VCPUS"}}, "image": {}, "instance_uuids": ["i", "j"]},
"config": {"filter_scheduler.enabled_filters": ["NUMATopologyFilter", "PciPassthroughFilter"], "pci.alias": ["{\"name\": \"nic\", \"vendor_id\": \"8086\", \"product_id\": \"1520\"}"]}}`
	text = strings.Replace(text, `"vcpus": 2`, `"vcpus": `+vcpus[:1], 1)
	return strings.NewReplacer("VCPUS", vcpus, "CELL", cell).Replace(text)
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	conf := writeTemp(t, "nova.conf", "[filter_scheduler]\nram_weight_multiplier = -1\nenabled_filters = NoFilter\ntrack_instance_changes = false\nwhat = 1\n[scheduler]\nmax_attempts = 1\n")
	wrong := writeTemp(t, "wrong.conf", "[filter_scheduler]\nhost_subset_size = x\n")
	none := writeTemp(t, "none.json", `{"hosts": [{"host": "off", "service": {"disabled": true}}], "spec": {}, "config": {"filter_scheduler.enabled_filters": "ComputeFilter"}}`)
	for _, c := range []struct {
		name     string
		document string
		args     []string
		code     int
		stdout   []string
		stderr   string
	}{
		{"table", twoHostsWith(""), nil, 0, []string{"instance i  large, alternates: small\n"}, ""},
		{"explained", twoHostsWith(""), []string{"--explain"}, 0, []string{"2 of 3 hosts are left", "off", "service is disabled", "RAMWeigher", "1 = 1 x 1 (raw 4096)"}, ""},
		{"json", twoHostsWith(""), []string{"--format", "json"}, 0, []string{`"alternates": [`, `"off": "service is disabled"`, `"error": null`}, ""},
		{"nova.conf below the document", twoHostsWith(""), []string{"--config-file", conf}, 0, []string{"small, alternates: none"}, "unknown option: "},
		{"the document counts", twoHostsWith(`, "scheduler.max_attempts": 2`), []string{"--config-file", conf}, 0, []string{"small, alternates: large"}, ""},
		{"an unknown filter", twoHostsWith(`, "filter_scheduler.weight_classes": "Heavy"`), nil, 2, nil, `weight_classes has "Heavy", which is no weigher`},
		{"an unknown option", twoHostsWith(`, "filter_scheduler.enabled_filter": []`), nil, 2, nil, "config has options that nobody knows: config: [filter_scheduler] enabled_filter"},
		{"a wrong option", twoHostsWith(`, "scheduler.max_attempts": 0`), nil, 2, nil, `[scheduler] max_attempts is "0", allowed is: an integer of 1 or more`},
		{"a wrong nova.conf", twoHostsWith(""), []string{"--config-file", wrong}, 2, nil, `wrong.conf:2: [filter_scheduler] host_subset_size is "x"`},
		{"no nova.conf", twoHostsWith(""), []string{"--config-file", "/no/such/file"}, 1, nil, "no such file"},
		{"pinned CPUs and a device", pinnedWith("2", ""), nil, 0, []string{"instance i  roomy", "instance j  roomy"}, ""},
		{"too many pinned CPUs", pinnedWith("3", ""), []string{"--explain"}, 1, []string{"cell has 1 free CPUs for pinning, the instance needs 3"}, "no valid host"},
		{"a wrong topology", pinnedWith("2", `, "pcpus": []`), nil, 2, nil, `host full: numa_topology.cells[0]: a member is "pcpus"`},
		{"a wrong extra spec", pinnedWith("2\", \"hw:mem_page_size\": \"huge", ""), nil, 2, nil, `hw:mem_page_size is "huge", allowed is: small, large, any`},
		{"no JSON", `{`, nil, 2, nil, "unexpected end of JSON input"},
		{"a wrong key", `{"spec": {"flavour": {}}}`, nil, 2, nil, "spec.flavour is {}, allowed is: no such key"},
	} {
		args := append([]string{"schedule", "--input", writeTemp(t, "in.json", c.document)}, c.args...)
		code, stdout, stderr := call(t, args...)
		if code != c.code || !strings.Contains(stderr, c.stderr) || (c.stdout == nil) != (stdout == "") {
			t.Errorf("%s: exit %d, stdout %s, stderr %s", c.name, code, stdout, stderr)
		}
		for _, want := range c.stdout {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q is missing in %s", c.name, want, stdout)
			}
		}
	}
	code, stdout, stderr := call(t, "schedule", "--input", none, "--format", "json")
	var answer document.Answer
	if err := json.Unmarshal([]byte(stdout), &answer); err != nil || code != 1 || answer.Error == nil || answer.Error.Code != document.NoValidHost ||
		len(answer.Error.Nearest) != 1 || len(answer.Selected) != 0 || !strings.Contains(stderr, "no valid host was found: ComputeFilter removes the last 1 of 1 hosts") {
		t.Errorf("no host: exit %d, %v, stdout %s, stderr %s", code, err, stdout, stderr)
	}
	if code, stdout, _ := call(t, "schedule", "--input", none); code != 1 || !strings.Contains(stdout, "nearest off") {
		t.Errorf("no host, for people: exit %d, %s", code, stdout)
	}
}

func TestScheduleBatch(t *testing.T) {
	t.Parallel()
	lines := []string{
		twoHostsWith(""), "", "nonsense", twoHostsWith(`, "filter_scheduler.ram_weight_multiplier": -1`), twoHostsWith(`, "filter_scheduler.weight_classes": "x"`),
		`{"spec": {}, "config": {"filter_scheduler.enabled_filters": []}}`, twoHostsWith(""),
	}
	want := []string{"large", document.InvalidInput, document.InvalidInput, "small", document.InvalidInput, document.NoValidHost, "large"}
	for _, end := range []string{"", "\n"} {
		code, stdout, stderr := call(t, "schedule", "--batch", "--input", writeTemp(t, "in", strings.Join(lines, "\n")+end))
		got := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
		if code != 0 || stderr != "" || len(got) != len(want) {
			t.Fatalf("exit %d, %d lines, stderr %s", code, len(got), stderr)
		}
		for i, line := range got {
			var answer document.Answer
			if err := json.Unmarshal([]byte(line), &answer); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
			is := ""
			if answer.Error != nil {
				is = answer.Error.Code
			} else if len(answer.Selected) == 1 {
				is = answer.Selected[0].Host
			}
			if is != want[i] {
				t.Errorf("line %d is %s, want %s: %s", i, is, want[i], line)
			}
		}
	}
}

// TestScheduleBatchLearns asks for 2 vCPUs until the mix is known, and then for
// one, where it fits best for those to come.
func TestScheduleBatchLearns(t *testing.T) {
	t.Parallel()
	ask := func(vcpus string) string {
		return `{"hosts": [{"host": "four", "vcpus_total": 4, "cpu_allocation_ratio": 1}, {"host": "three", "vcpus_total": 3, "cpu_allocation_ratio": 1}], "spec": {"flavor": {"vcpus": ` +
			vcpus + `}, "instance_uuids": ["i"]}, "config": {"filter_scheduler.weight_classes": "FragmentationWeigher", "filter_scheduler.enabled_filters": []}}`
	}
	lines := append(slices.Repeat([]string{ask("2")}, 16), ask("1"))
	code, stdout, stderr := call(t, "schedule", "--batch", "--input", writeTemp(t, "in", strings.Join(lines, "\n")))
	got := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	if code != 0 || len(got) != 17 || !strings.Contains(got[0], `[{"instance":"i","host":"four"`) || !strings.Contains(got[16], `[{"instance":"i","host":"three"`) {
		t.Errorf("exit %d, stderr %s, first %s, last %s", code, stderr, got[0], got[len(got)-1])
	}
	code, _, stderr = call(t, "schedule", "--input", writeTemp(t, "in.json", ask("1")))
	if code != 2 || !strings.Contains(stderr, "request_mix is not set, which FragmentationWeigher needs") {
		t.Errorf("a single document: exit %d, stderr %s", code, stderr)
	}
}
