package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// schedulerSections are the sections of nova.conf whose options the scheduler
// all knows.
var schedulerSections = []string{"scheduler", "filter_scheduler", "metrics", "kilonova"}

// schedulerOptions reads the scheduler's options, and returns those that
// nobody knows.
func schedulerOptions(cfg *oslocfg.Config) (*scheduler.Options, []string, error) {
	o := scheduler.ReadOptions(cfg)
	cfg.Ignore("scheduler", "discover_hosts_in_cells_interval", "workers", "query_placement_for_routed_network_aggregates")
	cfg.Ignore("filter_scheduler", "available_filters", "track_instance_changes")
	return o, cfg.Unknown(schedulerSections...), cfg.Err()
}

// newPipeline makes what the options ask for, and the keeper that reads NUMA
// cells and PCI devices for it. The mix is followed where a weigher needs one
// and the options have none; nil: that is an error.
func newPipeline(o *scheduler.Options, mix *pack.LiveMix) (*scheduler.Pipeline, *topology.Keeper, error) {
	keeper, errTopology := topology.NewKeeper(o)
	filters, errFilters := filter.Choose(o,
		filter.Constructor{Name: "NUMATopologyFilter", New: topology.NewNUMATopologyFilter},
		filter.Constructor{Name: "PciPassthroughFilter", New: topology.NewPCIPassthroughFilter})
	measure, errMix := pack.MeasureOf(o, mix)
	weighers, errWeighers := weigh.Choose(o, pack.Builtin(measure)...)
	if err := errors.Join(errTopology, errFilters, cmp.Or(errMix, errWeighers)); err != nil {
		return nil, nil, fmt.Errorf("configure the scheduler: %w", err)
	}
	pipeline, err := scheduler.NewPipeline(scheduler.PipelineConfig{
		Filters: filters, Weighers: weighers, Topology: keeper,
		HostSubsetSize: o.HostSubsetSize, ShuffleBest: o.ShuffleBestSameWeighedHosts, MaxAttempts: o.MaxAttempts,
	})
	return pipeline, keeper, err
}
