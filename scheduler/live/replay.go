package live

import (
	"math"

	"github.com/kilonova-cloud/kilonova/placement"
)

// An order is a rank with how far it has read the log.
type order struct {
	rank rank
	seen uint64 // number of the latest entry that the rank knows of
}

// behind reports whether the log does not tell all that an order has missed,
// or tells of so much that reading all hosts is less.
func (v *view) behind(o *order) bool {
	missed := v.next - 1 - o.seen
	return o.seen == 0 || missed > logSize || missed > uint64(2*len(v.rows)+logSize/16)
}

// missed yields the hosts that changed since the order was brought up to
// date, each once and read again, and notes that it is.
func (v *view) missed(o *order, yield func(i uint32, r *row)) {
	for seq := o.seen + 1; seq < v.next; seq++ {
		i := v.log[seq%logSize]
		r := v.at(i)
		if r.touched != seq {
			continue // a later entry is about the same host
		}
		yield(i, r)
	}
	o.seen = v.next - 1
}

// follow brings the order that the plan's shape uses up to date. It looks at
// hosts that changed since it was used last, each once; at all of them when
// the log does not reach back that far, they are most, or a weigher learned
// to see all of them differently.
//
// It returns a [*placement.InputError] when the request names traits that
// nobody knows.
func (s *Scheduler) follow(p *plan) error {
	v, sh := s.view, p.shape
	if !sh.alone {
		s.followCommon()
		return nil
	}
	if v.behind(&sh.order) || sh.learned() != sh.version {
		return s.rebuild(p)
	}
	sh.grow(len(v.rows))
	v.missed(&sh.order, func(i uint32, r *row) {
		if r.defined > sh.seen {
			s.define(p, i)
		}
		sh.rank.set(i, s.judge(p, i))
	})
	if len(sh.parked) > 0 {
		s.unpark(p)
	}
	return nil
}

// followCommon brings the order of all hosts up to date.
func (s *Scheduler) followCommon() {
	v, o := s.view, &s.common
	o.rank.grow(len(v.rows))
	if !v.behind(o) {
		v.missed(o, func(i uint32, r *row) { o.rank.set(i, s.weigh(r)) })
		return
	}
	for k := range v.rows {
		o.rank.scores[k] = s.weigh(v.at(uint32(k)))
	}
	o.rank.replay()
	o.seen = v.next - 1
	s.stats.Rebuilds++
}

// rebuild ranks all hosts.
func (s *Scheduler) rebuild(p *plan) error {
	v, sh := s.view, p.shape
	sh.grow(len(v.rows))
	sh.version = sh.learned()
	sh.parked, sh.guessed, sh.pools = sh.parked[:0], false, v.pools
	with, err := s.suitable(sh, placement.ProviderFilter{})
	if err != nil {
		return err
	}
	for k := range v.rows {
		i := uint32(k)
		r := v.at(i)
		sh.allow(i, s.suits(p, r, with))
		sh.rank.scores[i] = s.judge(p, i)
	}
	sh.rank.replay()
	sh.seen = v.next - 1
	s.stats.Rebuilds++
	s.bound(sh)
	return nil
}

func (sh *shape) grow(hosts int) {
	sh.rank.grow(hosts)
	for len(sh.fits) < (hosts+63)/64 {
		sh.fits = append(sh.fits, 0)
	}
}

func (sh *shape) allow(i uint32, is bool) {
	if bit := uint64(1) << (i % 64); is {
		sh.fits[i/64] |= bit
	} else {
		sh.fits[i/64] &^= bit
	}
}

// define decides anew what depends on more than the usage of a host.
func (s *Scheduler) define(p *plan, i uint32) {
	r := s.view.rows[i]
	with, err := s.suitable(p.shape, placement.ProviderFilter{UUID: r.uuid})
	if err != nil { // a trait was deleted: no host has it
		with = map[placement.UUID]struct{}{}
	}
	p.shape.allow(i, s.suits(p, r, with))
}

// suitable returns the providers that have the traits and aggregates which a
// shape asks for; nil when it asks for none.
func (s *Scheduler) suitable(sh *shape, f placement.ProviderFilter) (map[placement.UUID]struct{}, error) {
	if sh.bare || !sh.plain {
		return nil, nil
	}
	g := &sh.where.Groups[0]
	f.Required, f.Forbidden, f.MemberOf, f.ForbiddenAggregates = g.Required, g.Forbidden, g.MemberOf, g.ForbiddenAggregates
	for _, trait := range sh.where.RootRequired {
		f.Required = append(f.Required[:len(f.Required):len(f.Required)], []string{trait})
	}
	f.Forbidden = append(f.Forbidden[:len(f.Forbidden):len(f.Forbidden)], sh.where.RootForbidden...)
	found := map[placement.UUID]struct{}{}
	list, err := s.cfg.Engine.Providers(f)
	for k := range list {
		found[list[k].UUID] = struct{}{}
	}
	return found, err
}

// suits reports whether everything but usage lets a host take the shape.
func (s *Scheduler) suits(p *plan, r *row, with map[placement.UUID]struct{}) bool {
	if r.gone {
		return false
	}
	if with != nil && r.flat {
		if _, has := with[r.uuid]; !has {
			return false
		}
	}
	return passes(&p.request, &r.state, p.shape.fixed)
}

// judge returns the score of a host in the plan's shape, nowhere when it
// cannot take it.
func (s *Scheduler) judge(p *plan, i uint32) float64 {
	r, sh := s.view.rows[i], p.shape
	if sh.fits[i/64]&(1<<(i%64)) == 0 || !sh.room(r) {
		return nowhere
	}
	if len(sh.moving)+len(sh.scored) == 0 {
		return s.weigh(r)
	}
	if sh.instances {
		s.view.readInstances(r)
	}
	if !passes(&p.request, &r.state, sh.moving) {
		return nowhere
	}
	return s.weigh(r) + s.scorer.score(&p.request, &r.state, sh.scored)
}

// room reports whether a host has what the shape needs, as far as its stock
// tells.
func (sh *shape) room(r *row) bool { return !r.gone && (!sh.plain || !r.flat || r.fits(sh.need)) }

// able is judge for a shape without a rank of its own.
func (s *Scheduler) able(p *plan, r *row) bool {
	sh := p.shape
	if !sh.room(r) {
		return false
	}
	if sh.instances {
		s.view.readInstances(r)
	}
	return passes(&p.request, &r.state, sh.fixed) && passes(&p.request, &r.state, sh.moving)
}

// weigh returns the score of a host by the weighers that look at nothing
// else, nowhere when it is gone.
func (s *Scheduler) weigh(r *row) float64 {
	if r.gone {
		return nowhere
	}
	if !r.weighed {
		if s.instances {
			s.view.readInstances(r)
		}
		r.score = s.scorer.score(&s.nobody, &r.state, s.weighers)
		r.weighed = true
	}
	return r.score
}

// park takes a host that is refused until something about it changes, or
// until a moment, out of the rank.
func (sh *shape) park(i uint32, until int64) {
	sh.rank.set(i, nowhere)
	if until != math.MaxInt64 {
		sh.parked = append(sh.parked, parked{i, until})
	}
}

// unpark brings back the hosts whose time has come.
func (s *Scheduler) unpark(p *plan) {
	sh, now := p.shape, p.request.Now.UnixNano()
	still := sh.parked[:0]
	for _, h := range sh.parked {
		if h.until > now {
			still = append(still, h)
			continue
		}
		s.view.at(h.host)
		sh.rank.set(h.host, s.judge(p, h.host))
	}
	sh.parked = still
}

// bytes is the memory that a shape takes.
func (sh *shape) bytes() int64 {
	return sh.rank.bytes() + int64(cap(sh.fits))*8 + int64(cap(sh.parked))*16
}

// bound drops the shapes that were not used for the longest time until the
// ranks fit the budget; never the one in use.
func (s *Scheduler) bound(inUse *shape) {
	for {
		sum, oldest := int64(0), inUse
		for _, sh := range s.shapes {
			if sum += sh.bytes(); sh.used < oldest.used {
				oldest = sh
			}
		}
		if sum <= s.cfg.RankBytes || oldest == inUse {
			return
		}
		delete(s.shapes, oldest.key)
	}
}
