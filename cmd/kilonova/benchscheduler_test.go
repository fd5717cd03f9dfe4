package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench"
)

func TestBenchScheduler(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := call(t, "bench", "scheduler", "--hosts", "20", "--shapes", "1,2", "--decisions", "10", "--format", "json")
	var report bench.SchedulingReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || len(report.Rows) != 4 {
		t.Errorf("exit %d, %d rows, %v: %s", code, len(report.Rows), err, stderr)
	}
	for _, flag := range []string{"--hosts", "--shapes", "--decisions"} {
		if code, _, stderr := call(t, "bench", "scheduler", flag, "0"); code != 2 || !strings.Contains(stderr, flag) {
			t.Errorf("%s 0: exit %d, %s", flag, code, stderr)
		}
	}
}
