package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench/chart"
	"github.com/kilonova-cloud/kilonova/bench/scale"
)

// benchScaleFlags are the flags of bench scale.
type benchScaleFlags struct {
	cfg         scale.Config
	seconds     int
	held        bool
	out, format string
}

// newBenchScale simulates engines that share a store.
func newBenchScale() *cobra.Command {
	var f benchScaleFlags
	cmd := &cobra.Command{
		Use:   "scale",
		Short: "Simulate engines that share a store",
		Long: `Simulates placement engines that share one store, in virtual time: how many
claims they make together, how many of their batches are refused because another
was faster, and how much later than its acknowledgement a claim is seen by the
others. The store is a model with the delays and the processor time of a cluster
of etcd that was measured (bench/scale/etcd.txt); docs/scale.md says what is
modelled and what is not. The same seed gives the same report.

Claims come from callers that have one in flight each (--in-flight, in all), or
by themselves (--rate, a second, in all). They choose among the hosts at random.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return failed(f.run(cmd.OutOrStdout(), cmd.ErrOrStderr()))
		},
	}
	fs := cmd.Flags()
	fs.IntSliceVar(&f.cfg.Engines, "engines", []int{1, 2, 4, 8, 16, 32, 64}, "numbers of engines")
	fs.IntSliceVar(&f.cfg.Hosts, "hosts", []int{16, 1_000, 100_000}, "numbers of hosts that claims choose among")
	fs.IntSliceVar(&f.cfg.InFlight, "in-flight", []int{256}, "claims in flight in all; may be given several times")
	fs.IntSliceVar(&f.cfg.Rate, "rate", []int{1_000}, "claims a second in all; may be given several times")
	fs.IntVar(&f.cfg.Case.Capacity, "capacity", 0, "claims that a host has room for (default: enough)")
	fs.IntVar(&f.cfg.Case.Records, "records", 125, "records that a batch may have: one a claim and one a host")
	fs.IntVar(&f.cfg.Case.Batches, "batches", 8, "batches under way at once, of each engine")
	fs.IntVar(&f.seconds, "seconds", 5, "virtual time of each case, after one second that does not count")
	fs.BoolVar(&f.cfg.Case.SharedCores, "shared-cores", false, "the engines use the processors of the store as well")
	fs.BoolVar(&f.held, "held-to", true, "also simulate what was measured with real engines, and compare")
	fs.Uint64Var(&f.cfg.Case.Seed, "seed", 42, "of everything that is drawn")
	fs.StringVar(&f.out, "out", "", "directory for report.json, and scale-NAME.svg and .png of throughput, conflicts and staleness")
	addFormat(cmd, &f.format)
	return cmd
}

func (f *benchScaleFlags) check() error {
	err := errors.Join(checkFormat(f.format),
		positive("--engines", f.cfg.Engines), positive("--hosts", f.cfg.Hosts), positive("--in-flight", f.cfg.InFlight),
		positive("--rate", f.cfg.Rate), positive("--batches", []int{f.cfg.Case.Batches}), positive("--seconds", []int{f.seconds}))
	if f.cfg.Case.Capacity < 0 {
		err = errors.Join(err, fmt.Errorf("--capacity is %d, allowed is: 0 or more", f.cfg.Case.Capacity))
	}
	if f.cfg.Case.Records < 2 {
		err = errors.Join(err, fmt.Errorf("--records is %d, allowed is: 2 or more", f.cfg.Case.Records))
	}
	return err
}

func (f *benchScaleFlags) run(stdout, stderr io.Writer) error {
	cfg := f.cfg
	cfg.Case.Time = time.Duration(f.seconds) * time.Second
	var err error
	if cfg.Costs, err = scale.Measured(); err != nil {
		return fmt.Errorf("read what was measured: %w", err)
	}
	progress, done := newProgress(stderr, "simulating")
	cfg.Progress = progress
	report, err := scale.Measure(cfg)
	done()
	if err != nil {
		return err
	}
	if f.held {
		if report.Check, err = scale.HeldTo(cfg.Case.Seed); err != nil {
			return err
		}
	}
	return errors.Join(f.write(report), show(stdout, f.format, report, report.Lines()))
}

// write puts the report into the directory of --out.
func (f *benchScaleFlags) write(report *scale.Report) error {
	if f.out == "" {
		return nil
	}
	if err := os.MkdirAll(f.out, 0o755); err != nil {
		return fmt.Errorf("make --out: %w", err)
	}
	err := writeFile(filepath.Join(f.out, "report.json"), func(w io.Writer) error { return writeJSON(w, report) })
	for _, what := range chart.ScaleCurves() {
		for _, format := range []string{"svg", "png"} {
			err = errors.Join(err, writeFile(filepath.Join(f.out, "scale-"+what+"."+format), func(w io.Writer) error {
				return chart.Scale(w, format, what, report)
			}))
		}
	}
	return err
}
