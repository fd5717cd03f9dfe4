package scheduler

import (
	"cmp"
	"maps"
	"slices"
)

// decision is one run of a [Pipeline].
type decision struct {
	*Pipeline
	query   *Query
	why     *Explanation // nil: nobody asks
	request Request
	spec    RequestSpec // the query's, with the topology that the next instance asks for

	forced   bool           // the request names its hosts, and no filter is asked
	hosts    []candidate    // that are left, the best first
	last     FilterResult   // what the last step did
	earlier  []FilterResult // what steps before did that removed hosts
	selected []Selection
	chosen   []bool // by place in the query
}

// candidate is a host that is left.
type candidate struct {
	*HostState     // with what was consumed
	place      int // in the query
}

func newDecision(p *Pipeline, q *Query, why *Explanation) *decision {
	d := &decision{Pipeline: p, query: q, why: why, spec: *q.Spec, chosen: make([]bool, len(q.Hosts))}
	d.request = Request{Spec: &d.spec, Now: q.Now, Rebuild: q.Spec.Rebuilds()}
	if g := q.Spec.Group; g != nil {
		d.request.GroupHosts = slices.Clone(g.Hosts)
		d.request.setMembers(g.Members)
	}
	d.hosts = make([]candidate, len(q.Hosts))
	for i, h := range q.Hosts {
		d.hosts[i] = candidate{h, i}
	}
	return d
}

// Rebuilds reports whether a request only checks an instance's own host.
//
// Source: nova, scheduler/utils.py, request_is_rebuild.
func (s *RequestSpec) Rebuilds() bool {
	return slices.Equal(s.Hint(checkType), []string{"rebuild"})
}

// sort leaves the hosts that fit, the chosen one first and then the best.
//
// Source: nova, scheduler/manager.py, SchedulerManager._get_sorted_hosts.
func (d *decision) sort() error {
	if err := d.filter(); err != nil || len(d.hosts) == 0 {
		return err
	}
	totals, err := d.weigh()
	if err != nil {
		return err
	}
	d.rank(totals)
	d.draw(totals)
	return nil
}

// rank sorts hosts and totals, the highest first; equal ones keep their order.
func (d *decision) rank(totals []float64) {
	order := make([]int, len(totals))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { // faster than a stable sort
		if totals[a] == totals[b] {
			return a - b
		}
		return cmp.Compare(totals[b], totals[a])
	})
	permute(d.hosts, order)
	permute(totals, order)
	if d.why != nil {
		permute(d.why.Weights, order)
	}
}

func permute[T any](list []T, order []int) {
	old := slices.Clone(list)
	for i, from := range order {
		list[i] = old[from]
	}
}

// draw shuffles the best hosts, if it has to, and moves one of the first to
// the front.
func (d *decision) draw(totals []float64) {
	rng := d.query.Rand
	if rng == nil {
		return
	}
	if d.cfg.ShuffleBest {
		best := 1
		for best < len(totals) && totals[best] == totals[0] {
			best++
		}
		rng.Shuffle(best, func(i, j int) { d.hosts[i], d.hosts[j] = d.hosts[j], d.hosts[i] })
	}
	if n := min(d.cfg.HostSubsetSize, len(d.hosts)); n > 1 {
		at := rng.IntN(n)
		drawn := d.hosts[at]
		copy(d.hosts[1:], d.hosts[:at])
		d.hosts[0] = drawn
	}
}

// take takes an instance's resources from a host.
//
// Source: nova, scheduler/host_manager.py, HostState._locked_consume_from_request.
func (p *Pipeline) take(s *RequestSpec, h *HostState, filtered bool) {
	f := &s.Flavor
	h.FreeRAMMiB -= f.MemoryMiB
	h.FreeDiskMiB -= (f.RootGiB + f.EphemeralGB) * 1024
	h.VCPUsUsed += f.VCPUs
	h.NumInstances++
	var err error
	if p.cfg.Topology != nil {
		err = p.cfg.Topology.Consume(s, h, filtered)
	}
	if err == nil {
		h.NumIOOps++
	}
}

// join puts the instance among those on the host, which a server group counts.
func (r *Request) join(h *HostState) {
	if r.Spec.Group == nil {
		return
	}
	r.GroupHosts = append(r.GroupHosts, h.Host)
	if _, has := h.Instances[r.Instance]; has || r.Instance == "" {
		return
	}
	h.Instances = maps.Clone(h.Instances)
	if h.Instances == nil {
		h.Instances = map[string]Instance{}
	}
	h.Instances[r.Instance] = Instance{}
}

// consume selects the first host and takes the instance's resources from it.
//
// Source: nova, scheduler/manager.py, SchedulerManager._consume_selected_host.
func (d *decision) consume() {
	c := &d.hosts[0]
	h := *c.HostState // what others see does not change
	d.take(&d.spec, &h, !d.forced)
	d.request.join(&h)
	d.selected = append(d.selected, Selection{
		Instance: d.request.Instance, Host: d.query.Hosts[c.place], Topology: d.spec.Topology, Candidate: h.offer(),
	})
	d.chosen[c.place] = true
	c.HostState = &h
}

// alternates finds other hosts in the cells of the selected ones.
//
// Source: nova, scheduler/manager.py, SchedulerManager._get_alternate_hosts.
func (d *decision) alternates() error {
	most := d.cfg.MaxAttempts - 1
	if most == 0 {
		return nil
	}
	if len(d.selected) > 1 { // hosts have changed; the last instance asks once more
		if err := d.sort(); err != nil {
			return err
		}
	}
	for i := range d.selected {
		s := &d.selected[i]
		for _, c := range d.hosts {
			if len(s.Alternates) == most {
				break
			}
			if c.Cell == s.Host.Cell && !d.chosen[c.place] {
				s.Alternates = append(s.Alternates, d.query.Hosts[c.place])
			}
		}
	}
	return nil
}
