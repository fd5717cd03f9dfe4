package filter

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// aggregateTenants keeps hosts whose aggregates name projects for those.
//
// Source: nova, scheduler/filters/aggregate_multitenancy_isolation.py,
// AggregateMultiTenancyIsolation.
type aggregateTenants struct{ base }

func newAggregateTenants(*scheduler.Options) (scheduler.Filter, error) {
	return &aggregateTenants{base{"AggregateMultiTenancyIsolation", scheduler.ReadsAggregates | scheduler.ReadsRequest}}, nil
}

// Scope is the first instance.
func (*aggregateTenants) Scope(*scheduler.RequestSpec) scheduler.Scope {
	return scheduler.FirstInstance
}

// Pass looks at all keys that begin with filter_tenant_id.
func (*aggregateTenants) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	restricted := false
	for i := range h.Aggregates {
		for key, values := range h.Aggregates[i].Metadata {
			if !strings.HasPrefix(key, "filter_tenant_id") {
				continue
			}
			restricted = true
			for project := range strings.SplitSeq(values, ",") {
				if p := r.Spec.ProjectID; p != "" && p == pyvalue.Strip(project) { // nobody's request matches nothing
					return scheduler.Reason{}, nil
				}
			}
		}
	}
	if restricted {
		return scheduler.Reason{Why: "the host's aggregates are for other projects than %a", Asked: r.Spec.ProjectID}, nil
	}
	return scheduler.Reason{}, nil
}
