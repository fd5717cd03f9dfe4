package pack

import (
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// Builtin returns the weighers that need nothing but a name, for weigh.Choose:
// BestFitWeigher and WorstFitWeigher. With a measure there is
// FragmentationWeigher, too.
func Builtin(m Measure) []weigh.Constructor {
	list := []weigh.Constructor{
		{Name: "BestFitWeigher", New: func(*scheduler.Options) scheduler.Weigher { return NewBestFit(1) }},
		{Name: "WorstFitWeigher", New: func(*scheduler.Options) scheduler.Weigher {
			w := newBestFit(-1)
			w.name = "WorstFitWeigher"
			return w
		}},
	}
	if m != nil {
		list = append(list, weigh.Constructor{
			Name: "FragmentationWeigher", New: func(*scheduler.Options) scheduler.Weigher { return NewFragmentation(m, 1) },
		})
	}
	return list
}
