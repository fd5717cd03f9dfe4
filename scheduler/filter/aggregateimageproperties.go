package filter

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/imagemeta"
)

// aggregateImageProperties wants the image's properties to be among the values
// that the host's aggregates give them.
//
// Source: nova, scheduler/filters/aggregate_image_properties_isolation.py,
// AggregateImagePropertiesIsolation.
type aggregateImageProperties struct {
	base
	prefix string // that keys of metadata have to have
}

func newAggregateImageProperties(o *scheduler.Options) (scheduler.Filter, error) {
	f := &aggregateImageProperties{base: base{"AggregateImagePropertiesIsolation", scheduler.ReadsAggregates | scheduler.ReadsRequest}}
	if o.AggregateImagePropertiesIsolationNS != "" {
		f.prefix = o.AggregateImagePropertiesIsolationNS + o.AggregateImagePropertiesIsolationSep
	}
	return f, nil
}

// Scope leaves out images without properties.
func (f *aggregateImageProperties) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(s.Image != nil && len(s.Image.Properties) > 0, scheduler.FirstInstance|scheduler.OnRebuild)
}

// Pass compares all properties. When several do not match, the first in the
// order of the alphabet is the reason.
func (f *aggregateImageProperties) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if r.Spec.Image == nil || len(h.Aggregates) == 0 {
		return scheduler.Reason{}, nil
	}
	var reason scheduler.Reason
	for name, value := range r.Spec.Image.Properties {
		if !strings.HasPrefix(name, f.prefix) || !imagemeta.True(name, value) || !reason.Passes() && name > reason.Of {
			continue
		}
		if option, ok := anyOption(h, name, value); !ok {
			reason = scheduler.Reason{
				Why: "the image's %o is %a, the host's aggregates allow %t", Of: name, Asked: value, Text: option,
			}
		}
	}
	return reason, nil
}

// anyOption reports whether the aggregates allow a value, and otherwise one
// that they do allow. They allow all if they do not have the key.
func anyOption(h *scheduler.HostState, key, value string) (option string, ok bool) {
	ok = true
	for option = range metadata(h, key) {
		if option == value {
			return option, true
		}
		ok = false
	}
	return option, ok
}
