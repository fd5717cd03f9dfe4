package scheduler

import (
	"slices"
	"strings"
)

// checkType is the hint that makes filters run on forced hosts too.
const checkType = "_nova_check_type"

// demands is the name of what a request itself demands of hosts.
const demands = "the request"

// filter leaves the hosts that the request's demands and all filters accept.
//
// Source: nova, scheduler/host_manager.py, HostManager.get_filtered_hosts, and
// filters.py, BaseFilterHandler.get_filtered_objects.
func (d *decision) filter() error {
	d.last, d.earlier = FilterResult{}, nil
	stop := d.demand()
	if d.why != nil {
		d.why.Demands = d.last
	}
	if stop {
		return nil
	}
	demanded := d.last
	for _, f := range d.cfg.Filters {
		scope := Scope(0)
		if s, ok := f.(Scoped); ok {
			scope = s.Scope(&d.spec)
		}
		if d.request.Index > 0 && scope&FirstInstance != 0 {
			continue
		}
		all := scope&EveryHost != 0 || d.request.Rebuild && scope&OnRebuild == 0
		d.pass()
		if err := d.run(f, all); err != nil {
			return err
		}
		if d.why != nil {
			d.why.Filters = append(d.why.Filters, d.last)
		}
		if len(d.hosts) == 0 {
			if d.last.Before == 0 && demanded.Name != "" {
				d.last, d.earlier = demanded, nil
			}
			return nil
		}
	}
	return nil
}

// pass notes what the last step did before the next one runs.
func (d *decision) pass() {
	if d.last.Before > d.last.After {
		d.earlier = append(d.earlier, d.last)
	}
}

// run asks a filter about each host, unless all of them pass.
func (d *decision) run(f Filter, all bool) error {
	var failed error
	narrower, narrows := f.(Narrower)
	narrows = narrows && narrower.Narrows(&d.spec)
	d.keep(f.Name(), func(c *candidate) (reason Reason) {
		switch {
		case all || failed != nil:
		case narrows:
			var kept []Candidate
			kept, reason, failed = narrower.Narrow(&d.request, c.HostState)
			if len(kept) < len(c.Candidates) {
				h := *c.HostState // what others see does not change
				h.Candidates = kept
				c.HostState = &h
			}
		default:
			reason, failed = f.Pass(&d.request, c.HostState)
		}
		return reason
	})
	return failed
}

// keep drops the hosts that have a reason.
func (d *decision) keep(name string, reason func(c *candidate) Reason) {
	d.last = FilterResult{Name: name, Before: len(d.hosts)}
	left := d.hosts[:0]
	for _, c := range d.hosts {
		why := reason(&c)
		if why.Passes() {
			left = append(left, c)
			continue
		}
		d.last.Rejected = append(d.last.Rejected, Rejection{c.Host, c.Node, why})
	}
	d.hosts = left
	d.last.After = len(left)
}

// demand leaves the hosts that the request names, and reports whether no
// filter has to be asked any more. Hosts are compared without case where they
// are ignored or forced, with case where they are requested.
func (d *decision) demand() (stop bool) {
	s := &d.spec
	for _, refuse := range demandsOf(s) {
		if d.narrow(refuse.refuse); refuse.ignores && len(d.hosts) == 0 {
			return true
		}
	}
	d.forced = len(s.ForceHosts)+len(s.ForceNodes) > 0 && len(s.Hint(checkType)) == 0
	return d.forced
}

// demand is what a request itself demands of hosts.
type demand struct {
	ignores bool
	refuse  func(h *HostState) Reason
}

// demandsOf returns the demands of a request in their order.
func demandsOf(s *RequestSpec) []demand {
	var list []demand
	if to := s.Destination; to != nil && to.Host != nil {
		list = append(list, demand{refuse: func(h *HostState) Reason {
			if h.Host != *to.Host || to.Node != "" && h.Node != to.Node {
				return Reason{Why: "is not the requested destination"}
			}
			return Reason{}
		}})
	}
	if len(s.IgnoreHosts) > 0 {
		list = append(list, demand{true, listed(s.IgnoreHosts, false, "is ignored")})
	}
	if len(s.ForceHosts) > 0 {
		list = append(list, demand{refuse: listed(s.ForceHosts, true, "is not among the forced hosts")})
	}
	if len(s.ForceNodes) > 0 {
		list = append(list, demand{refuse: func(h *HostState) Reason {
			if !slices.Contains(s.ForceNodes, h.Node) {
				return Reason{Why: "is not among the forced nodes"}
			}
			return Reason{}
		}})
	}
	return list
}

// listed refuses hosts that are in a list, or those that are not.
func listed(names []string, want bool, why string) func(*HostState) Reason {
	lower := make(map[string]bool, len(names))
	for _, name := range names {
		lower[strings.ToLower(name)] = true
	}
	return func(h *HostState) Reason {
		if lower[strings.ToLower(h.Host)] != want {
			return Reason{Why: why}
		}
		return Reason{}
	}
}

// narrow is one of several demands, which are told as one.
func (d *decision) narrow(reason func(*HostState) Reason) {
	before := d.last
	d.keep(demands, func(c *candidate) Reason { return reason(c.HostState) })
	if before.Name != "" {
		d.last.Before = before.Before
		d.last.Rejected = append(before.Rejected, d.last.Rejected...)
	}
}
