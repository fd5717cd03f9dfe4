package live

// alternates names further hosts for what was chosen, best first: of the same
// cell, chosen for no instance. The instances of a cell share them.
//
// Source: nova, scheduler/manager.py, SchedulerManager._get_alternate_hosts.
func (s *Scheduler) alternates(p *plan) {
	most := p.req.Alternates
	if most <= 0 {
		return
	}
	chosen := make(map[uint32]struct{}, len(p.chosen))
	byCell := map[string][]Alternate{}
	for k, host := range p.chosen {
		chosen[host], byCell[p.got[k].Cell] = struct{}{}, nil
	}
	if s.follow(p) != nil {
		return
	}
	s.walk.start(s.orderOf(p))
	for missing := len(byCell); missing > 0; {
		host, more := s.walk.next()
		if !more {
			break
		}
		r := s.view.rows[host]
		list, wanted := byCell[r.state.Cell]
		if _, taken := chosen[host]; taken || !wanted || len(list) == most || !s.wouldDo(p, host) {
			continue
		}
		list = append(list, Alternate{Host: r.state.Host, Node: r.state.Node, UUID: r.uuid})
		if byCell[r.state.Cell] = list; len(list) == most {
			missing--
		}
	}
	for k := range p.got {
		p.got[k].Alternates = byCell[p.got[k].Cell]
	}
}

// wouldDo reports whether a host could take the present instance too. It
// leaves the rank as it is.
func (s *Scheduler) wouldDo(p *plan, host uint32) bool {
	r := s.view.rows[host]
	if !p.shape.alone && !s.able(p, r) || s.suitsRequest(p, host, r) != admitted {
		return false
	}
	if p.shape.lateInstances {
		s.view.readInstances(r)
	}
	return p.forced || passes(&p.request, &r.state, p.shape.late)
}
