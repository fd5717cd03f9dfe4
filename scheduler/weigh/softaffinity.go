package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// softAffinity counts the members of the server group on a host.
//
// Source: nova, scheduler/weights/affinity.py, ServerGroupSoftAffinityWeigher
// and ServerGroupSoftAntiAffinityWeigher.
type softAffinity struct {
	hostOnly
	policy string
	sign   int
}

func newSoftAffinity(o *scheduler.Options) scheduler.Weigher {
	return &softAffinity{hostOnly{
		name: "ServerGroupSoftAffinityWeigher", reads: scheduler.ReadsInstances | scheduler.ReadsGroup,
		multiplier: scheduler.Multiplier{Value: o.SoftAffinityWeightMultiplier, Key: "soft_affinity_weight_multiplier"},
	}, scheduler.SoftAffinity, 1}
}

func newSoftAntiAffinity(o *scheduler.Options) scheduler.Weigher {
	return &softAffinity{hostOnly{
		name: "ServerGroupSoftAntiAffinityWeigher", reads: scheduler.ReadsInstances | scheduler.ReadsGroup,
		multiplier: scheduler.Multiplier{Value: o.SoftAntiAffinityWeightMultiplier, Key: "soft_anti_affinity_weight_multiplier"},
	}, scheduler.SoftAntiAffinity, -1}
}

// Idle reports that the request's group has another policy, or none.
func (w *softAffinity) Idle(s *scheduler.RequestSpec) bool {
	return s.Group == nil || s.Group.Policy != w.policy
}

// Local says that members elsewhere do not count.
func (*softAffinity) Local() {}

// Weigh counts members, upwards or downwards.
func (w *softAffinity) Weigh(r *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	idle := w.Idle(r.Spec)
	for i, h := range hosts {
		raw[i] = 0
		if !idle {
			raw[i] = float64(w.sign * r.MembersOn(h))
		}
	}
	return nil
}
