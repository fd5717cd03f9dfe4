package filter

import (
	"math"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// compute passes hosts whose compute service is enabled and up.
//
// Source: nova, scheduler/filters/compute_filter.py, ComputeFilter.
type compute struct {
	downTime time.Duration
}

func newCompute(o *scheduler.Options) (scheduler.Filter, error) {
	return &compute{o.ServiceDownTime}, nil
}

// Name returns ComputeFilter.
func (*compute) Name() string { return "ComputeFilter" }

// Reads returns what the filter looks at.
func (*compute) Reads() scheduler.Reads { return scheduler.ReadsHost | scheduler.ReadsTime }

// Scope is the first instance: a service does not change within a request.
func (*compute) Scope(*scheduler.RequestSpec) scheduler.Scope { return scheduler.FirstInstance }

// Pass rejects disabled services before it looks at their reports.
func (f *compute) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if h.Service.Disabled {
		return scheduler.Reason{Why: "service is disabled"}, nil
	}
	if h.Service.ForcedDown {
		return scheduler.Reason{Why: "service is forced down"}, nil
	}
	now := r.Now.UnixNano()
	if first, last := h.Service.Up(f.downTime); now < first || now > last {
		return scheduler.Reason{
			Why:  "service reported %h s ago, allowed are %w s",
			Have: r.Now.Sub(h.Service.LastReport).Seconds(), Want: f.downTime.Seconds(),
		}, nil
	}
	return scheduler.Reason{}, nil
}

// Window is the time in which the service is up.
func (f *compute) Window(h *scheduler.HostState) (first, last int64) {
	if h.Service.Disabled {
		return math.MaxInt64, math.MinInt64
	}
	return h.Service.Up(f.downTime)
}
