package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// aggregateType keeps hosts whose aggregates name flavors for those.
//
// Source: nova, scheduler/filters/type_filter.py, AggregateTypeAffinityFilter.
type aggregateType struct{ base }

func newAggregateType(*scheduler.Options) (scheduler.Filter, error) {
	return &aggregateType{base{"AggregateTypeAffinityFilter", scheduler.ReadsAggregates | scheduler.ReadsRequest}}, nil
}

// Scope is the first instance.
func (*aggregateType) Scope(*scheduler.RequestSpec) scheduler.Scope { return scheduler.FirstInstance }

// Pass looks for the flavor's name among the values of instance_type.
func (*aggregateType) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if other, ok := anyOption(h, "instance_type", r.Spec.Flavor.Name); !ok {
		return scheduler.Reason{Why: "the flavor is %a, the host's aggregates are for others such as %t", Asked: r.Spec.Flavor.Name, Text: other}, nil
	}
	return scheduler.Reason{}, nil
}
