package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// traceFlags are the flags of bench trace.
type traceFlags struct {
	trace, variant, policy, store, nodes, out, format string
	vmFile, hostShape                                 string
	seed                                              uint64
	inflation                                         float64
	learnMix                                          bool
}

func newTrace() *cobra.Command {
	var f traceFlags
	cmd := &cobra.Command{
		Use:   "trace",
		Short: "Replay a workload trace on the placement engine",
		Long: `Places the tasks of a trace on a cluster, one after the other, and reports how
much of the cluster is used and how fast it went.

  --trace openb     the tasks of a real GPU cluster, part of this binary
  --trace FILE      tasks from a CSV file in the same columns; --nodes FILE for the cluster
  --trace vm        virtual machines that come and go, from --vm-file on hosts of --host-shape
  --trace numa      requests with affinity rules on hosts with two NUMA cells, part of this
                    binary; --variant C1 to C5

Files may be compressed with gzip.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy, err := f.check(cmd)
			if err != nil {
				return err
			}
			return failed(f.replay(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), policy))
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.trace, "trace", "openb", "openb, a file of tasks, vm, or numa")
	fs.StringVar(&f.variant, "variant", "default", "task list of openb: "+strings.Join(trace.Variants(), ", ")+"; sequence of numa: "+strings.Join(trace.NUMASequences(), ", "))
	fs.StringVar(&f.policy, "policy", bench.FirstFit.String(), "choice among candidates: "+strings.Join(bench.Policies(), ", "))
	fs.Uint64Var(&f.seed, "seed", 42, "of the policy random and of --inflation")
	fs.Float64Var(&f.inflation, "inflation", 0, "draw tasks with replacement until the GPUs requested are this share of the cluster's, as 1.3 (default: each task once, in order)")
	fs.BoolVar(&f.learnMix, "learn-mix", false, "fgd and fgd-paper learn the mix of tasks from those seen so far (default: they know the mix of the trace)")
	fs.StringVar(&f.store, "store", "memory", "where claims are kept: memory, badger")
	fs.StringVar(&f.nodes, "nodes", "", "file of nodes (default: the nodes of openb)")
	fs.StringVar(&f.out, "out", "", "directory for report.json, curve.csv, curve.svg, curve.png and the state of badger")
	fs.StringVar(&f.vmFile, "vm-file", "", "file of virtual machines, with --trace vm")
	fs.StringVar(&f.hostShape, "host-shape", "", "size of a host as VCPU:GIB, with --trace vm")
	addFormat(cmd, &f.format)
	return cmd
}

// check refuses wrong values, and flags that the form of the trace does not
// have.
func (f *traceFlags) check(cmd *cobra.Command) (bench.Policy, error) {
	foreign := []string{"vm-file", "host-shape"}
	switch f.trace {
	case "vm":
		foreign = []string{"variant", "inflation", "nodes", "learn-mix"}
	case "numa":
		foreign = append(foreign, "inflation", "nodes", "learn-mix")
		if !cmd.Flags().Changed("variant") {
			f.variant = trace.NUMASequences()[0]
		}
	case "openb":
	default:
		foreign = append(foreign, "variant")
	}
	for _, name := range foreign {
		if cmd.Flags().Changed(name) {
			return 0, fmt.Errorf("--%s does not go with --trace %s", name, f.trace)
		}
	}
	if cmd.Flags().Changed("inflation") && !(f.inflation > 0 && f.inflation <= bench.MaxInflation) {
		return 0, fmt.Errorf("--inflation is %g, allowed is: above 0 and at most %d", f.inflation, bench.MaxInflation)
	}
	if f.trace == "vm" && f.vmFile == "" {
		return 0, errors.New("--trace vm needs --vm-file")
	}
	policy, err := bench.ParsePolicy(f.policy)
	if f.trace == "vm" && err == nil {
		_, err = bench.ParseHostShape(f.hostShape)
	}
	if policy == bench.FGDPaper && (f.trace == "vm" || f.trace == "numa") {
		return 0, fmt.Errorf("--policy %v does not go with --trace %s, which has no GPUs", policy, f.trace)
	}
	variants := trace.Variants()
	if f.trace == "numa" {
		variants = trace.NUMASequences()
	}
	return policy, errors.Join(err,
		checkFormat(f.format),
		oneOf("--store", f.store, []string{"memory", "badger"}),
		oneOf("--variant", f.variant, variants))
}

func (f *traceFlags) replay(ctx context.Context, stdout, stderr io.Writer, policy bench.Policy) (err error) {
	engine, closeAll, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	progress, done := newProgress(stderr, "placing")
	var report interface{ Rows() []bench.Row }
	var curve *bench.GPUReport
	switch f.trace {
	case "vm":
		report, err = f.replayVMs(ctx, engine, policy, progress)
	case "numa":
		report, err = f.replayNUMA(ctx, engine, policy, progress)
	default:
		curve, err = f.replayGPU(ctx, engine, policy, progress)
		report = curve
	}
	done()
	if err != nil {
		return err
	}
	return errors.Join(f.write(stderr, report, curve), show(stdout, f.format, report, report.Rows()))
}

// open makes an empty engine on the chosen store, which lives in the out
// directory or in a temporary one.
func (f *traceFlags) open(ctx context.Context) (*placement.Engine, func() error, error) {
	if f.out != "" {
		if err := os.MkdirAll(f.out, 0o755); err != nil {
			return nil, nil, fmt.Errorf("make --out: %w", err)
		}
	}
	if f.store == "memory" {
		e, err := placement.Open(ctx, placement.Config{Now: time.Now})
		if err != nil {
			return nil, nil, err
		}
		return e, e.Close, nil
	}
	if f.out == "" {
		dir, err := os.MkdirTemp("", "kilonova-bench-")
		if err != nil {
			return nil, nil, fmt.Errorf("make a temporary directory: %w", err)
		}
		e, closeAll, err := database{dir: dir}.open(ctx, placement.Config{})
		if err != nil {
			return nil, nil, errors.Join(err, os.RemoveAll(dir))
		}
		return e, func() error { return errors.Join(closeAll(), os.RemoveAll(dir)) }, nil
	}
	state := filepath.Join(f.out, "state")
	if there, err := (database{dir: state}).there(); err != nil || there {
		return nil, nil, errors.Join(err, fmt.Errorf("--out is %q, allowed is: a directory without an earlier state in its folder state", f.out))
	}
	return database{dir: state}.open(ctx, placement.Config{})
}

func (f *traceFlags) replayGPU(ctx context.Context, e *placement.Engine, policy bench.Policy, progress func(int, int)) (*bench.GPUReport, error) {
	cfg := bench.GPUConfig{
		Trace: f.trace, Variant: f.variant, Store: f.store, Policy: policy, Seed: f.seed, Inflation: f.inflation, LearnMix: f.learnMix,
		Workers: workers, Now: time.Now, Progress: progress,
	}
	var errNodes, errTasks error
	if f.nodes == "" {
		cfg.Nodes, errNodes = trace.OpenBNodes()
	} else {
		cfg.Nodes, errNodes = readFile(f.nodes, trace.ReadNodes)
	}
	if f.trace == "openb" {
		cfg.Tasks, errTasks = trace.OpenBTasks(f.variant)
	} else {
		cfg.Variant = ""
		cfg.Tasks, errTasks = readFile(f.trace, trace.ReadTasks)
	}
	if err := errors.Join(errNodes, errTasks); err != nil {
		return nil, err
	}
	return bench.ReplayGPU(ctx, e, cfg)
}

// workers is how many trees of the cluster are built at once: enough to share
// the syncs of a durable store.
const workers = 64

func (f *traceFlags) replayVMs(ctx context.Context, e *placement.Engine, policy bench.Policy, progress func(int, int)) (*bench.VMReport, error) {
	shape, errShape := bench.ParseHostShape(f.hostShape)
	vms, errFile := readFile(f.vmFile, trace.ReadVMs)
	if err := errors.Join(errShape, errFile); err != nil {
		return nil, err
	}
	return bench.ReplayVMs(ctx, e, bench.VMConfig{
		Store: f.store, VMs: vms, Host: shape, Policy: policy, Seed: f.seed, Now: time.Now, Progress: progress,
	})
}

func (f *traceFlags) replayNUMA(ctx context.Context, e *placement.Engine, policy bench.Policy, progress func(int, int)) (*bench.NUMAReport, error) {
	hosts, errHosts := trace.NUMAHosts()
	requests, errRequests := trace.NUMARequests(f.variant)
	if err := errors.Join(errHosts, errRequests); err != nil {
		return nil, err
	}
	return bench.ReplayNUMA(ctx, e, bench.NUMAConfig{
		Sequence: f.variant, Store: f.store, Hosts: hosts, Requests: requests, Policy: policy, Seed: f.seed, Now: time.Now, Progress: progress,
	})
}

func readFile[T any](name string, read func(string, io.Reader) ([]T, error)) ([]T, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // was only read
	return read(name, file)
}
