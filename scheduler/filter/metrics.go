package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// metrics passes hosts that have all metrics of [metrics] weight_setting, so
// that MetricsWeigher can weigh them.
//
// Source: nova, scheduler/filters/metrics_filter.py, MetricsFilter.
type metrics struct {
	base
	setting []scheduler.Setting
}

func newMetrics(o *scheduler.Options) (scheduler.Filter, error) {
	return &metrics{base{"MetricsFilter", scheduler.ReadsHost}, o.MetricsWeightSetting}, nil
}

// Scope leaves out all requests when no metric is configured.
func (f *metrics) Scope(*scheduler.RequestSpec) scheduler.Scope { return where(len(f.setting) > 0, 0) }

// Pass looks for every metric.
func (f *metrics) Pass(_ *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	for _, s := range f.setting {
		if _, has := h.Metrics[s.Name]; !has {
			return scheduler.Reason{Why: "the host has no metric %o", Of: s.Name}, nil
		}
	}
	return scheduler.Reason{}, nil
}
