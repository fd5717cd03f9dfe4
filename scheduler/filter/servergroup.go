package filter

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// antiAffinity keeps members of a server group apart.
//
// Source: nova, scheduler/filters/affinity_filter.py,
// ServerGroupAntiAffinityFilter.
type antiAffinity struct{ base }

func newAntiAffinity(*scheduler.Options) (scheduler.Filter, error) {
	return &antiAffinity{base{
		"ServerGroupAntiAffinityFilter", scheduler.ReadsInstances | scheduler.ReadsGroup | scheduler.ReadsRequest,
	}}, nil
}

// Scope leaves out requests without a group of this policy.
func (*antiAffinity) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(hasPolicy(s, scheduler.AntiAffinity), 0)
}

// Local says that members elsewhere do not count.
func (*antiAffinity) Local() {}

// Pass counts members on the host. The host that has the instance already may
// keep it.
func (*antiAffinity) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if !hasPolicy(r.Spec, scheduler.AntiAffinity) {
		return scheduler.Reason{}, nil
	}
	if _, here := h.Instances[r.Instance]; here {
		return scheduler.Reason{}, nil
	}
	most := int64(1)
	if rule := r.Spec.Group.MaxServerPerHost; rule != nil {
		most = *rule
	}
	if n := int64(r.MembersOn(h)); n >= most {
		return scheduler.Reason{
			Why: "the host has %h members of the anti-affinity group, allowed are %w", Have: float64(n), Want: float64(most),
		}, nil
	}
	return scheduler.Reason{}, nil
}

// affinity keeps members of a server group together.
//
// Source: nova, scheduler/filters/affinity_filter.py,
// ServerGroupAffinityFilter.
type affinity struct{ base }

func newAffinity(*scheduler.Options) (scheduler.Filter, error) {
	return &affinity{base{"ServerGroupAffinityFilter", scheduler.ReadsGroup}}, nil
}

// Scope leaves out requests without a group of this policy.
func (*affinity) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(hasPolicy(s, scheduler.Affinity), 0)
}

// Pass wants a host of the group, if it has one.
func (*affinity) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if !hasPolicy(r.Spec, scheduler.Affinity) || len(r.GroupHosts) == 0 || slices.Contains(r.GroupHosts, h.Host) {
		return scheduler.Reason{}, nil
	}
	return scheduler.Reason{
		Why: "the affinity group is on %h other hosts, %a among them", Have: float64(len(r.GroupHosts)), Asked: r.GroupHosts[0],
	}, nil
}

func hasPolicy(s *scheduler.RequestSpec, policy string) bool {
	return s.Group != nil && s.Group.Policy == policy
}
