package live

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// A shape is what of a request decides where it fits and how well: its
// resources, and what filters and weighers read of the rest.
type shape struct {
	where placement.CandidateRequest
	need  []placement.Resource // of the only group, when plain
	plain bool                 // one group without a suffix: a flat host can be judged by its stock
	bare  bool                 // and neither traits nor aggregates are asked for

	fixed  []scheduler.Filter // read neither allocations nor what differs between requests of a shape
	moving []scheduler.Filter // read allocations
	late   []scheduler.Filter // read the time, the group, or nobody knows what: asked when a host is picked
	scored []weigher          // by the request
	last   []weigher          // asked when a host is picked

	instances bool // some of moving and scored look at instances
}

func (s *Scheduler) shapeOf(p *plan) *shape {
	spec := p.request.Spec
	sh := &shape{where: p.req.Where}
	sh.where.Limit, sh.where.Order, sh.where.Random = 1, placement.DepthFirst, false
	sh.where.Representative = true
	if sh.plain = len(sh.where.Groups) == 1 && sh.where.Groups[0].Suffix == "" && sh.where.Groups[0].InTree.IsZero(); sh.plain {
		g := &sh.where.Groups[0]
		sh.need = g.Resources
		sh.bare = len(g.Required)+len(g.Forbidden)+len(g.MemberOf)+len(g.ForbiddenAggregates)+len(sh.where.RootRequired)+len(sh.where.RootForbidden) == 0
	} else {
		sh.need = total(sh.where.Groups)
	}
	for _, f := range s.cfg.Filters {
		sh.addFilter(f, spec)
	}
	for _, w := range s.cfg.Weighers {
		if i, ok := w.(scheduler.Idler); hostAlone(w) || ok && i.Idle(spec) {
			continue
		}
		own := newWeigher(w, s.cfg.Scales)
		if late(w.Reads(), spec) {
			sh.last = append(sh.last, own)
			continue
		}
		sh.scored, sh.instances = append(sh.scored, own), sh.instances || own.instances
	}
	return sh
}

func (sh *shape) addFilter(f scheduler.Filter, spec *scheduler.RequestSpec) {
	if scoped, ok := f.(scheduler.Scoped); ok && scoped.Scope(spec)&scheduler.EveryHost != 0 {
		return
	}
	switch reads := f.Reads(); {
	case late(reads, spec):
		sh.late = append(sh.late, f)
	case reads.Has(scheduler.ReadsAllocations):
		sh.moving, sh.instances = append(sh.moving, f), sh.instances || !countsOnly(f.Name())
	default:
		sh.fixed = append(sh.fixed, f)
	}
}

// late reports whether an answer that reads this cannot be kept.
func late(reads scheduler.Reads, spec *scheduler.RequestSpec) bool {
	return reads == 0 || reads.Has(scheduler.ReadsTime) || reads.Has(scheduler.ReadsGroup) && spec.Group != nil
}

// total adds the resources of all groups up by class.
func total(groups []placement.RequestGroup) []placement.Resource {
	var sum []placement.Resource
	for k := range groups {
		for _, r := range groups[k].Resources {
			if at := slices.IndexFunc(sum, func(o placement.Resource) bool { return o.Class == r.Class }); at >= 0 {
				sum[at].Amount += r.Amount
			} else {
				sum = append(sum, r)
			}
		}
	}
	return sum
}
