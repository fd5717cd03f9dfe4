package live

import (
	"context"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// runnersUp is how many hosts are weighed in an explanation.
const runnersUp = 10

// An account is how every host fares with the present instance of a plan. It
// is made by looking at all of them: when none was found, or somebody asks.
type account struct {
	*Scheduler
	p         *plan
	with      map[placement.UUID]struct{} // flat hosts with the traits and aggregates; nil: none are asked for
	instances bool                        // somebody looks at instances
	steps     []step
	left      int        // hosts that no step refuses
	best      []champion // of them
}

// step is what may refuse a host.
type step struct {
	*scheduler.Stage
	refused int
	why     func(i uint32, r *row) scheduler.Reason
}

// explain says how the hosts fare with the present instance.
func (s *Scheduler) explain(ctx context.Context, p *plan) *account {
	sh := p.shape
	a := &account{Scheduler: s, p: p, instances: sh.instances || sh.lateInstances || s.instances || len(sh.last) > 0}
	var err error
	if a.with, err = s.suitable(sh, placement.ProviderFilter{}); err != nil {
		a.with = map[placement.UUID]struct{}{} // a trait was deleted: no host has it
	}
	a.add("placement", func(_ uint32, r *row) scheduler.Reason { return a.lacks(ctx, r) })
	a.add("the request", func(_ uint32, r *row) scheduler.Reason {
		return scheduler.Reason{Why: demand(p.request.Spec, &r.state)}
	})
	a.addGroup()
	if !p.forced {
		for _, f := range s.cfg.Filters {
			a.addFilter(f)
		}
	}
	if p.pinned {
		a.add("NUMA cells and devices", func(i uint32, _ *row) scheduler.Reason {
			_, reason, err := s.pin(ctx, p, i)
			return cannot(reason, err)
		})
	}
	a.add("weighers", func(_ uint32, r *row) scheduler.Reason {
		if a.total(r) == nowhere {
			return scheduler.Reason{Why: "cannot be weighed"}
		}
		return scheduler.Reason{}
	})
	for k := range s.view.rows {
		if r := s.view.at(uint32(k)); !r.gone {
			a.judge(uint32(k), r)
		}
	}
	return a
}

func (a *account) add(name string, why func(i uint32, r *row) scheduler.Reason) {
	a.steps = append(a.steps, step{scheduler.NewStage(name), 0, why})
}

// addGroup adds the rule of the server group under the name of Nova's filter,
// which is not asked.
func (a *account) addGroup() {
	g := a.p.group
	if g == nil {
		return
	}
	switch g.policy {
	case scheduler.Affinity:
		a.add("ServerGroupAffinityFilter", func(i uint32, _ *row) scheduler.Reason {
			if g.allows(i) {
				return scheduler.Reason{}
			}
			return scheduler.Reason{Why: "the affinity group is on %h other hosts, %a among them", Have: float64(len(g.hosts)), Asked: g.hosts[0]}
		})
	case scheduler.AntiAffinity:
		a.add("ServerGroupAntiAffinityFilter", func(i uint32, _ *row) scheduler.Reason {
			if g.allows(i) {
				return scheduler.Reason{}
			}
			return scheduler.Reason{
				Why: "the host has %h members of the anti-affinity group, allowed are %w", Have: float64(g.on[i]), Want: float64(max(0, g.most)),
			}
		})
	}
}

func (a *account) addFilter(f scheduler.Filter) {
	switch {
	case groupRule(f.Name()):
	case passesAlways(f, a.p.request.Spec):
		a.add(f.Name(), func(uint32, *row) scheduler.Reason { return scheduler.Reason{} })
	default:
		a.add(f.Name(), func(_ uint32, r *row) scheduler.Reason { return cannot(f.Pass(&a.p.request, &r.state)) })
	}
}

// cannot is the reason, or that there is an error.
func cannot(reason scheduler.Reason, err error) scheduler.Reason {
	if err != nil {
		return scheduler.Reason{Why: "cannot be evaluated: %a", Asked: err.Error()}
	}
	return reason
}

// judge notes which step refuses a host, or how good it is.
func (a *account) judge(i uint32, r *row) {
	if a.instances {
		a.view.readInstances(r)
	}
	for k := range a.steps {
		st := &a.steps[k]
		if why := st.why(i, r); !why.Passes() {
			st.refused++
			st.Reject(scheduler.Rejection{Host: r.state.Host, Node: r.state.Node, Reason: why})
			return
		}
	}
	a.left++
	c := a.orderOf(a.p).champion(i, a.total(r))
	at := len(a.best)
	for at > 0 && c.beats(&a.best[at-1]) {
		at--
	}
	if at < runnersUp {
		a.best = slices.Insert(a.best, at, c)
		a.best = a.best[:min(runnersUp, len(a.best))]
	}
}

// total is the score of a host by which the plan ranks it.
func (a *account) total(r *row) float64 {
	return a.weigh(r) + a.scorer.score(&a.p.request, &r.state, a.p.shape.scored) + a.scorer.score(&a.p.request, &r.state, a.p.shape.last)
}

// lead puts the host that was chosen first among the best.
func (a *account) lead(host uint32) {
	at := slices.IndexFunc(a.best, func(c champion) bool { return c.host == host })
	c := a.orderOf(a.p).champion(host, a.total(a.view.rows[host]))
	if at >= 0 {
		a.best = slices.Delete(a.best, at, at+1)
	}
	a.best = slices.Insert(a.best[:min(runnersUp-1, len(a.best))], 0, c)
}

// explanation says what each step left, and how good the best hosts are.
func (a *account) explanation() *scheduler.Explanation {
	e := &scheduler.Explanation{}
	left := a.hosts()
	for k := range a.steps {
		st := &a.steps[k]
		left -= st.refused
		switch {
		case k == 0:
			e.Placement = st.Result(left)
		case k == 1 && demanding(a.p.request.Spec):
			e.Demands = st.Result(left)
		case k > 1 && (k+1 < len(a.steps) || st.refused > 0): // weighers seldom refuse
			e.Filters = append(e.Filters, st.Result(left))
		}
		if left == 0 {
			break
		}
	}
	for k := range a.best {
		e.Weights = append(e.Weights, a.weights(&a.best[k]))
	}
	return e
}

// hosts returns how many were looked at.
func (a *account) hosts() int {
	n := a.left
	for k := range a.steps {
		n += a.steps[k].refused
	}
	return n
}

// refusal is the explanation of why the present instance has no host, and the
// error that says so.
func (a *account) refusal() (*scheduler.Explanation, *scheduler.NoValidHostError) {
	why := a.explanation()
	if a.left > 0 { // what stood in the way is gone by now
		st := scheduler.NewStage("claims of others")
		for _, w := range why.Weights {
			st.Reject(scheduler.Rejection{Host: w.Host, Node: w.Node, Reason: scheduler.Reason{Why: "fits by now"}})
		}
		why.Filters, why.Weights = append(why.Filters, st.Result(0)), nil
	}
	err := &scheduler.NoValidHostError{Instance: a.p.request.Instance, Index: a.p.request.Index, Hosts: a.hosts(), Last: why.Placement}
	for _, r := range slices.Concat([]scheduler.FilterResult{why.Demands}, why.Filters) {
		if r.Name == "" {
			continue
		}
		if err.Last.Before > err.Last.After {
			err.Earlier = append(err.Earlier, err.Last)
		}
		err.Last = r
	}
	return why, err
}

// weights says what each weigher thinks of a host.
func (a *account) weights(c *champion) scheduler.HostWeight {
	r := a.view.rows[c.host]
	out := scheduler.HostWeight{Host: r.state.Host, Node: r.state.Node, Total: c.score}
	for _, configured := range a.cfg.Weighers {
		w := newWeigher(configured, a.cfg.Scales)
		of := scheduler.Weight{Weigher: w.Name(), Multiplier: w.multiplier.For(&r.state)}
		host, raw := [1]*scheduler.HostState{&r.state}, [1]float64{}
		if err := w.Weigh(&a.p.request, host[:], raw[:]); err == nil {
			of.Raw = max(raw[0], w.least)
			of.Normalized = of.Raw / w.scale
			of.Weighted = of.Multiplier * of.Raw / w.scale
		}
		out.Weights = append(out.Weights, of)
	}
	return out
}
