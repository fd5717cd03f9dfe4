package bench

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// BenchmarkPacking replays every trace with the policies that it is fair to
// compare: make packing. Files of virtual machines are not in the repository;
// KILONOVA_VM_FILE names one, KILONOVA_VM_SHAPE the size of its hosts.
func BenchmarkPacking(b *testing.B) {
	for _, sequence := range trace.NUMASequences() {
		for _, policy := range []Policy{FGD, BestFit, FirstFit} {
			b.Run(fmt.Sprintf("numa-%s/%v", sequence, policy), func(b *testing.B) { packNUMA(b, sequence, policy) })
		}
	}
	for _, policy := range []Policy{FGD, FGDPaper, FirstFit, BestFit, WorstFit, Random} {
		seeds := uint64(3)
		if policy == FGD {
			seeds = 10
		}
		for _, variant := range []string{"default", "multigpu50", "gpushare40", "gpuspec33"} {
			for seed := range seeds {
				b.Run(fmt.Sprintf("openb-%s/%v/seed=%d", variant, policy, 42+seed), func(b *testing.B) { packGPUs(b, variant, policy, 42+seed) })
			}
		}
	}
	if file := os.Getenv("KILONOVA_VM_FILE"); file != "" {
		for _, policy := range []Policy{FGD, BestFit, FirstFit, HostAge, Lifetime} {
			b.Run(fmt.Sprintf("vm/%v", policy), func(b *testing.B) { packVMs(b, file, policy) })
		}
	}
}

// replay runs one replay on an empty engine.
func replay[R any](b *testing.B, run func(context.Context, Engine) (R, error)) (report R) {
	b.Helper()
	for b.Loop() {
		e, err := placement.Open(b.Context(), placement.Config{Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		if report, err = run(b.Context(), e); err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
	return report
}

func packGPUs(b *testing.B, variant string, policy Policy, seed uint64) {
	b.Helper()
	nodes, err := trace.OpenBNodes()
	if err != nil {
		b.Fatal(err)
	}
	tasks, err := trace.OpenBTasks(variant)
	if err != nil {
		b.Fatal(err)
	}
	cfg := GPUConfig{Nodes: nodes, Tasks: tasks, Policy: policy, Seed: seed, Inflation: 1.3, Now: time.Now}
	r := replay(b, func(ctx context.Context, e Engine) (*GPUReport, error) { return ReplayGPU(ctx, e, cfg) })
	b.ReportMetric(100**r.AllocatedGPUAt100, "gpu-%-at-100")
	b.ReportMetric(100*r.AllocatedGPU, "gpu-%-at-130")
	b.ReportMetric(float64(r.Placed), "placed")
	b.ReportMetric(r.ClaimsPerSecond, "claims/s")
}

func packNUMA(b *testing.B, sequence string, policy Policy) {
	b.Helper()
	hosts, err := trace.NUMAHosts()
	if err != nil {
		b.Fatal(err)
	}
	requests, err := trace.NUMARequests(sequence)
	if err != nil {
		b.Fatal(err)
	}
	cfg := NUMAConfig{Hosts: hosts, Requests: requests, Policy: policy, Now: time.Now}
	r := replay(b, func(ctx context.Context, e Engine) (*NUMAReport, error) { return ReplayNUMA(ctx, e, cfg) })
	b.ReportMetric(float64(r.Placed), "placed")
	b.ReportMetric(float64(r.PlacedBound), "bound")
	b.ReportMetric(float64(r.HostsUsed), "hosts")
	b.ReportMetric(r.ClaimsPerSecond, "claims/s")
}

func packVMs(b *testing.B, file string, policy Policy) {
	b.Helper()
	shape, err := ParseHostShape(os.Getenv("KILONOVA_VM_SHAPE"))
	if err != nil {
		b.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	vms, err := trace.ReadVMs(file, in)
	if err != nil {
		b.Fatal(err)
	}
	cfg := VMConfig{VMs: vms, Host: shape, Policy: policy, Now: time.Now}
	r := replay(b, func(ctx context.Context, e Engine) (*VMReport, error) { return ReplayVMs(ctx, e, cfg) })
	b.ReportMetric(float64(r.PeakHosts), "peak-hosts")
	b.ReportMetric(r.Usage, "host-hours/bound")
	b.ReportMetric(100*r.StrandedVCPU, "stranded-vcpu-%")
	b.ReportMetric(r.ClaimsPerSecond, "claims/s")
}
