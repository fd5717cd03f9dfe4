package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// most passes hosts that have less of something than a limit: an option, or
// the least number that the host's aggregates give in its place.
//
// Source: nova, scheduler/filters/io_ops_filter.py and
// num_instances_filter.py.
type most struct {
	base
	why   string
	count func(h *scheduler.HostState) int64
	limit int64
	key   string // of aggregate metadata, "": only the option counts
}

const (
	manyIOOps     = "the host has %h I/O operations, allowed are fewer than %w"
	manyInstances = "the host has %h instances, allowed are fewer than %w"
)

func newIOOps(o *scheduler.Options) (scheduler.Filter, error) {
	return &most{base{"IoOpsFilter", scheduler.ReadsAllocations}, manyIOOps, ioOps, o.MaxIOOpsPerHost, ""}, nil
}

func newAggregateIOOps(o *scheduler.Options) (scheduler.Filter, error) {
	return &most{
		base{"AggregateIoOpsFilter", scheduler.ReadsAllocations | scheduler.ReadsAggregates},
		manyIOOps, ioOps, o.MaxIOOpsPerHost, "max_io_ops_per_host",
	}, nil
}

func newNumInstances(o *scheduler.Options) (scheduler.Filter, error) {
	return &most{base{"NumInstancesFilter", scheduler.ReadsAllocations}, manyInstances, instances, o.MaxInstancesPerHost, ""}, nil
}

func newAggregateNumInstances(o *scheduler.Options) (scheduler.Filter, error) {
	return &most{
		base{"AggregateNumInstancesFilter", scheduler.ReadsAllocations | scheduler.ReadsAggregates},
		manyInstances, instances, o.MaxInstancesPerHost, "max_instances_per_host",
	}, nil
}

func ioOps(h *scheduler.HostState) int64 { return h.NumIOOps }

func instances(h *scheduler.HostState) int64 { return h.NumInstances }

// Pass wants strictly less than the limit.
func (f *most) Pass(_ *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	limit := f.limit
	if f.key != "" {
		limit = leastOf(h, f.key, limit)
	}
	if n := f.count(h); n >= limit {
		return scheduler.Reason{Why: f.why, Have: float64(n), Want: float64(limit)}, nil
	}
	return scheduler.Reason{}, nil
}
