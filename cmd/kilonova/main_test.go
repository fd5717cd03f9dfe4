package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/store/badger"
)

// call runs the command line and returns its exit code and outputs.
func call(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		want string // on stderr
	}{
		{"", 2, "kilonova needs a subcommand"},
		{"nova", 2, `unknown command "nova"`},
		{"bench", 2, "kilonova bench needs a subcommand"},
		{"bench trace --colour red", 2, "unknown flag: --colour"},
		{"bench trace --policy best", 2, `policy is "best", allowed are: first-fit, best-fit, worst-fit, random, fgd, host-age, lifetime, fgd-paper`},
		{"bench trace --variant big", 2, `--variant is "big", allowed are: default, gpuspec33,`},
		{"bench trace --store etcd", 2, `--store is "etcd", allowed are: memory, badger`},
		{"bench trace --format xml", 2, `--format is "xml", allowed are: table, text, json`},
		{"bench trace --inflation 0", 2, "--inflation is 0, allowed is: above 0 and at most 100"},
		{"bench trace --seed x", 2, `invalid argument "x" for "--seed"`},
		{"bench trace --trace vm", 2, "--trace vm needs --vm-file"},
		{"bench trace --trace vm --vm-file f", 2, `host shape is "", allowed is: VCPU:GIB`},
		{"bench trace --trace vm --vm-file f --host-shape 1:1 --nodes n", 2, "--nodes does not go with --trace vm"},
		{"bench trace --trace numa --variant default", 2, `--variant is "default", allowed are: C1, C2,`},
		{"bench trace --trace numa --policy fgd-paper", 2, "--policy fgd-paper does not go with --trace numa"},
		{"bench trace --trace numa --inflation 1.3", 2, "--inflation does not go with --trace numa"},
		{"bench trace --host-shape 1:1", 2, "--host-shape does not go with --trace openb"},
		{"bench trace --trace f --variant default", 2, "--variant does not go with --trace f"},
		{"bench trace --trace /no/such/file", 1, "/no/such/file: no such file"},
		{"manage placement verify", 2, "at least one of the flags in the group [state-dir connection] is required"},
		{"manage placement verify --connection memory://", 2, `--connection is "memory://", allowed are: badger:///DIR, etcd://`},
		{"manage placement verify --state-dir /no/such/dir", 1, `--state-dir is "/no/such/dir", allowed is:`},
		{"schedule", 2, "at least one of the flags in the group [input batch] is required"},
		{"schedule --batch --explain", 2, "none of the others can be"},
		{"schedule --input x --format xml", 2, `--format is "xml", allowed are: table, text, json`},
		{"schedule --input /no/such/file", 1, "/no/such/file: no such file"},
		{"version more", 2, "unknown command"},
	} {
		code, stdout, stderr := call(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want exit %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
}

func TestHelpOfEveryCommand(t *testing.T) {
	t.Parallel()
	for _, cmd := range []string{"", "bench", "bench trace", "manage", "manage placement", "manage placement verify", "manage api_db sync", "manage db version", "manage cell_v2", "manage cell_v2 list_cells", "schedule", "version"} {
		code, stdout, stderr := call(t, append(strings.Fields(cmd), "--help")...)
		if code != 0 || !strings.Contains(stdout, "Usage:") || stderr != "" {
			t.Errorf("%s --help: exit %d, stdout %q, stderr %q", cmd, code, stdout, stderr)
		}
	}
	if code, stdout, _ := call(t, "version"); code != 0 || !strings.HasPrefix(stdout, "kilonova ") {
		t.Errorf("version: exit %d, %q", code, stdout)
	}
}

// files writes a small cluster, tasks and virtual machines.
func files(t *testing.T) (nodes, tasks, vms string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("nodes.csv", "sn,cpu_milli,memory_mib,gpu,model\na,4000,4096,0,\nb,8000,8192,2,T4\n"),
		write("tasks.csv", "name,cpu_milli,memory_mib,num_gpu,gpu_milli\nx,1000,1024,1,500\ny,1000,1024,2,1000\nz,1000,1024,1,1000\n"),
		write("vms.csv", "vmid,cpu,mem,at,lt\n1,3,4,0,7200\n2,2,4,0,3600\n")
}

func keys(t *testing.T, document string) []string {
	t.Helper()
	var m map[string]any
	d := json.NewDecoder(strings.NewReader(document))
	if err := d.Decode(&m); err != nil || d.More() {
		t.Fatalf("not one JSON document (%v): %s", err, document)
	}
	var names []string
	for k := range m {
		names = append(names, k)
	}
	return names
}

func TestTraceOfFiles(t *testing.T) {
	t.Parallel()
	nodes, tasks, _ := files(t)
	out := filepath.Join(t.TempDir(), "out")
	code, stdout, stderr := call(t, "bench", "trace", "--trace", tasks, "--nodes", nodes, "--format", "json", "--out", out)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, key := range []string{
		"trace", "variant", "policy", "seed", "store", "nodes", "tasks", "placed", "refused", "requested_gpu_share",
		"allocated_gpu_share", "allocated_cpu_share", "allocated_memory_share", "allocated_gpu_share_at_100",
		"seconds", "claims_per_second", "latency_us",
	} {
		if !slices.Contains(keys(t, stdout), key) {
			t.Errorf("key %s is missing in %s", key, stdout)
		}
	}
	for _, want := range []string{`"placed": 2`, `"refused": 1`, `"allocated_gpu_share": 0.75`, `"requested_gpu_share": 1.75`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s is missing in %s", want, stdout)
		}
	}
	curve, err := os.ReadFile(filepath.Join(out, "curve.csv"))
	if err != nil || !strings.HasSuffix(string(curve), "\n1.750000,0.750000,0.166667,0.166667\n") {
		t.Errorf("curve.csv: %v, %s", err, curve)
	}
	for _, name := range []string{"report.json", "curve.svg", "curve.png"} {
		if _, err := os.Stat(filepath.Join(out, name)); err != nil || !strings.Contains(stderr, name) {
			t.Errorf("%s: %v; stderr %q", name, err, stderr)
		}
	}
}

func TestTraceOfVMs(t *testing.T) {
	t.Parallel()
	_, _, vms := files(t)
	args := []string{"bench", "trace", "--trace", "vm", "--vm-file", vms, "--host-shape", "4:8", "--policy", "best-fit", "--format"}
	code, stdout, stderr := call(t, append(args, "json")...)
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, key := range []string{
		"vms", "peak_hosts", "peak_bound", "peak_ratio", "host_hours", "host_hours_bound", "usage", "stranded_vcpu_share", "seconds", "claims_per_second",
	} {
		if !slices.Contains(keys(t, stdout), key) {
			t.Errorf("key %s is missing in %s", key, stdout)
		}
	}
	for _, want := range []string{`"peak_hosts": 2`, `"peak_bound": 2`, `"host_hours": 3`, `"stranded_vcpu_share": 0.3125`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s is missing in %s", want, stdout)
		}
	}
	if code, stdout, _ := call(t, append(args, "text")...); code != 0 || !strings.Contains(stdout, "peak hosts: 2, at least 2 needed, ratio 1.0000\n") {
		t.Errorf("text: exit %d, %s", code, stdout)
	}
}

func TestDurableTraceAndVerify(t *testing.T) {
	t.Parallel()
	nodes, tasks, _ := files(t)
	out := t.TempDir()
	args := []string{"bench", "trace", "--trace", tasks, "--nodes", nodes, "--store", "badger", "--out", out}
	if code, _, stderr := call(t, args...); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	state := filepath.Join(out, "state")
	code, stdout, stderr := call(t, "manage", "placement", "verify", "--state-dir", state, "--format", "json")
	if code != 0 || !strings.Contains(stdout, `"violations": []`) {
		t.Errorf("verify: exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	held, err := badger.Open(badger.Config{Dir: database{dir: state}.path()})
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = call(t, "manage", "placement", "verify", "--state-dir", state)
	if code != 1 || stdout != "" || !strings.Contains(stderr, "in use by another process") {
		t.Errorf("verify of an open database: exit %d, stdout %s, stderr %s", code, stdout, stderr)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := call(t, args...); code != 1 || !strings.Contains(stderr, "without an earlier state") {
		t.Errorf("second trace into one directory: exit %d, stderr %s", code, stderr)
	}
	if code, _, stderr := call(t, "bench", "trace", "--trace", tasks, "--nodes", nodes, "--store", "badger"); code != 0 {
		t.Errorf("in a temporary directory: exit %d, stderr %s", code, stderr)
	}
}

func TestTraceOfNUMA(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := call(t, "bench", "trace", "--trace", "numa", "--variant", "C3", "--policy", "first-fit", "--format", "json")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	for _, want := range []string{`"variant": "C3"`, `"requests": 4998`, `"placed": 4504`, `"placed_bound": 4723`, `"hosts_used": 1097`} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%s is missing in %s", want, stdout)
		}
	}
}
