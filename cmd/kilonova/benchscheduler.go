package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// newBenchScheduler measures decisions with Nova's default filters and
// weighers.
func newBenchScheduler() *cobra.Command {
	var format string
	cfg := bench.SchedulingConfig{Now: time.Now}
	cmd := &cobra.Command{
		Use:   "scheduler",
		Short: "Measure scheduling decisions",
		Long: `Places instances on equal hosts with Nova's default filters and weighers, and
reports how fast: profile indexed selects and claims on a placement engine in
memory, profile nova selects only. Shapes of request take turns. Every claim is
counted and held to the capacities in the end.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := errors.Join(checkFormat(format), positive("--hosts", cfg.Hosts), positive("--shapes", cfg.Shapes), positive("--decisions", []int{cfg.Decisions})); err != nil {
				return err
			}
			o := scheduler.ReadOptions(new(oslocfg.Config))
			var errFilters, errWeighers error
			cfg.Filters, errFilters = filter.Choose(o)
			cfg.Weighers, errWeighers = weigh.Choose(o)
			if err := errors.Join(errFilters, errWeighers); err != nil {
				return failed(err)
			}
			report, err := bench.MeasureScheduling(cmd.Context(), cfg)
			if err != nil {
				return failed(err)
			}
			return failed(show(cmd.OutOrStdout(), format, report, report.Lines()))
		},
	}
	cmd.Flags().IntSliceVar(&cfg.Hosts, "hosts", []int{1_000, 10_000}, "numbers of hosts")
	cmd.Flags().IntSliceVar(&cfg.Shapes, "shapes", []int{1, 16, 100}, "numbers of shapes of request that take turns")
	cmd.Flags().IntVar(&cfg.Decisions, "decisions", 20_000, "how many to measure of each")
	addFormat(cmd, &format)
	return cmd
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
