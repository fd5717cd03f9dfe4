package live

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// A plan is one request on its way.
type plan struct {
	req       *Request
	instances []placement.UUID
	request   scheduler.Request // what filters see
	shape     *shape
	group     *group
	shunned   map[uint32]struct{}    // hosts that refused this request
	calmed    int                    // how often what others do was forgotten
	refused   map[uint32]struct{}    // hosts that do not do for the present instance
	patience  int                    // how many hosts to look at in vain
	forced    bool                   // no filter is asked
	pinned    bool                   // the pinner has to be asked
	chooses   bool                   // and goes by candidates
	pins      map[uint32]*pins       // by host, as far as they were looked at
	chosen    []uint32               // by instance
	claims    []claim                // by instance
	got       []Selection            // by instance; the caller's in the end
	amounts   []placement.Allocation // memory for theirs
	write     placement.AllocationWrite
	why       *scheduler.Explanation // nil: nobody asked, and there was no need
}

func (s *Scheduler) newPlan(req *Request) (*plan, error) {
	if req.Spec == nil {
		return nil, &placement.InputError{Field: "Spec", Value: "nil", Allowed: "a request spec"}
	}
	if g := req.Spec.Group; g != nil && g.UUID == "" {
		return nil, &placement.InputError{Field: "Spec.Group.UUID", Value: "", Allowed: "the UUID of the server group"}
	}
	p, _ := s.plans.Get().(*plan)
	p.req, p.forced = req, forced(req.Spec)
	p.pinned = s.cfg.Pinner != nil && s.cfg.Pinner.Wants(req.Spec)
	chooser, is := s.cfg.Pinner.(Chooser)
	p.chooses = p.pinned && is && chooser.Narrows(req.Spec)
	var err error
	p.instances, err = req.instances(p.instances[:0])
	return p, err
}

// release keeps the memory of a plan and nothing else.
func (s *Scheduler) release(p *plan) {
	clear(p.claims[:cap(p.claims)])
	clear(p.write.Consumers[:cap(p.write.Consumers)])
	*p = plan{
		instances: p.instances[:0], chosen: p.chosen[:0], claims: p.claims[:0],
		write: placement.AllocationWrite{Consumers: p.write.Consumers[:0]},
	}
	s.plans.Put(p)
}

// Schedule places all instances of a request, or none, and returns when the
// claim is durable: one selection per instance, in their order. Errors:
// [*scheduler.NoValidHostError], which names what each step left and the
// nearest miss; [placement.ErrExists] when an instance holds allocations
// already; [ErrFenced] when a guard of the request moved;
// [placement.ErrUnknownOutcome] when ctx ended before the store answered.
func (s *Scheduler) Schedule(ctx context.Context, req *Request) ([]Selection, error) {
	p, err := s.newPlan(req)
	if err != nil {
		return nil, err
	}
	defer s.release(p)
	if g := req.Spec.Group; g != nil {
		if err := s.groups.enter(ctx, g.UUID); err != nil {
			return nil, err
		}
		defer s.groups.leave(g.UUID)
	}
	for {
		chosen, err := s.attempt(ctx, p)
		if err == nil || !errors.Is(err, errLost) {
			if p.why != nil {
				s.tell(p, chosen, err)
			}
			return chosen, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// errLost: somebody else was faster; decide again.
var errLost = errors.New("lost a race")

// attempt decides once and claims.
func (s *Scheduler) attempt(ctx context.Context, p *plan) ([]Selection, error) {
	if err := s.fenced(ctx, p.req.Guards); err != nil {
		return nil, err
	}
	if err := s.decide(ctx, p); err != nil {
		return nil, err
	}
	err := s.cfg.Engine.SetAllocations(ctx, p.write)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.land(p)
	if err == nil {
		s.stats.Claims++
		for _, l := range s.learners {
			l.Learn(p.req.Spec, len(p.instances))
		}
		return p.got, nil
	}
	if !lost(err) {
		return nil, err
	}
	s.stats.Lost++
	return nil, s.learn(p, err)
}

// lost reports whether an error of a claim means that the state it was
// decided on is not the present one.
func lost(err error) bool {
	var input *placement.InputError
	return errors.Is(err, placement.ErrConcurrentUpdate) || errors.Is(err, placement.ErrCapacity) ||
		errors.As(err, &input) && (input.Field == "resource_provider" || input.Field == "resource_class")
}

// decide chooses hosts for all instances and counts their claims as taken.
func (s *Scheduler) decide(ctx context.Context, p *plan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		err := s.tryDecide(ctx, p)
		if !errors.Is(err, scheduler.ErrNoValidHost) {
			return err
		}
		again, waitErr := s.settleDown(ctx, p)
		if waitErr != nil {
			return waitErr
		}
		if !again {
			return s.refuse(ctx, p)
		}
	}
}

func (s *Scheduler) tryDecide(ctx context.Context, p *plan) error {
	if err := s.view.sync(); err != nil {
		return err
	}
	if err := s.prepare(p); err != nil {
		return err
	}
	for k := range p.instances {
		if err := s.place(ctx, p, k); err != nil {
			s.undo(p)
			return err
		}
	}
	s.alternates(p)
	s.compose(p)
	s.inFlight++
	return nil
}

// The number of hosts that a shape without a rank of its own looks at in vain
// before it gets one: as many as it would have to replay for having one.
const (
	leastPatience = 8
	maxPatience   = 256
)

// prepare makes the plan start afresh.
func (s *Scheduler) prepare(p *plan) error {
	p.pins, p.why = nil, nil
	p.chosen, p.claims, p.got = p.chosen[:0], p.claims[:0], make([]Selection, 0, len(p.instances))
	spec := p.req.Spec
	if spec.Group != nil {
		g, err := s.readGroup(spec, p.instances)
		if err != nil {
			return err
		}
		p.group = g
		own := *spec
		own.Group = &scheduler.Group{
			UUID: spec.Group.UUID, Policy: spec.Group.Policy, MaxServerPerHost: spec.Group.MaxServerPerHost,
			Members: g.names, Hosts: g.hosts,
		}
		spec = &own
	}
	p.request = scheduler.Request{Spec: spec, Now: s.cfg.Now()}
	p.shape = s.shapeOf(p)
	p.amounts = make([]placement.Allocation, 0, len(p.instances)*len(p.shape.need))
	return nil
}

// place chooses a host for instance k.
func (s *Scheduler) place(ctx context.Context, p *plan, k int) error {
	p.request.Index, p.request.Instance = k, p.req.Spec.Instances[k]
	if g := p.group; g != nil {
		p.request.Spec.Group.Members, p.request.Spec.Group.Hosts, p.request.GroupHosts = g.names, g.hosts, g.hosts
	}
	host, got, err := s.pick(ctx, p)
	if err != nil {
		return fmt.Errorf("instance %s: %w", p.request.Instance, err)
	}
	if k == 0 && p.req.Why != nil {
		a := s.explain(ctx, p)
		a.lead(host)
		p.why = a.explanation()
	}
	c := claim{consumer: p.instances[k], amounts: p.shape.need}
	r := s.view.rows[host]
	r.take(c)
	s.view.note(host, false)
	p.chosen, p.claims = append(p.chosen, host), append(p.claims, c)
	p.got = append(p.got, Selection{
		Instance: p.request.Instance, Host: r.state.Host, Node: r.state.Node, Cell: r.state.Cell, UUID: r.uuid, Allocations: got, Pins: s.choice.pins,
	})
	if p.pinned {
		list := s.pinsOf(p, host)
		list.held, list.fresh = append(list.held, pin{c.consumer, s.choice.pins}), true
	}
	if p.group != nil {
		p.group.join(p.instances[k], p.request.Instance, host, r.state.Host)
	}
	return nil
}

// undo gives back what the plan's claims count for.
func (s *Scheduler) undo(p *plan) {
	for k, i := range p.chosen {
		s.view.rows[i].give(p.claims[k].consumer)
		s.view.note(i, false)
	}
}

// land ends a claim that the engine answered. A claim that it took is in the
// feed by now.
func (s *Scheduler) land(p *plan) {
	s.undo(p)
	s.inFlight--
	if s.landed != nil {
		close(s.landed)
		s.landed = nil
	}
}

// compose makes the write of the plan.
func (s *Scheduler) compose(p *plan) {
	w := &p.write
	w.Guards, w.Attachments = slices.Clip(p.req.Guards), nil
	w.Consumers = slices.Grow(w.Consumers[:0], len(p.instances)+len(p.req.Also))
	generation := placement.NewConsumer
	if p.req.Existing {
		generation = placement.AnyGeneration
	}
	for k, uuid := range p.instances {
		w.Consumers = append(w.Consumers, placement.ConsumerAllocations{
			Consumer: uuid, Project: p.req.Spec.ProjectID, User: p.req.Spec.UserID, Type: "INSTANCE",
			Generation: generation, Allocations: p.got[k].Allocations,
		})
	}
	w.Consumers = append(w.Consumers, p.req.Also...)
	if p.group != nil {
		p.group.carry(w)
	}
	for _, host := range p.chosen {
		if list := p.pins[host]; list != nil && list.fresh {
			list.carry(w)
			list.fresh = false // once, however many instances are there
		}
	}
}

// learn notes what a refused claim tells.
func (s *Scheduler) learn(p *plan, err error) error {
	var full *placement.CapacityError
	if errors.As(err, &full) {
		s.hear(p, full)
		return errLost
	}
	if !p.req.Existing {
		for _, uuid := range p.instances {
			if _, _, known := s.cfg.Engine.Consumer(uuid); known == nil {
				return fmt.Errorf("instance %s has allocations: %w", uuid, placement.ErrExists)
			}
		}
	}
	return errLost
}

// hear remembers how much of an inventory is used with what others have in
// flight, until the host changes.
func (s *Scheduler) hear(p *plan, full *placement.CapacityError) {
	root := full.Provider
	if provider, err := s.cfg.Engine.Provider(root); err == nil {
		root = provider.Root
	}
	i, known := s.view.byUUID[root]
	if !known {
		return
	}
	r := s.view.at(i)
	if k := r.find(full.Class); r.flat && k != nil && full.Used > k.inUse() {
		k.heard = full.Used
		r.amounts()
		s.view.note(i, false)
		s.heard = append(s.heard, i)
		return
	}
	if p.shunned == nil {
		p.shunned = map[uint32]struct{}{}
	}
	p.shunned[i] = struct{}{}
}

// settleDown is called when nothing fits. It reports whether to look again:
// when claims of this scheduler were in the way that may not have been taken,
// or what was heard of others' claims.
func (s *Scheduler) settleDown(ctx context.Context, p *plan) (bool, error) {
	if len(s.heard)+len(p.shunned) > 0 {
		for _, i := range s.heard {
			s.view.rows[i].stale = true
			s.view.note(i, false)
		}
		s.heard, p.shunned = s.heard[:0], nil
		if p.calmed++; p.calmed < 3 {
			return true, nil
		}
	}
	if sh := p.shape; sh.guessed && sh.pools != s.view.pools {
		sh.seen = 0 // others share what changed: rank all hosts again
		return true, nil
	}
	if s.inFlight == 0 {
		return false, nil
	}
	if s.landed == nil {
		s.landed = make(chan struct{})
	}
	landed := s.landed
	s.mu.Unlock()
	defer s.mu.Lock()
	if err := s.cfg.Engine.Await(ctx, landed); err != nil {
		return false, err
	}
	return true, nil
}
