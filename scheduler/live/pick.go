package live

import (
	"context"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// pick chooses a host for the present instance of the plan and says what to
// allocate there.
func (s *Scheduler) pick(ctx context.Context, p *plan) (uint32, []placement.Allocation, error) {
	clear(p.refused)
	for {
		best, found := s.scan(p)
		if !found {
			return 0, nil, ErrNoValidHost
		}
		got, err := s.allocations(ctx, p.shape, s.view.at(best))
		if err != nil || got != nil {
			return best, got, err
		}
		p.refused[best] = struct{}{}
	}
}

// scan looks at every host.
func (s *Scheduler) scan(p *plan) (best uint32, found bool) {
	bestScore := 0.0
	for k := range s.view.rows {
		i := uint32(k)
		score, ok := s.judge(p, i)
		if ok && (!found || score > bestScore) && s.admits(p, i) {
			best, bestScore, found = i, score, true
		}
	}
	return best, found
}

// judge says whether a host can take the plan's shape, and its score.
func (s *Scheduler) judge(p *plan, i uint32) (float64, bool) {
	r := s.view.at(i)
	sh := p.shape
	if r.gone || sh.plain && r.flat && !r.fits(sh.need) {
		return 0, false
	}
	if sh.instances {
		s.view.readInstances(r)
	}
	if !p.forced && (!passes(&p.request, &r.state, sh.fixed) || !passes(&p.request, &r.state, sh.moving)) {
		return 0, false
	}
	s.weigh(r)
	more, ok := s.scorer.score(&p.request, &r.state, sh.scored)
	return r.score + more, r.sane && ok
}

// weigh scores a host by the weighers that look at nothing else.
func (s *Scheduler) weigh(r *row) {
	if r.weighed {
		return
	}
	if s.instances {
		s.view.readInstances(r)
	}
	r.score, r.sane = s.scorer.score(&s.nobody, &r.state, s.weighers)
	r.weighed = true
}

// admits asks what can only be asked when a host is picked.
func (s *Scheduler) admits(p *plan, i uint32) bool {
	r := s.view.at(i)
	if _, refused := p.refused[i]; refused {
		return false
	}
	if _, shunned := p.shunned[i]; shunned || !demanded(p.request.Spec, &r.state) || p.group != nil && !p.group.allows(i) {
		return false
	}
	if p.forced || len(p.shape.late) == 0 {
		return true
	}
	if p.group != nil {
		s.view.readInstances(r)
	}
	return passes(&p.request, &r.state, p.shape.late)
}

func passes(r *scheduler.Request, h *scheduler.HostState, filters []scheduler.Filter) bool {
	for _, f := range filters {
		if reason, err := f.Pass(r, h); err != nil || !reason.Passes() {
			return false
		}
	}
	return true
}

// allocations returns what an instance holds on a host, nil when it does not
// fit after all.
func (s *Scheduler) allocations(ctx context.Context, sh *shape, r *row) ([]placement.Allocation, error) {
	if sh.bare && r.flat {
		list := make([]placement.Allocation, len(sh.need))
		for k, n := range sh.need {
			list[k] = placement.Allocation{Provider: r.uuid, Class: n.Class, Amount: n.Amount}
		}
		return list, nil
	}
	where := sh.where
	where.Anchor = r.uuid
	for c, err := range s.cfg.Engine.Candidates(ctx, where) {
		if err != nil {
			return nil, err
		}
		return slices.Clone(c.Allocations), nil
	}
	return nil, nil
}
