package sim_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/internal/sim"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The second cloud: schedulers, each with an engine of its own on a store that
// they share, answer to one topic of the bus. Clients call them to claim,
// show and release. All of it is the code that daemons run.
const (
	staleRead  bug = "a scheduler shows a claim without asking whether its engine is current"
	guess      bug = "a claim whose outcome is unknown is taken for done"
	gapless    bug = "an engine goes on after a compaction as if it had missed nothing"
	schedulers     = "scheduler"
)

// market is everything there is in it, for the checks.
type market struct {
	bug      bug
	hosts    int
	store    *mem.Store
	auditor  *placement.Engine
	change   uint64
	now      func() time.Time
	buyers   []*buyer
	violated error
}

var marketVersion = bus.Version{Major: 1}

func marketScenario(planted bug) *sim.Scenario {
	return &sim.Scenario{
		Counts: []sim.Count{{Name: "hosts", N: 3}, {Name: "schedulers", N: 2}, {Name: "clients", N: 2}, {Name: "instances of each", N: 8}},
		Build: func(s *sim.Sim, counts []int) error {
			return buildMarket(s, planted, counts)
		},
		Rates:  sim.Rough(),
		Settle: 3 * time.Minute,
	}
}

func buildMarket(s *sim.Sim, planted bug, counts []int) error {
	m := &market{bug: planted, hosts: counts[0], now: s.Now, store: mem.New(mem.Config{Limits: store.Limits{Shared: true}, History: 2048})}
	if err := m.furnish(s); err != nil {
		return err
	}
	if err := s.Add(sim.Process{Name: "auditor", Run: m.audit, Store: m.store, Steady: true}); err != nil {
		return err
	}
	for n := range counts[1] {
		if err := s.Add(sim.Process{Name: fmt.Sprint(schedulers, n), Run: m.schedule, Store: m.store}); err != nil {
			return err
		}
	}
	for n := range counts[2] {
		b := &buyer{market: m, first: uint64(1000 * n), deals: make([]deal, counts[3])}
		m.buyers = append(m.buyers, b)
		if err := s.Add(sim.Process{Name: fmt.Sprint("client", n), Run: b.run, Steady: true}); err != nil {
			return err
		}
	}
	s.Check(sim.Check{Name: "answers", Step: func() error { return m.violated }})
	s.Check(sim.Check{Name: "claims", Step: m.claims, End: m.settled})
	return nil
}

// furnish makes the hosts, before anything goes wrong.
func (m *market) furnish(s *sim.Sim) error {
	ctx := context.Background()
	engine, err := placement.Open(ctx, placement.Config{Store: m.store, Seed: 1, Now: s.Now, FeedSize: 16})
	if err != nil {
		return err
	}
	for n := range m.hosts {
		if _, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid('h', uint64(n)), Name: hostName(n)}); err != nil {
			return err
		}
		inv := map[string]placement.Inventory{"VCPU": placement.NewInventory(hostVCPUs), "MEMORY_MB": placement.NewInventory(1024)}
		if _, err := engine.SetInventories(ctx, uuid('h', uint64(n)), inv, placement.AnyGeneration); err != nil {
			return err
		}
	}
	return engine.Close()
}

// audit keeps an engine beside those of the schedulers, for the checks.
func (m *market) audit(e *sim.Env) {
	engine, err := placement.Open(context.Background(), placement.Config{Store: e.Store(), Seed: 1, Now: e.Now, Tasks: e, FeedSize: 64, StaleAfter: 8 * time.Second})
	if err != nil {
		panic(err) // a store in memory is always readable
	}
	m.auditor = engine
}

// broker is one life of a scheduler process.
type broker struct {
	market    *market
	engine    *placement.Engine
	scheduler *live.Scheduler
}

func (m *market) schedule(e *sim.Env) {
	b := m.open(e)
	_, err := e.Bus().Handle(context.Background(), schedulers, bus.Service{Version: marketVersion, Methods: map[string]bus.Handler{
		"claim": b.claim, "show": b.show, "release": b.release,
	}})
	if err != nil {
		panic(err) // the service is above
	}
}

// open makes the engine and the scheduler of one life.
func (m *market) open(e *sim.Env) *broker {
	kept := e.Store()
	if m.bug == gapless {
		kept = skipping{kept, kept.(store.Shared)}
	}
	engine, err := placement.Open(context.Background(), placement.Config{Store: kept, Seed: 1, Now: e.Now, Tasks: e, FeedSize: 64, StaleAfter: 8 * time.Second})
	if err != nil {
		panic(err)
	}
	o := scheduler.Options{EnabledFilters: []string{"ComputeFilter"}, WeightClasses: []string{"RAMWeigher"}, RAMWeightMultiplier: 1, ServiceDownTime: 24 * time.Hour}
	cfg := live.Config{Engine: engine, Hosts: live.NewHosts(64), Now: e.Now, Seed: e.Rand().Uint64()}
	var err2 error
	cfg.Filters, err = filter.Choose(&o)
	cfg.Weighers, err2 = weigh.Choose(&o)
	b := &broker{market: m, engine: engine}
	var err3 error
	b.scheduler, err3 = live.New(cfg)
	for n := range m.hosts {
		err3 = errors.Join(err3, cfg.Hosts.Put(&scheduler.HostState{
			Host: hostName(n), Node: hostName(n), UUID: uuid('h', uint64(n)).String(), Service: scheduler.Service{LastReport: e.Now()},
		}))
	}
	if err := errors.Join(err, err2, err3); err != nil {
		panic(err) // the options are above
	}
	return b
}

// skipping is a store that keeps to itself that history is gone: whoever
// follows it does not load again.
type skipping struct {
	store.Store
	shared store.Shared
}

// Latest is that of [store.Shared].
func (s skipping) Latest(ctx context.Context) (uint64, error) { return s.shared.Latest(ctx) }

// Follow is that of [store.Store], but for going on after a gap.
func (s skipping) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		for gone := true; gone; {
			gone = false
			for ev, err := range s.Store.Follow(ctx, after) {
				if gone = errors.Is(err, store.ErrCompacted); gone {
					break
				}
				if !yield(ev, err) {
					return
				}
			}
			if gone {
				after, _ = s.Latest(ctx) // in memory, it never fails
			}
		}
	}
}

func instance(e bus.Envelope) placement.UUID { return uuid('i', binary.BigEndian.Uint64(e.Body)) }

// claim answers with the host.
func (b *broker) claim(ctx context.Context, e bus.Envelope) ([]byte, error) {
	if reply, err := b.show(ctx, e); err != nil || reply[0] != 0 {
		return reply, err
	}
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{VCPUs: instanceVCPUs, MemoryMiB: 64}, ProjectID: "p", UserID: "u", Instances: []string{instance(e).String()},
	}
	chosen, err := b.scheduler.Schedule(ctx, &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)})
	switch {
	case errors.Is(err, scheduler.ErrNoValidHost):
		return nil, &bus.RemoteError{Code: "NoValidHost", Message: err.Error()}
	case errors.Is(err, placement.ErrUnknownOutcome) && b.market.bug == guess:
		return []byte{1}, nil
	case err != nil:
		return nil, err
	}
	return []byte{chosen[0].UUID[15] + 1}, nil
}

// show answers with the host, 0 for none.
func (b *broker) show(ctx context.Context, e bus.Envelope) ([]byte, error) {
	if b.market.bug != staleRead {
		if err := b.engine.Fresh(ctx); err != nil {
			return nil, err
		}
	}
	_, held, err := b.engine.Consumer(instance(e))
	switch {
	case errors.Is(err, placement.ErrNotFound):
		return []byte{0}, nil
	case err != nil:
		return nil, err
	}
	return []byte{held[0].Provider[15] + 1}, nil
}

func (b *broker) release(ctx context.Context, e bus.Envelope) ([]byte, error) {
	err := b.engine.DeleteAllocations(ctx, instance(e))
	if errors.Is(err, placement.ErrNotFound) {
		err = nil
	}
	return nil, err
}

// claims never exceed what a host has, and do not go before they are released.
func (m *market) claims() error {
	if m.auditor == nil || m.auditor.LastChange() == m.change {
		return nil
	}
	m.change = m.auditor.LastChange()
	for n := range m.hosts {
		used, _, err := m.auditor.Usages(uuid('h', uint64(n)))
		if err != nil {
			return err
		}
		if used["VCPU"] > hostVCPUs {
			return fmt.Errorf("%s has %d VCPUs in use of %d", hostName(n), used["VCPU"], hostVCPUs)
		}
	}
	return nil
}

// settled: in the end, claimed is what clients hold, and nothing else.
func (m *market) settled() error {
	for _, b := range m.buyers {
		for k := range b.deals {
			d := &b.deals[k]
			if !d.busy.IsZero() {
				if asked := m.now().Sub(d.busy); asked > time.Minute {
					return fmt.Errorf("claim %d: its client asks since %v", d.claim(), asked)
				}
				continue // it is about to change
			}
			for id := d.id; id <= d.claim(); id++ {
				want := byte(0)
				if id == d.claim() {
					want = d.host
				}
				if got := m.holds(id); got != want {
					return fmt.Errorf("claim %d is on host %d, and its client was told %d", id, int(got)-1, int(want)-1)
				}
			}
		}
	}
	found, err := m.auditor.Verify(context.Background())
	if err != nil || len(found) > 0 {
		return fmt.Errorf("%v, %w", found, err)
	}
	return nil
}

// holds returns the host of a claim, plus 1, and 0 for none.
func (m *market) holds(id uint64) byte {
	_, held, err := m.auditor.Consumer(uuid('i', id))
	if err != nil {
		return 0
	}
	return held[0].Provider[15] + 1
}
