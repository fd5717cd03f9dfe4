package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/bench/chart"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// benchSchedulerFlags are the flags of bench scheduler.
type benchSchedulerFlags struct {
	cfg         bench.SchedulingConfig
	policies    []string
	contention  bool
	peers       []string
	peerHosts   []int
	out, format string
}

// newBenchScheduler measures decisions with Nova's default filters and
// weighers.
func newBenchScheduler() *cobra.Command {
	var f benchSchedulerFlags
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Measure scheduling decisions",
		Long: `Places instances on equal hosts with Nova's default filters, and reports what a
decision costs: profile indexed selects and claims on a placement engine in
memory, profile nova selects only. Shapes of request take turns. Every claim is
counted and held to the capacities in the end. Policies of weighers are

  spread     Nova's defaults: the most free memory, vCPUs and disk
  best-fit   the host that is left fullest
  fgd        the host where least is stranded for the mix of shapes

--peer 'COMMAND ARGUMENT...' runs another scheduler's measurement in the same
run. It is called with the numbers of hosts behind its arguments, and prints a
line for each: {"peer":"nomad","hosts":1000,"decisions":50,"cpu_us":812.5}.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return failed(f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	fs := cmd.Flags()
	fs.IntSliceVar(&f.cfg.Hosts, "hosts", []int{1_000, 10_000}, "numbers of hosts")
	fs.IntSliceVar(&f.cfg.Shapes, "shapes", []int{1, 16, 100}, "numbers of shapes of request that take turns")
	fs.StringSliceVar(&f.policies, "policy", schedulingPolicies()[:1], "weighers: "+strings.Join(schedulingPolicies(), ", "))
	fs.StringSliceVar(&f.cfg.Profiles, "profile", schedulingProfiles(), "profiles: "+strings.Join(schedulingProfiles(), ", "))
	fs.IntVar(&f.cfg.Decisions, "decisions", 20_000, "how many to measure of each")
	fs.DurationVar(&f.cfg.AtMost, "at-most", 10*time.Second, "how long the decisions of each may take; those that are left are not made")
	fs.IntVar(&f.cfg.Repeat, "repeat", 1, "how often to measure; the median counts")
	fs.BoolVar(&f.contention, "contention", false, "also have two schedulers fill one engine by best fit, 16 requests in flight each")
	fs.StringArrayVar(&f.peers, "peer", nil, "command that measures another scheduler; may be given several times")
	fs.IntSliceVar(&f.peerHosts, "peer-hosts", []int{1_000, 10_000}, "numbers of hosts for peers")
	fs.StringVar(&f.out, "out", "", "directory for report.json, scheduler.svg and scheduler.png")
	addFormat(cmd, &f.format)
	return cmd
}

func schedulingPolicies() []string { return []string{"spread", "best-fit", "fgd"} }

func schedulingProfiles() []string { return []string{"indexed", "nova"} }

func (f *benchSchedulerFlags) check() error {
	err := errors.Join(checkFormat(f.format),
		positive("--hosts", f.cfg.Hosts), positive("--shapes", f.cfg.Shapes), positive("--peer-hosts", f.peerHosts),
		positive("--decisions", []int{f.cfg.Decisions}), positive("--repeat", []int{f.cfg.Repeat}))
	for _, p := range f.policies {
		err = errors.Join(err, oneOf("--policy", p, schedulingPolicies()))
	}
	for _, p := range f.cfg.Profiles {
		err = errors.Join(err, oneOf("--profile", p, schedulingProfiles()))
	}
	for _, p := range f.peers {
		if len(strings.Fields(p)) == 0 {
			err = errors.Join(err, errors.New("--peer is empty, allowed is: a command"))
		}
	}
	return err
}

func (f *benchSchedulerFlags) run(ctx context.Context, stdout, stderr io.Writer) error {
	cfg := f.cfg
	cfg.Now, cfg.CPU = time.Now, cpuClock()
	if f.contention {
		cfg.OpenStored = func(ctx context.Context) (*placement.Engine, error) {
			return placement.Open(ctx, placement.Config{Store: mem.New(mem.Config{}), Now: time.Now})
		}
	}
	o := scheduler.ReadOptions(new(oslocfg.Config))
	var err error
	if cfg.Filters, err = filter.Choose(o); err != nil {
		return err
	}
	for _, name := range f.policies {
		weighers, err := f.weighers(name, o)
		if err != nil {
			return err
		}
		cfg.Policies = append(cfg.Policies, bench.SchedulingPolicy{Name: name, Weighers: weighers})
	}
	progress, done := newProgress(stderr, "measuring")
	cfg.Progress = progress
	report, err := bench.MeasureScheduling(ctx, cfg)
	done()
	if err != nil {
		return err
	}
	for _, p := range f.peers {
		rows, err := measurePeer(ctx, strings.Fields(p), f.peerHosts, stderr)
		if err != nil {
			return err
		}
		report.Peers = append(report.Peers, rows...)
	}
	return errors.Join(f.write(report), show(stdout, f.format, report, report.Lines()))
}

// weighers returns those of a policy.
func (f *benchSchedulerFlags) weighers(name string, o *scheduler.Options) ([]scheduler.Weigher, error) {
	switch name {
	case "best-fit":
		return []scheduler.Weigher{pack.NewBestFit(1)}, nil
	case "fgd":
		var mix []string
		for k := range slices.Max(f.cfg.Shapes) {
			flavor := bench.SchedulingFlavor(k)
			mix = append(mix, fmt.Sprintf("%d:%d:%d=1", flavor.VCPUs, flavor.MemoryMiB, flavor.RootGiB))
		}
		measure, err := pack.MeasureOf(&scheduler.Options{RequestMix: mix}, nil)
		return []scheduler.Weigher{pack.NewFragmentation(measure, 1), pack.NewBestFit(1e-3)}, err
	default:
		return weigh.Choose(o)
	}
}

// write puts the report into the directory of --out.
func (f *benchSchedulerFlags) write(report *bench.SchedulingReport) error {
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("make --out: %w", err)
	}
	err := writeFile(filepath.Join(f.out, "report.json"), func(w io.Writer) error { return writeJSON(w, report) })
	for _, format := range []string{"svg", "png"} {
		err = errors.Join(err, writeFile(filepath.Join(f.out, "scheduler."+format), func(w io.Writer) error {
			return chart.Scheduling(w, format, report)
		}))
	}
	return err
}

// positive refuses numbers below 1.
func positive(field string, list []int) error {
	for _, n := range list {
		if n < 1 {
			return fmt.Errorf("%s has %d, allowed is: 1 or more", field, n)
		}
	}
	return nil
}
