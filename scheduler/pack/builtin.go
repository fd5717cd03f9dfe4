package pack

import (
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// Builtin returns the weighers of this package for weigh.Choose, with their
// multipliers of section [kilonova]. With a measure, such as that of
// [MeasureOf], there is FragmentationWeigher among them. HostAgeWeigher and
// LifetimeWeigher read HostState.UsedSince and EmptyBy.
func Builtin(m Measure) []weigh.Constructor {
	list := []weigh.Constructor{
		{Name: "BestFitWeigher", New: func(o *scheduler.Options) scheduler.Weigher {
			return newBestFit("BestFitWeigher", multiplier(o.BestFitWeightMultiplier, "best_fit"))
		}},
		{Name: "WorstFitWeigher", New: func(o *scheduler.Options) scheduler.Weigher {
			by := multiplier(o.WorstFitWeightMultiplier, "worst_fit")
			by.Negate = true
			return newBestFit("WorstFitWeigher", by)
		}},
		{Name: "HostAgeWeigher", New: func(o *scheduler.Options) scheduler.Weigher {
			return newHostAge(func(h *scheduler.HostState) (time.Time, bool) { return h.UsedSince, !h.UsedSince.IsZero() },
				multiplier(o.HostAgeWeightMultiplier, "host_age"))
		}},
		{Name: "LifetimeWeigher", New: func(o *scheduler.Options) scheduler.Weigher {
			return newLifetime(func(h *scheduler.HostState) (time.Time, bool) { return h.EmptyBy, !h.EmptyBy.IsZero() },
				multiplier(o.LifetimeWeightMultiplier, "lifetime"))
		}},
	}
	if m != nil {
		list = append(list, weigh.Constructor{Name: fragmentationName, New: func(o *scheduler.Options) scheduler.Weigher {
			return newFragmentation(m, multiplier(o.FragmentationWeightMultiplier, "fragmentation"))
		}})
	}
	return list
}

const fragmentationName = "FragmentationWeigher"

// multiplier is one that aggregates override by the name of its option.
func multiplier(value float64, option string) scheduler.Multiplier {
	return scheduler.Multiplier{Value: value, Key: option + "_weight_multiplier"}
}
