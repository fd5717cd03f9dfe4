package drain

// search tries sets of hosts to free.
type search struct {
	*planner
	order []int // hosts that could be freed, the fewest instances first
}

// most bounds how many hosts the budget can free; one has to stay.
func (s *search) most() int {
	moves, n := s.req.Budget, 0
	for _, h := range s.order {
		if moves -= len(s.req.Hosts[h].Instances); moves < 0 {
			break
		}
		n++
	}
	used := 0
	for i := range s.req.Hosts {
		if len(s.req.Hosts[i].Instances) > 0 {
			used++
		}
	}
	return min(n, max(0, used-1))
}

// size looks for a set of n hosts that can be freed, and leaves the planner
// with it. complete is false when the effort was used up before all were
// tried.
func (s *search) size(n int) (found, complete bool) {
	found = s.choose(0, n, s.req.Budget)
	return found, found || s.steps > 0
}

// choose adds n hosts from order[at:] to the set, with the moves left.
func (s *search) choose(at, n, moves int) bool {
	if n == 0 {
		return s.assign(s.evicted(), 0)
	}
	for ; at+n <= len(s.order) && s.steps > 0; at++ {
		s.steps--
		h := s.order[at]
		cost := len(s.req.Hosts[h].Instances)
		if cost*n > moves { // the others have as many at least
			return false
		}
		s.role[h] = freed
		if s.choose(at+1, n-1, moves-cost) {
			return true
		}
		s.role[h] = stays
	}
	return false
}

// evicted returns the instances of the set.
func (s *search) evicted() []*Instance {
	var all []*Instance
	for h, role := range s.role {
		if role == freed {
			all = append(all, largestFirst(s.req.Hosts[h].Instances)...)
		}
	}
	return all
}

// assign finds destinations for all[at:].
func (s *search) assign(all []*Instance, at int) bool {
	if at == len(all) {
		return true
	}
	for h := range s.free {
		if s.steps <= 0 {
			return false
		}
		if s.refusal(all[at], h) != "" {
			continue
		}
		s.steps--
		s.move(all[at], h)
		if s.assign(all, at+1) {
			return true
		}
		s.move(all[at], -1)
	}
	return false
}
