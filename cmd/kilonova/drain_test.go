package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler/drain"
)

// TestDrainExample holds the example, and its copy in docs/scheduling.md, to
// what the command says.
func TestDrainExample(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("../../examples/drain/budget-of-three.txt")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("../../docs/scheduling.md")
	if err != nil {
		t.Fatal(err)
	}
	code, got, stderr := call(t, "plan", "drain", "--input", "../../examples/drain/budget-of-three.json", "--moves", "3")
	if code != 0 || got != string(want) || !strings.Contains(string(doc), "--moves 3\n"+got) {
		t.Errorf("exit %d: got\n%s\nwant, also in docs/scheduling.md\n%s%s", code, got, want, stderr)
	}
}

func TestPlanDrain(t *testing.T) {
	t.Parallel()
	const (
		free = `"vcpus_total": 8, "free_ram_mb": 4096, "total_usable_ram_mb": 8192, "free_disk_mb": 9000`
		in   = `{"flavor": {"vcpus": 1, "memory_mb": 512}}`
		ab   = `{"hosts": [{"host": "a", ` + free + `, "instances": ["1"]}, {"host": "b", ` + free + `, "instances": ["2"]}], "instances": {"1": ` + in + `, "2": ` + in + `}`
	)
	for _, c := range []struct {
		name, document, moves string
		code                  int
		want                  string // of stdout or stderr
	}{
		{"one of two", ab + `}`, "1", 0, `"freed":["a"]`},
		{"no moves", ab + `}`, "0", 0, "needs 1 moves, 0 are left"},
		{"fewer than none", ab + `}`, "-1", 2, "field Budget is -1"},
		{"apart", ab + `, "instance_groups": [{"uuid": "g", "policy": "anti-affinity", "members": ["1", "2"]}]}`, "1", 0, "b is full of group g"},
		{"soft", ab + `, "instance_groups": [{"uuid": "g", "policy": "soft-anti-affinity", "members": ["1", "2"]}]}`, "1", 0, `"freed":["a"]`},
		{"disabled", strings.Replace(ab, `{"host": "b",`, `{"host": "b", "service": {"disabled": true},`, 1) + `}`, "1", 0, `"freed":["b"]`},
		{"two groups", ab + `, "instance_groups": [{"policy": "affinity", "members": ["1"]}, {"policy": "affinity", "members": ["1"]}]}`, "1", 2, "instance_groups[1].members has 1"},
		{"policy", ab + `, "instance_groups": [{"policy": "near"}]}`, "1", 2, `instance_groups[0].policy is "near"`},
		{"unknown instance", `{"hosts": [{"host": "a", "instances": ["1"]}]}`, "1", 2, "an entry for each instance of host a"},
		{"instances not listed", `{"hosts": [{"host": "a", "num_instances": 2}]}`, "1", 2, "all instances of a host"},
		{"no flavor", `{"instances": {"1": {}}}`, "1", 2, "instances.1.flavor"},
		{"no JSON", `{`, "1", 2, "no JSON"},
	} {
		file := filepath.Join(t.TempDir(), "in.json")
		if err := os.WriteFile(file, []byte(c.document), 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := call(t, "plan", "drain", "--input", file, "--moves", c.moves, "--format", "json")
		if code == 0 {
			var plan drain.Plan
			if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			compact, err := json.Marshal(&plan)
			if err != nil {
				t.Fatal(err)
			}
			stdout = string(compact)
		}
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d and %q: %s%s", c.name, code, c.code, c.want, stdout, stderr)
		}
	}
	if code, _, stderr := call(t, "plan", "drain", "--input", "/nowhere", "--moves", "1"); code != 1 || !strings.Contains(stderr, "/nowhere") {
		t.Errorf("no file: exit %d, %s", code, stderr)
	}
}
