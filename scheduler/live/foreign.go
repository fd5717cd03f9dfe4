package live

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Placement is what a [Foreign] scheduler asks of a Placement server;
// api/placementclient.Client is one.
type Placement interface {
	Candidates(ctx context.Context, req placement.CandidateRequest) iter.Seq2[*placement.Candidate, error]
	SetAllocations(ctx context.Context, w placement.AllocationWrite) error
	DeleteAllocations(ctx context.Context, consumer placement.UUID) error
	Consumer(ctx context.Context, uuid placement.UUID) (placement.Consumer, []placement.Holding, error)
	Provider(ctx context.Context, uuid placement.UUID) (placement.Provider, error)
}

// ForeignConfig makes a [Foreign].
type ForeignConfig struct {
	Placement Placement
	Hosts     *Hosts
	Pipeline  *scheduler.Pipeline // decides
	// Reports keeps how requests were decided that found no host or have a
	// [Request.Why]; nil: nobody does.
	Reports *scheduler.Reports
	Now     func() time.Time // nil: it stays at the year 1
	// Members says who is in a server group by now, also for the check after
	// the claim; nil: those that the request lists.
	Members  func(ctx context.Context, group string) ([]string, error)
	Seed     uint64 // draws among the best hosts
	Attempts int    // to place an instance, 0: 3
	Limit    int    // candidates to ask for, 0: 1,000
}

// Foreign schedules on a Placement server that knows no guards: it asks for
// candidates, decides on the records of their hosts, and claims, one instance
// after the other. Capacity is never exceeded, as the server sees to it. The
// rules of a server group are checked after the claim, which is taken back
// when another was faster; for a moment they may be broken. What a [Pinner]
// would give away is not part of the claim. It is safe for concurrent use.
type Foreign struct {
	cfg ForeignConfig

	mu    sync.Mutex
	rng   *rand.Rand
	roots map[placement.UUID]placement.UUID // of providers; trees rarely change
}

// NewForeign makes a scheduler on a Placement server.
func NewForeign(cfg ForeignConfig) (*Foreign, error) {
	if cfg.Placement == nil || cfg.Hosts == nil || cfg.Pipeline == nil {
		return nil, &placement.InputError{Field: "Placement, Hosts, Pipeline", Value: "nil", Allowed: "all three of them"}
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 3
	}
	if cfg.Limit == 0 {
		cfg.Limit = 1000
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Time{} }
	}
	return &Foreign{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), roots: map[placement.UUID]placement.UUID{}}, nil
}

// Schedule places all instances of a request, or none. Requests with Existing,
// Also or Guards are refused: here they could not be one act. Errors:
// [*scheduler.NoValidHostError], about the hosts that the server offers;
// [*placement.InputError]; those of the server.
func (f *Foreign) Schedule(ctx context.Context, req *Request) ([]Selection, error) {
	if req.Spec == nil || req.Existing || len(req.Also)+len(req.Guards) > 0 {
		return nil, &placement.InputError{Field: "Request", Value: "Existing, Also or Guards", Allowed: "a spec of new instances"}
	}
	instances, err := req.instances(nil)
	if err != nil {
		return nil, err
	}
	why := req.Why
	if why == nil && f.cfg.Reports != nil {
		why = &scheduler.Explanation{}
	}
	chosen, err := f.placeAll(ctx, req, instances, why)
	if f.cfg.Reports != nil && (req.Why != nil || errors.Is(err, scheduler.ErrNoValidHost)) {
		f.cfg.Reports.Add(report(req, chosen, why, err, f.cfg.Hosts.Host))
	}
	return chosen, err
}

// placeAll places the instances one after the other. If why is not nil, it is
// filled in.
func (f *Foreign) placeAll(ctx context.Context, req *Request, instances []placement.UUID, why *scheduler.Explanation) ([]Selection, error) {
	var done []Selection
	for k, uuid := range instances {
		chosen, err := f.place(ctx, req, instances[:k+1], why)
		if err != nil {
			for _, placed := range instances[:k] {
				err = errors.Join(err, f.cfg.Placement.DeleteAllocations(ctx, placed))
			}
			return nil, fmt.Errorf("instance %s: %w", uuid, err)
		}
		done = append(done, chosen)
	}
	f.cfg.Pipeline.Learn(req.Spec, len(done))
	return done, nil
}

// place finds a host for the last of the instances.
func (f *Foreign) place(ctx context.Context, req *Request, instances []placement.UUID, why *scheduler.Explanation) (Selection, error) {
	k := len(instances) - 1
	for attempt := 1; ; attempt++ {
		spec := *req.Spec
		spec.Instances = spec.Instances[k : k+1]
		var own *scheduler.Explanation
		if why != nil {
			own = &scheduler.Explanation{}
		}
		chosen, err := f.try(ctx, req, &spec, instances, own)
		if why != nil && (k == 0 || errors.Is(err, scheduler.ErrNoValidHost)) {
			*why = *own
		}
		if err == nil {
			var kept bool
			if kept, err = f.check(ctx, req.Spec.Group, instances); kept {
				return chosen, nil
			}
			if err == nil {
				err = fmt.Errorf("another server of the group came first: %w", placement.ErrConcurrentUpdate)
			}
			err = errors.Join(err, f.cfg.Placement.DeleteAllocations(ctx, instances[k]))
		}
		if attempt == f.cfg.Attempts || !errors.Is(err, placement.ErrConcurrentUpdate) && !errors.Is(err, placement.ErrCapacity) {
			return Selection{}, err
		}
	}
}

// try decides on what placement offers now, and claims.
func (f *Foreign) try(ctx context.Context, req *Request, spec *scheduler.RequestSpec, instances []placement.UUID, why *scheduler.Explanation) (Selection, error) {
	hosts, offers, err := f.offers(ctx, req)
	if err != nil {
		return Selection{}, err
	}
	if spec.Group != nil {
		if err := f.regroup(ctx, spec, instances, hosts); err != nil {
			return Selection{}, err
		}
	}
	f.mu.Lock()
	rng := rand.New(rand.NewPCG(f.rng.Uint64(), f.rng.Uint64()))
	f.mu.Unlock()
	selected, err := f.cfg.Pipeline.Select(&scheduler.Query{Spec: spec, Hosts: hosts, Now: f.cfg.Now(), Rand: rng}, why)
	if err != nil {
		return Selection{}, err
	}
	host, offer := selected[0].Host, &offers[selected[0].Candidate.Number]
	out := Selection{Instance: spec.Instances[0], Host: host.Host, Node: host.Node, Cell: host.Cell, UUID: offer.Root, Allocations: offer.Allocations}
	for _, other := range selected[0].Alternates {
		if len(out.Alternates) < req.Alternates {
			out.Alternates = append(out.Alternates, Alternate{Host: other.Host, Node: other.Node, UUID: offers[other.Candidates[0].Number].Root})
		}
	}
	return out, f.cfg.Placement.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: instances[len(instances)-1], Project: spec.ProjectID, User: spec.UserID, Type: "INSTANCE",
		Generation: placement.NewConsumer, Allocations: out.Allocations,
	}}})
}

// offers asks for candidates and returns the hosts that they are on, with
// numbers of candidates: all of them where groups may have several providers,
// else the first.
func (f *Foreign) offers(ctx context.Context, req *Request) ([]*scheduler.HostState, []placement.Candidate, error) {
	where := req.Where
	where.Limit = f.cfg.Limit
	var hosts []*scheduler.HostState
	var offers []placement.Candidate
	at := map[placement.UUID]*scheduler.HostState{}
	for c, err := range f.cfg.Placement.Candidates(ctx, where) {
		if err != nil {
			return nil, nil, err
		}
		root, record, err := f.hostOf(ctx, c.Allocations)
		if err != nil {
			return nil, nil, err
		}
		host := at[root]
		if record == nil || host != nil && len(where.Groups) == 1 {
			continue
		}
		if host == nil {
			own := *record
			own.Candidates = nil
			host, at[root], hosts = &own, &own, append(hosts, &own)
		}
		offered := candidateOf(c)
		offered.Number = len(offers)
		host.Candidates = append(host.Candidates, offered)
		offer := c.Clone()
		offer.Root = root
		offers = append(offers, offer)
	}
	return hosts, offers, nil
}

// hostOf returns the host whose tree some of the allocations are on.
func (f *Foreign) hostOf(ctx context.Context, allocations []placement.Allocation) (placement.UUID, *scheduler.HostState, error) {
	for k := range allocations {
		root, err := f.root(ctx, allocations[k].Provider)
		if err != nil {
			return placement.UUID{}, nil, err
		}
		if host := f.cfg.Hosts.Host(root); host != nil {
			return root, host, nil
		}
	}
	return placement.UUID{}, nil, nil
}

func (f *Foreign) root(ctx context.Context, provider placement.UUID) (placement.UUID, error) {
	if f.cfg.Hosts.Host(provider) != nil {
		return provider, nil
	}
	f.mu.Lock()
	root, known := f.roots[provider]
	f.mu.Unlock()
	if known {
		return root, nil
	}
	p, err := f.cfg.Placement.Provider(ctx, provider)
	if err != nil {
		return placement.UUID{}, err
	}
	f.mu.Lock()
	f.roots[provider] = p.Root
	f.mu.Unlock()
	return p.Root, nil
}
