package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// siblingHost passes hosts that run one of the instances that a hint names,
// or those that run none of them.
//
// Source: nova, scheduler/filters/affinity_filter.py, SameHostFilter and
// DifferentHostFilter.
type siblingHost struct {
	base
	hint string
	same bool
}

func newSameHost(*scheduler.Options) (scheduler.Filter, error) {
	return &siblingHost{base{"SameHostFilter", scheduler.ReadsInstances | scheduler.ReadsRequest}, "same_host", true}, nil
}

func newDifferentHost(*scheduler.Options) (scheduler.Filter, error) {
	return &siblingHost{base{"DifferentHostFilter", scheduler.ReadsInstances | scheduler.ReadsRequest}, "different_host", false}, nil
}

// Scope leaves out requests without the hint.
func (f *siblingHost) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(hint(s, f.hint) != nil, scheduler.FirstInstance)
}

// Pass looks for the instances on the host.
func (f *siblingHost) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	uuids := hint(r.Spec, f.hint)
	if uuids == nil {
		return scheduler.Reason{}, nil
	}
	for _, uuid := range uuids {
		if _, here := h.Instances[uuid]; !here {
			continue
		}
		if f.same {
			return scheduler.Reason{}, nil
		}
		return scheduler.Reason{Why: "hint different_host names instance %a, which is on the host", Asked: uuid}, nil
	}
	if f.same {
		return scheduler.Reason{Why: "hint same_host names %w instances such as %a, none is on the host", Want: float64(len(uuids)), Asked: uuids[0]}, nil
	}
	return scheduler.Reason{}, nil
}
