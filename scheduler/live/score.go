package live

import (
	"math"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// DefaultScale returns the raw score of a weigher that counts as 1, so that a
// large host's worth of each resource weighs the same: a TiB of memory, 256
// vCPUs, 10 TiB of disk. Of ages and lifetimes it is a day. It is 1 for other
// weighers.
func DefaultScale(name string) float64 {
	switch name {
	case "RAMWeigher":
		return 1 << 20 // MiB
	case "CPUWeigher":
		return 256
	case "DiskWeigher":
		return 10 << 20 // MiB
	case "IoOpsWeigher":
		return 8
	case "NumInstancesWeigher":
		return 50
	case "PCIWeigher":
		return 100
	case "HypervisorVersionWeigher":
		return 1e7
	case "HostAgeWeigher", "LifetimeWeigher":
		return 86400 // seconds
	case "ServerGroupSoftAffinityWeigher", "ServerGroupSoftAntiAffinityWeigher":
		return 10
	default:
		return 1
	}
}

// What changes with every claim on a host, and what lies beyond the host.
const (
	moving = scheduler.ReadsAllocations | scheduler.ReadsInstances
	beyond = scheduler.ReadsRequest | scheduler.ReadsGroup | scheduler.ReadsTime
)

// readsInstances reports whether what reads so may look at the instances of a
// host.
func readsInstances(reads scheduler.Reads) bool {
	return reads == 0 || reads.Has(scheduler.ReadsInstances)
}

// hostAlone reports whether a weigher's score depends on nothing but the host.
func hostAlone(w scheduler.Weigher) bool {
	_, learns := w.(scheduler.Learner)
	return !learns && w.Reads() != 0 && w.Reads()&beyond == 0
}

// A weigher on an absolute scale.
type weigher struct {
	scheduler.Weigher
	multiplier scheduler.Multiplier
	least      float64
	scale      float64
	instances  bool // looks at instances
}

func newWeigher(w scheduler.Weigher, scales map[string]float64) weigher {
	out := weigher{Weigher: w, multiplier: w.Multiplier(), scale: DefaultScale(w.Name()), least: math.Inf(-1)}
	if scale, has := scales[w.Name()]; has && scale != 0 {
		out.scale = scale
	}
	if least, floored := w.Floor(); floored {
		out.least = least
	}
	out.instances = readsInstances(w.Reads())
	return out
}

// A scorer adds up scores of one host at a time, in memory of its own.
type scorer struct {
	host [1]*scheduler.HostState
	raw  [1]float64
}

// score returns the sum over the weighers, nowhere when one cannot tell.
func (s *scorer) score(r *scheduler.Request, h *scheduler.HostState, weighers []weigher) float64 {
	sum := 0.0
	s.host[0] = h
	for k := range weighers {
		w := &weighers[k]
		multiplier := w.multiplier.For(h)
		if multiplier == 0 {
			continue
		}
		if err := w.Weigh(r, s.host[:], s.raw[:]); err != nil {
			return nowhere
		}
		sum += multiplier * max(s.raw[0], w.least) / w.scale
	}
	if math.IsNaN(sum) {
		return nowhere
	}
	return sum
}
