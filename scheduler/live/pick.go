package live

import (
	"context"
	"math"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// pick chooses a host for the present instance of the plan and says what to
// allocate there.
func (s *Scheduler) pick(ctx context.Context, p *plan) (uint32, []placement.Allocation, error) {
	p.patience = leastPatience + int(min(s.view.next-p.shape.asked, maxPatience))
	p.shape.asked = s.view.next
	if err := s.follow(p); err != nil {
		return 0, nil, err
	}
	clear(p.refused)
	for {
		host, found := s.best(ctx, p)
		if !found && s.tired {
			p.shape.alone = true
			if err := s.follow(p); err != nil {
				return 0, nil, err
			}
			continue
		}
		if !found {
			return 0, nil, scheduler.ErrNoValidHost
		}
		got, err := s.choice.got, error(nil)
		if got == nil {
			got, err = s.allocations(ctx, p, s.view.rows[host])
		}
		if err != nil || got != nil {
			return host, got, err
		}
		if p.refused == nil {
			p.refused = map[uint32]struct{}{}
		}
		p.refused[host] = struct{}{} // what its providers have does not go together
		if p.shape.alone {
			p.shape.park(host, math.MaxInt64)
			p.shape.guessed = true
		}
	}
}

// best chooses among the few hosts that the request allows, or from the top
// of the order.
func (s *Scheduler) best(ctx context.Context, p *plan) (uint32, bool) {
	s.choice, s.tired = choice{}, false
	switch g := p.group; {
	case p.forced || named(p.request.Spec):
		for k := range s.view.rows {
			s.consider(ctx, p, uint32(k))
		}
	case g != nil && g.policy == scheduler.Affinity && len(g.on) > 0:
		for host := range g.on {
			s.consider(ctx, p, host)
		}
	case len(p.shape.last) > 0:
		s.walkTop(ctx, p, headSize)
	case s.cfg.Subset > 1:
		s.walkTop(ctx, p, s.cfg.Subset)
	default:
		return s.first(ctx, p)
	}
	return s.choice.host, s.choice.found
}

// orderOf returns the rank that the plan's shape looks through.
func (s *Scheduler) orderOf(p *plan) *rank {
	if p.shape.alone {
		return &p.shape.rank
	}
	return &s.common.rank
}

// first returns the best host that is admitted.
func (s *Scheduler) first(ctx context.Context, p *plan) (uint32, bool) {
	for {
		host, found := s.orderOf(p).best()
		if !found {
			return 0, false
		}
		switch s.consider(ctx, p, host) {
		case admitted:
			return host, true
		case parkedAway: // the rank has another best one now
			continue
		case refused, unable:
		}
		s.walkTop(ctx, p, 1)
		return s.choice.host, s.choice.found
	}
}

// headSize is how many of the best hosts are asked what cannot be kept.
const headSize = 16

// walkTop considers the best hosts that are admitted, so many of them. When a
// group has a say, its hosts are considered too, and do not count: at least
// one of the others has no member.
func (s *Scheduler) walkTop(ctx context.Context, p *plan, size int) {
	if p.group != nil && len(p.shape.last) > 0 {
		size += len(p.group.on)
		for host := range p.group.on {
			s.consider(ctx, p, host)
		}
	}
	s.walk.start(s.orderOf(p))
	for n, vain := 0, 0; n < size; {
		host, more := s.walk.next()
		if !more {
			return
		}
		switch s.consider(ctx, p, host) {
		case admitted:
			n++
		case parkedAway: // the rank changed
			n = 0
			s.walk.start(s.orderOf(p))
		case unable:
			if vain++; vain > p.patience && !p.shape.alone {
				s.choice, s.tired = choice{}, true
				return
			}
		case refused:
		}
	}
}

// A choice is the best host so far.
type choice struct {
	champion
	given
	found bool
}

// consider makes a host the choice if it is admitted and better.
func (s *Scheduler) consider(ctx context.Context, p *plan, i uint32) verdict {
	r := s.view.rows[i]
	c := s.orderOf(p).champion(i, nowhere)
	switch {
	case p.forced:
		if p.shape.room(r) {
			c.score = s.weigh(r)
		}
	case p.shape.alone:
		c.score = p.shape.rank.scores[i]
	case s.able(p, r):
		c.score = s.weigh(r)
	}
	if c.score == nowhere {
		return unable
	}
	v := s.admits(p, i)
	if v != admitted {
		return v
	}
	if len(p.shape.last) > 0 {
		s.view.readInstances(r)
		c.score += s.scorer.score(&p.request, &r.state, p.shape.last)
	} else if s.cfg.Subset > 1 && p.group == nil && !p.forced {
		c.score = 0 // equal: the seed decides, the same way again and again
	}
	if c.score == nowhere || s.choice.found && !c.beats(&s.choice.champion) {
		return v
	}
	own := choice{champion: c, found: true}
	if p.pinned {
		var reason scheduler.Reason
		var err error
		if own.given, reason, err = s.pin(ctx, p, i); err != nil || !reason.Passes() {
			return refused
		}
	}
	s.choice = own
	return v
}

// verdict is what is found out about a host when it is picked.
type verdict uint8

const (
	admitted   verdict = iota
	refused            // for this request
	unable             // to take the shape
	parkedAway         // for all of the shape, for some time: it left the rank
)

// admits asks what can only be asked when a host is picked.
func (s *Scheduler) admits(p *plan, i uint32) verdict {
	r := s.view.rows[i]
	if p.forced || len(p.shape.late) == 0 {
		return s.suitsRequest(p, i, r)
	}
	if p.shape.lateInstances {
		s.view.readInstances(r)
	}
	for _, f := range p.shape.late {
		if reason, err := f.Pass(&p.request, &r.state); err == nil && reason.Passes() {
			continue
		}
		window, ok := f.(scheduler.Windowed)
		switch {
		case !p.shape.alone:
			return unable
		case !ok:
			return refused
		}
		until, now := int64(math.MaxInt64), p.request.Now.UnixNano()
		if from, to := window.Window(&r.state); now < from && from <= to {
			until = from
		}
		p.shape.park(i, until)
		return parkedAway
	}
	return s.suitsRequest(p, i, r)
}

// suitsRequest asks what differs between requests of one shape.
func (s *Scheduler) suitsRequest(p *plan, i uint32, r *row) verdict {
	_, no := p.refused[i]
	_, shunned := p.shunned[i]
	if no || shunned || demand(p.request.Spec, &r.state) != "" || p.group != nil && !p.group.allows(i) {
		return refused
	}
	return admitted
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
func (s *Scheduler) allocations(ctx context.Context, p *plan, r *row) ([]placement.Allocation, error) {
	sh, first := p.shape, len(p.amounts)
	if sh.plain && r.flat {
		for _, n := range sh.need {
			p.amounts = append(p.amounts, placement.Allocation{Provider: r.uuid, Class: n.Class, Amount: n.Amount})
		}
		return p.amounts[first:len(p.amounts):len(p.amounts)], nil
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
