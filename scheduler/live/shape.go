package live

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// A shape is what of a request decides where it fits and how well: its
// resources, and what filters and weighers read of the rest. Its rank has all
// hosts that can take it.
type shape struct {
	key   string
	where placement.CandidateRequest
	need  []placement.Resource // of the only group, when plain
	plain bool                 // one group without a suffix: a flat host can be judged by its stock
	bare  bool                 // and neither traits nor aggregates are asked for

	fixed  []scheduler.Filter // read neither allocations nor what differs between requests of a shape
	moving []scheduler.Filter // read allocations
	late   []scheduler.Filter // read the time, the group, or nobody knows what: asked when a host is picked
	scored []weigher          // by the request
	last   []weigher          // asked when a host is picked

	instances     bool // some of moving and scored look at instances
	lateInstances bool // some of late do

	// alone says that the shape has a rank of its own, of the hosts that can
	// take it. Else it looks through the common order of all hosts: enough
	// while the requests do not change the scores and the best hosts have room.
	alone bool
	order
	asked  uint64   // number of the log's next entry when it was last asked for
	fits   []uint64 // by host, a bit: traits, aggregates and fixed filters let it through
	parked []parked // hosts that are out of the rank until a moment
	used   uint64   // when it was used last, in requests

	learners []scheduler.Learner // among scored
	version  uint64              // the sum of theirs when it was ranked

	guessed bool   // hosts are out of the rank whose resources did not go together
	pools   uint64 // view.pools when it was ranked
}

// parked is a host that time alone brings back into a rank.
type parked struct {
	host  uint32
	until int64 // nanoseconds since 1970
}

func (s *Scheduler) newShape(p *plan) *shape {
	spec := p.request.Spec
	sh := &shape{key: string(s.keys.buf), where: cloneWhere(&p.req.Where)}
	sh.rank.seed = s.cfg.Seed
	if sh.plain = len(sh.where.Groups) == 1 && sh.where.Groups[0].Suffix == "" && sh.where.Groups[0].InTree.IsZero(); sh.plain {
		g := &sh.where.Groups[0]
		sh.need = g.Resources
		sh.bare = len(g.Required)+len(g.Forbidden)+len(g.MemberOf)+len(g.ForbiddenAggregates)+len(sh.where.RootRequired)+len(sh.where.RootForbidden) == 0
	} else {
		sh.need = total(sh.where.Groups)
	}
	for _, f := range s.cfg.Filters {
		switch {
		case passesAlways(f, spec):
		case late(f.Reads(), f.Name(), spec):
			sh.late, sh.lateInstances = append(sh.late, f), sh.lateInstances || readsInstances(f.Reads())
		case f.Reads()&moving != 0:
			sh.moving, sh.instances = append(sh.moving, f), sh.instances || readsInstances(f.Reads())
		default:
			sh.fixed = append(sh.fixed, f)
		}
	}
	for _, w := range s.cfg.Weighers {
		if hostAlone(w) || idle(w, spec) {
			continue
		}
		own := newWeigher(w, s.cfg.Scales)
		if late(w.Reads(), w.Name(), spec) {
			sh.last = append(sh.last, own)
			continue
		}
		sh.scored, sh.instances = append(sh.scored, own), sh.instances || own.instances
		if l, ok := w.(scheduler.Learner); ok {
			sh.learners = append(sh.learners, l)
		}
	}
	sh.alone = len(sh.scored) > 0 || !sh.bare
	return sh
}

// learned is the version of what the weighers of the shape have learned.
func (sh *shape) learned() (version uint64) {
	for _, l := range sh.learners {
		version += l.Version()
	}
	return version
}

// cloneWhere copies what a shape keeps, and sets what it asks of one tree.
func cloneWhere(w *placement.CandidateRequest) placement.CandidateRequest {
	out := *w
	out.Groups = slices.Clone(w.Groups)
	for k := range out.Groups {
		g := &out.Groups[k]
		g.Resources = slices.Clone(g.Resources)
	}
	out.Limit, out.Order, out.Random, out.Representative = 1, placement.DepthFirst, false, true
	return out
}

// shapeOf returns the shape of the plan's request, with a rank that is up to
// date.
func (s *Scheduler) shapeOf(p *plan) *shape {
	s.keyOf(p)
	sh := s.shapes[string(s.keys.buf)]
	if sh == nil {
		sh = s.newShape(p)
		s.shapes[sh.key] = sh
	}
	s.requests++
	sh.used = s.requests
	return sh
}

// keyOf makes the key of a plan's shape: what is asked of placement, which
// filters and weighers have a say, and what those read.
func (s *Scheduler) keyOf(p *plan) {
	k, spec := &s.keys, p.request.Spec
	k.buf = k.buf[:0]
	k.where(&p.req.Where)
	grouped := int64(0)
	if spec.Group != nil {
		grouped = 1
	}
	k.number(grouped)
	parts := part(0)
	for _, f := range s.cfg.Filters {
		if passesAlways(f, spec) {
			k.number(0)
			continue
		}
		k.number(1)
		if f.Reads().Has(scheduler.ReadsRequest) && !late(f.Reads(), f.Name(), spec) {
			parts |= k.read(f, f.Name(), spec)
		}
	}
	for _, w := range s.cfg.Weighers {
		if hostAlone(w) || idle(w, spec) {
			k.number(0)
			continue
		}
		k.number(1)
		if w.Reads().Has(scheduler.ReadsRequest) && !late(w.Reads(), w.Name(), spec) {
			parts |= k.read(w, w.Name(), spec)
		}
	}
	k.spec(spec, parts)
}

// read lets one that knows append what it reads; else it returns the parts.
func (k *keyer) read(one any, name string, spec *scheduler.RequestSpec) part {
	if r, ok := one.(Reader); ok {
		k.buf = r.AppendRead(k.buf, spec)
		return 0
	}
	return partsOf(name)
}

// passesAlways reports whether a filter has no say in requests like this. The
// rules of server groups are kept by the scheduler itself.
func passesAlways(f scheduler.Filter, spec *scheduler.RequestSpec) bool {
	if groupRule(f.Name()) {
		return true
	}
	scoped, ok := f.(scheduler.Scoped)
	return ok && scoped.Scope(spec)&scheduler.EveryHost != 0
}

// groupRule reports whether a filter of this name keeps a rule of server
// groups.
func groupRule(name string) bool {
	return name == "ServerGroupAntiAffinityFilter" || name == "ServerGroupAffinityFilter"
}

func idle(w scheduler.Weigher, spec *scheduler.RequestSpec) bool {
	i, ok := w.(scheduler.Idler)
	return ok && i.Idle(spec)
}

// late reports whether an answer cannot be kept: it depends on the time, the
// group, a topology, or on nobody knows what.
func late(reads scheduler.Reads, name string, spec *scheduler.RequestSpec) bool {
	return reads == 0 || reads.Has(scheduler.ReadsTime) || reads.Has(scheduler.ReadsGroup) && spec.Group != nil ||
		reads.Has(scheduler.ReadsRequest) && spec.Topology != nil && partsOf(name) == allParts
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
