package drain

import (
	"cmp"
	"fmt"
	"slices"
)

const defaultEffort = 100_000

// planner is a plan in the making.
type planner struct {
	req   *Request
	free  [][Amounts]int64
	group []map[*Group]int // members by host
	role  []role
	to    map[*Instance]int // destinations
	left  int               // moves
	steps int
}

// role is what becomes of a host.
type role uint8

const (
	stays role = iota
	freed
	takes // stays, as instances were moved to it
)

// Make plans. It first frees the hosts with the fewest instances, each if all
// of them find room, the largest first, on the fullest host that will do.
// Then it tries every set of hosts that is larger, the largest sets first,
// until one can be freed or its effort is used up. It returns an error only
// for a request that makes no sense.
func Make(r *Request) (*Plan, error) {
	if err := r.validate(); err != nil {
		return nil, err
	}
	order := candidates(r)
	best := newPlanner(r)
	have := best.greedy(order)
	s := search{planner: newPlanner(r), order: order}
	if s.steps = r.Effort; r.Effort == 0 {
		s.steps = defaultEffort
	}
	known := true
	for size := s.most(); size > have; size-- {
		found, complete := s.size(size)
		known = known && complete
		if found {
			best = s.planner
			break
		}
		if !complete {
			break
		}
	}
	plan := best.plan()
	plan.Best = known
	return plan, nil
}

func newPlanner(r *Request) *planner {
	p := &planner{req: r, to: map[*Instance]int{}, left: r.Budget, role: make([]role, len(r.Hosts))}
	for i := range r.Hosts {
		h := &r.Hosts[i]
		p.free = append(p.free, h.Free)
		members := map[*Group]int{}
		for k := range h.Instances {
			if g := h.Instances[k].Group; g != nil {
				members[g]++
			}
		}
		p.group = append(p.group, members)
	}
	return p
}

// candidates returns the hosts in use whose instances can all move, the one
// with the fewest first.
func candidates(r *Request) []int {
	var out []int
	for i := range r.Hosts {
		all := r.Hosts[i].Instances
		if len(all) > 0 && !slices.ContainsFunc(all, func(in Instance) bool { return in.Fixed }) {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, func(a, b int) int { return cmp.Compare(len(r.Hosts[a].Instances), len(r.Hosts[b].Instances)) })
	return out
}

// greedy frees hosts one after the other and returns how many.
func (p *planner) greedy(order []int) int {
	n := 0
	for _, h := range order {
		if p.role[h] != stays || len(p.req.Hosts[h].Instances) > p.left {
			continue
		}
		p.role[h] = freed
		if p.empty(h) {
			n++
		} else {
			p.role[h] = stays
		}
	}
	return n
}

// empty moves all instances of a host, or none.
func (p *planner) empty(h int) bool {
	order := largestFirst(p.req.Hosts[h].Instances)
	for n, in := range order {
		to := p.fullest(in)
		if to < 0 {
			for _, moved := range order[:n] {
				p.move(moved, -1)
			}
			return false
		}
		p.move(in, to)
	}
	return true
}

func largestFirst(instances []Instance) []*Instance {
	out := make([]*Instance, len(instances))
	for i := range instances {
		out[i] = &instances[i]
	}
	slices.SortStableFunc(out, func(a, b *Instance) int { return slices.Compare(b.Need[:], a.Need[:]) })
	return out
}

// fullest returns the host with the least free that can take the instance, -1
// when there is none.
func (p *planner) fullest(in *Instance) int {
	best := -1
	for h := range p.free {
		if p.refusal(in, h) == "" && (best < 0 || slices.Compare(p.free[h][:], p.free[best][:]) < 0) {
			best = h
		}
	}
	return best
}

// move books an instance on a host, or takes it back from there with -1.
func (p *planner) move(in *Instance, to int) {
	sign, at := int64(-1), to
	if to < 0 {
		sign, at = 1, p.to[in]
		delete(p.to, in)
		p.left++
	} else {
		p.to[in] = to
		p.left--
	}
	for k, need := range in.Need {
		p.free[at][k] += sign * need
	}
	if in.Group != nil {
		p.group[at][in.Group] -= int(sign)
	}
	p.role[at] = stays
	for _, host := range p.to {
		if host == at {
			p.role[at] = takes
		}
	}
}

// refusal says why an instance cannot go to a host, "" when it can.
func (p *planner) refusal(in *Instance, h int) string {
	host := &p.req.Hosts[h]
	switch {
	case p.role[h] == freed:
		return "is to be freed"
	case len(host.Instances) == 0:
		return "is not in use"
	case host.Closed:
		return "is closed"
	}
	for k, need := range in.Need {
		if lacks := need - p.free[h][k]; need > 0 && lacks > 0 {
			unit := p.req.Units[k]
			if unit == "" {
				unit = fmt.Sprintf("of amount %d", k)
			}
			return fmt.Sprintf("lacks %d %s", lacks, unit)
		}
	}
	if g := in.Group; g != nil && g.Together {
		for other, to := range p.to {
			if other.Group == g && to != h {
				return "is without the rest of group " + g.Name
			}
		}
	} else if g != nil && p.group[h][g] >= g.MaxPerHost {
		return "is full of group " + g.Name
	}
	if p.req.Allows != nil && !p.req.Allows(in, host) {
		return "is not allowed"
	}
	return ""
}

// plan writes down what was decided.
func (p *planner) plan() *Plan {
	out := &Plan{Moves: []Move{}, Freed: []string{}, Kept: []Kept{}}
	for h := range p.req.Hosts {
		host := &p.req.Hosts[h]
		switch {
		case p.role[h] == freed:
			out.Freed = append(out.Freed, host.Name)
			for k := range host.Instances {
				in := &host.Instances[k]
				out.Moves = append(out.Moves, Move{in.Name, host.Name, p.req.Hosts[p.to[in]].Name})
			}
		case len(host.Instances) > 0:
			out.Kept = append(out.Kept, Kept{host.Name, p.why(h)})
		}
	}
	return out
}

// why says why a host is not freed.
func (p *planner) why(h int) string {
	host := &p.req.Hosts[h]
	for k := range host.Instances {
		if host.Instances[k].Fixed {
			return fmt.Sprintf("instance %s cannot move", host.Instances[k].Name)
		}
	}
	switch n := len(host.Instances); {
	case p.role[h] == takes:
		return "takes instances of hosts that are freed"
	case n > p.left:
		return fmt.Sprintf("needs %d moves, %d are left", n, p.left)
	}
	p.role[h] = freed
	defer func() { p.role[h] = stays }()
	for _, in := range largestFirst(host.Instances) {
		if p.fullest(in) < 0 {
			return fmt.Sprintf("instance %s has no room: %s", in.Name, p.nearest(in))
		}
	}
	return "its instances have room one by one, but not all together"
}

// nearest names the host that other than being in the plan comes closest to
// taking the instance: the one with the most free.
func (p *planner) nearest(in *Instance) string {
	best := -1
	for h := range p.free {
		if p.role[h] != freed && len(p.req.Hosts[h].Instances) > 0 && (best < 0 || slices.Compare(p.free[h][:], p.free[best][:]) > 0) {
			best = h
		}
	}
	if best < 0 {
		return "no other host is in use"
	}
	return p.req.Hosts[best].Name + " " + p.refusal(in, best)
}
