package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench/scale"
)

func TestBenchScale(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	args := []string{"bench", "scale", "--engines", "1,2", "--hosts", "50", "--in-flight", "8", "--rate", "20", "--seconds", "1", "--held-to=false", "--format"}
	code, stdout, stderr := call(t, append(args, "json", "--out", out)...)
	var report, kept scale.Report
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || len(report.Rows) != 4 || report.Rows[1].Staleness.P99 <= 0 {
		t.Errorf("exit %d, %+v, %v: %s", code, report.Rows, err, stderr)
	}
	data, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err == nil {
		err = json.Unmarshal(data, &kept)
	}
	if err != nil || kept.Rows[3] != report.Rows[3] {
		t.Errorf("kept %+v, %v", kept, err)
	}
	for _, name := range []string{"throughput", "conflicts", "staleness"} {
		for ext, magic := range map[string]string{".svg": "<?xml", ".png": "\x89PNG"} {
			if data, err := os.ReadFile(filepath.Join(out, "scale-"+name+ext)); err != nil || !strings.HasPrefix(string(data), magic) {
				t.Errorf("%s%s: %v", name, ext, err)
			}
		}
	}
	if code, stdout, _ := call(t, append(args, "text")...); code != 0 || !strings.Contains(stdout, "20 claims/s, 50 hosts, 2 engines") {
		t.Errorf("exit %d: %s", code, stdout)
	}
	for _, bad := range []string{"--engines=0", "--hosts=0", "--in-flight=0", "--rate=0", "--batches=0", "--seconds=0", "--capacity=-1", "--records=1", "--format=xml"} {
		flag, _, _ := strings.Cut(bad, "=")
		if code, _, stderr := call(t, "bench", "scale", bad); code != 2 || !strings.Contains(stderr, flag) {
			t.Errorf("%s: exit %d, %s", bad, code, stderr)
		}
	}
}
