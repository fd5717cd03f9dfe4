package weigh

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// metrics adds up metrics times their ratios.
//
// Source: nova, scheduler/weights/metrics.py, MetricsWeigher.
type metrics struct {
	hostOnly
	setting     []scheduler.Setting
	required    bool
	unavailable float64
}

func newMetrics(o *scheduler.Options) scheduler.Weigher {
	return &metrics{
		hostOnly{
			name: "MetricsWeigher", reads: scheduler.ReadsHost | scheduler.ReadsAggregates,
			multiplier: scheduler.Multiplier{Value: o.MetricsWeightMultiplier, Key: "metrics_weight_multiplier"},
		},
		o.MetricsWeightSetting, o.MetricsRequired, o.MetricsWeightOfUnavailable,
	}
}

// Idle reports that no metric is configured.
func (w *metrics) Idle(*scheduler.RequestSpec) bool { return len(w.setting) == 0 }

// Weigh scores one host after the other. A metric that a host lacks is an
// error when metrics are required, else it decides the host's score unless
// its ratio or the host's multiplier is 0.
func (w *metrics) Weigh(_ *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	for i, h := range hosts {
		sum := 0.0
		for _, s := range w.setting {
			value, ok := h.Metrics[s.Name]
			switch {
			case ok:
				sum += float64(float64(value) * s.Ratio)
				continue
			case w.required:
				return fmt.Errorf("host %s has no metric %s: %w", h.Host, s.Name, scheduler.ErrCannotEvaluate)
			case s.Ratio*w.multiplier.For(h) == 0:
				continue
			}
			sum = w.unavailable
			break
		}
		raw[i] = sum
	}
	return nil
}
