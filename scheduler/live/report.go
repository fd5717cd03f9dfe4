package live

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// remembered is the latest refusal of a shape, for the next request like it.
type remembered struct {
	at    uint64 // number of the log's next entry
	now   time.Time
	why   *scheduler.Explanation
	error scheduler.NoValidHostError
}

// mostRemembered bounds the memory of refusals, some ten KiB each.
const mostRemembered = 64

// refuse says why the present instance of a plan has no host, with what the
// instances before it would have taken. Where nothing but the shape decides,
// that is said again while few hosts changed and the second is the same: a
// full cloud may refuse a lot.
func (s *Scheduler) refuse(ctx context.Context, p *plan) error {
	known, now := s.refusals[p.shape], p.request.Now.Truncate(time.Second)
	common := alike(p)
	if common && known != nil && p.req.Why == nil && known.now.Equal(now) && s.view.next-known.at <= uint64(len(s.view.rows)/64) {
		p.why = known.why
		err := known.error
		err.Instance = p.request.Instance
		return fmt.Errorf("instance %s: %w", p.request.Instance, &err)
	}
	for k, i := range p.chosen {
		s.view.rows[i].take(p.claims[k])
	}
	why, err := s.explain(ctx, p).refusal()
	for k, i := range p.chosen {
		s.view.rows[i].give(p.claims[k].consumer)
	}
	if p.why = why; common {
		if len(s.refusals) >= mostRemembered {
			clear(s.refusals)
		}
		s.refusals[p.shape] = &remembered{s.view.next, now, why, *err}
	}
	return fmt.Errorf("instance %s: %w", p.request.Instance, err)
}

// alike reports whether all requests of the plan's shape would be refused for
// the same reasons.
func alike(p *plan) bool {
	spec := p.request.Spec
	if p.request.Index > 0 || p.group != nil || p.pinned || demanding(spec) {
		return false
	}
	return !slices.ContainsFunc(p.shape.late, func(f scheduler.Filter) bool {
		_, windowed := f.(scheduler.Windowed)
		return !windowed
	})
}

// tell tells whoever wants to know how a request was decided.
func (s *Scheduler) tell(p *plan, chosen []Selection, err error) {
	if p.req.Why != nil {
		*p.req.Why = *p.why
	}
	if s.cfg.Reports == nil {
		return
	}
	s.mu.Lock()
	r := report(p.req, chosen, p.why, err, func(uuid placement.UUID) *scheduler.HostState {
		if i, known := s.view.byUUID[uuid]; known {
			return s.view.rows[i].record
		}
		return nil
	})
	s.mu.Unlock()
	s.cfg.Reports.Add(r)
}

// report makes a report. record returns what is known of a host besides its
// allocations, nil when it is gone.
func report(req *Request, chosen []Selection, why *scheduler.Explanation, err error, record func(placement.UUID) *scheduler.HostState) scheduler.Report {
	known := func(host, node string, uuid placement.UUID) *scheduler.HostState {
		if h := record(uuid); h != nil {
			return h
		}
		return &scheduler.HostState{Host: host, Node: node, UUID: uuid.String()}
	}
	out := scheduler.Report{Request: cmp.Or(req.ID, req.Spec.Instances[0]), Explanation: *why, Err: err}
	for k := range chosen {
		c := &chosen[k]
		of := scheduler.Selection{Instance: c.Instance, Host: known(c.Host, c.Node, c.UUID)}
		for _, a := range c.Alternates {
			of.Alternates = append(of.Alternates, known(a.Host, a.Node, a.UUID))
		}
		out.Selected = append(out.Selected, of)
	}
	return out
}
