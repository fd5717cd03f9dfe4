package weigh

import (
	"cmp"
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// imageProps counts the image properties that the request shares with
// instances on the host.
//
// Source: nova, scheduler/weights/image_props.py, ImagePropertiesWeigher.
type imageProps struct {
	hostOnly
	setting []scheduler.Setting // by name, each once; empty: 1 for each property
}

func newImageProps(o *scheduler.Options) scheduler.Weigher {
	setting := slices.Clone(o.ImagePropsWeightSetting)
	slices.Reverse(setting) // of two with one name the last one counts
	slices.SortStableFunc(setting, func(a, b scheduler.Setting) int { return cmp.Compare(a.Name, b.Name) })
	setting = slices.CompactFunc(setting, func(a, b scheduler.Setting) bool { return a.Name == b.Name })
	return &imageProps{
		hostOnly{
			name:       "ImagePropertiesWeigher",
			reads:      scheduler.ReadsInstances | scheduler.ReadsRequest,
			multiplier: scheduler.Multiplier{Value: o.ImagePropsWeightMultiplier, Key: "image_props_weight_multiplier"},
		},
		setting,
	}
}

// Idle reports that the option is 0, whatever aggregates say, or that there
// is nothing to share.
func (w *imageProps) Idle(s *scheduler.RequestSpec) bool {
	return w.multiplier.Value == 0 || s.Image == nil || len(s.Image.Properties) == 0
}

// Weigh adds up the ratios of shared properties, once per instance.
func (w *imageProps) Weigh(r *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	idle := w.Idle(r.Spec)
	for i, h := range hosts {
		raw[i] = 0
		if !idle {
			raw[i] = w.score(r.Spec.Image.Properties, h)
		}
	}
	return nil
}

// score adds up in the order of names, so that equal hosts get equal sums;
// Nova's order is that of a set.
func (w *imageProps) score(wanted map[string]string, h *scheduler.HostState) float64 {
	sum := 0.0
	if len(w.setting) == 0 {
		for name, value := range wanted {
			sum += float64(instancesWith(h, name, value))
		}
		return sum
	}
	for _, s := range w.setting {
		if value, ok := wanted[s.Name]; ok {
			sum += float64(s.Ratio * float64(instancesWith(h, s.Name, value)))
		}
	}
	return sum
}

// instancesWith counts the instances on a host whose image has a property.
func instancesWith(h *scheduler.HostState, name, value string) int {
	n := 0
	for _, instance := range h.Instances {
		if v, ok := instance.Image[name]; ok && v == value {
			n++
		}
	}
	return n
}
