package pack

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// MeasureOf returns the measure of the mix in [kilonova] request_mix. Where it
// is not set and weight_classes has FragmentationWeigher, the measure is that
// of the requests that are placed, live; nil: there are none to learn from,
// which is an error then. An element of the mix that cannot be read is one,
// too. Without a mix and that weigher the measure is nil.
func MeasureOf(o *scheduler.Options, live *LiveMix) (Measure, error) {
	if len(o.RequestMix) == 0 {
		switch {
		case !slices.ContainsFunc(o.WeightClasses, func(name string) bool { return name[strings.LastIndexByte(name, '.')+1:] == fragmentationName }):
			return nil, nil
		case live == nil:
			return nil, errors.New("[kilonova] request_mix is not set, which FragmentationWeigher needs")
		}
		return live, nil
	}
	mix, err := ParseMix(o.RequestMix)
	if err != nil {
		return nil, fmt.Errorf("[kilonova] request_mix: %w", err)
	}
	return measureOf(mix), nil
}

// measureOf is the measure of a mix of flavors. What is left free of vCPUs and
// of memory counts by how much of it an average request takes.
func measureOf(mix *Mix) Measure {
	var w Weights
	for i := range 2 { // as in [NewBestFit] disks do not count
		sum := 0.0
		for k := range mix.demands {
			sum += float64(mix.counts[k]) * float64(mix.demands[k].Need[i])
		}
		if sum > 0 {
			w.Amounts[i] = float64(mix.total) / sum
		}
	}
	return remember(NewOffers(mix, OffersConfig{Weights: w}))
}

// ParseMix reads a mix of flavors: elements such as 2:4096:20=7 are seven
// requests of 2 vCPUs, 4,096 MiB of memory and 20 GiB of disk.
func ParseMix(elements []string) (*Mix, error) {
	mix := &Mix{}
	for _, e := range elements {
		flavor, count, _ := strings.Cut(e, "=")
		var numbers [4]int64 // the last is how many
		texts := append(strings.Split(flavor, ":"), count)
		ok := len(texts) == len(numbers)
		for i := 0; ok && i < len(numbers); i++ {
			numbers[i], ok = scheduler.ParseInt(texts[i])
			ok = ok && numbers[i] >= 0 && numbers[i] < 1<<31
		}
		if !ok || numbers[3] == 0 {
			return nil, fmt.Errorf("element is %q, allowed is: vCPUs:MiB of memory:GiB of disk=number of requests, such as 2:4096:20=7", e)
		}
		mix.Add(Demand{Need: [Amounts]int64{numbers[0], numbers[1], numbers[2] * 1024}}, numbers[3])
	}
	return mix, nil
}
