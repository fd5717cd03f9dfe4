package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
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
	for _, flag := range []string{"--hosts", "--shapes", "--decisions", "--repeat", "--peer-hosts"} {
		if code, _, stderr := call(t, "bench", "scheduler", flag, "0"); code != 2 || !strings.Contains(stderr, flag) {
			t.Errorf("%s 0: exit %d, %s", flag, code, stderr)
		}
	}
}

// TestBenchSchedulerBeside runs a peer and writes plots.
func TestBenchSchedulerBeside(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	peer := filepath.Join(out, "peer.sh") // as any language would do it
	script := "#!/bin/sh\nfor n in \"$@\"; do echo \"{\\\"peer\\\":\\\"other\\\",\\\"hosts\\\":$n,\\\"decisions\\\":5,\\\"cpu_us\\\":7.5}\"; done\n"
	if err := os.WriteFile(peer, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := call(t, "bench", "scheduler", "--hosts", "20", "--shapes", "1", "--decisions", "10", "--contention",
		"--policy", "spread,best-fit,fgd", "--peer", "sh "+peer, "--peer-hosts", "20", "--out", out, "--format", "json")
	var report bench.SchedulingReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || len(report.Rows) != 6 || len(report.Contention) != 2 {
		t.Fatalf("exit %d, %d rows, %v: %s", code, len(report.Rows), err, stderr)
	}
	if want := []bench.PeerRow{{Peer: "other", Hosts: 20, Decisions: 5, CPU: 7.5}}; !slices.Equal(report.Peers, want) {
		t.Errorf("peers are %v, want %v", report.Peers, want)
	}
	for _, name := range []string{"report.json", "scheduler.svg", "scheduler.png"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	code, _, stderr = call(t, "bench", "scheduler", "--hosts", "2", "--shapes", "1", "--decisions", "1", "--peer", "sh -c exit")
	if code != 1 || !strings.Contains(stderr, "--peer") {
		t.Errorf("a peer without rows: exit %d, %s", code, stderr)
	}
}

func FuzzReadPeer(f *testing.F) {
	f.Add([]byte(`{"peer":"p","hosts":1,"decisions":1,"cpu_us":1}`))
	f.Add([]byte(`{"peer":"","hosts":-1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readPeer(data)
		for _, row := range rows {
			if err != nil || row.Peer == "" || row.Hosts < 1 || row.Decisions < 1 || row.CPU <= 0 {
				t.Errorf("took %+v, %v", row, err)
			}
		}
	})
}
