package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// rules is what every moment of a world is held to.
type rules struct {
	mu       sync.Mutex
	groups   []*scheduler.Group
	memberOf map[placement.UUID]*scheduler.Group
	devices  map[placement.UUID][]byte
}

func (r *rules) group(n int) *scheduler.Group {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.groups[n%len(r.groups)]
}

func (r *rules) join(g *scheduler.Group, instances []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, text := range instances {
		r.memberOf[placement.MustUUID(text)] = g
	}
}

func (r *rules) hold(instance placement.UUID, devices []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.devices[instance] = devices
}

// check holds one moment of the engine to capacities and group policies.
func (r *rules) check(e *placement.Engine) error {
	snap := e.Snapshot()
	defer snap.Close()
	for p := range snap.Providers() {
		for _, inv := range p.Inventories {
			if inv.Used > inv.Inventory.Capacity() {
				return fmt.Errorf("%s: %d of %s used, capacity is %d", p.Name, inv.Used, inv.Class, inv.Inventory.Capacity())
			}
		}
	}
	at := map[placement.UUID]placement.UUID{}
	on := map[*scheduler.Group]map[placement.UUID]int{}
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range snap.Consumers() {
		at[c.UUID] = c.Allocations[0].Provider
		if g := r.memberOf[c.UUID]; g != nil {
			if on[g] == nil {
				on[g] = map[placement.UUID]int{}
			}
			on[g][at[c.UUID]]++
		}
	}
	if err := r.checkDevices(at); err != nil {
		return err
	}
	for g, hosts := range on {
		most := 1
		if g.MaxServerPerHost != nil {
			most = int(*g.MaxServerPerHost)
		}
		if g.Policy == scheduler.Affinity && len(hosts) > 1 {
			return fmt.Errorf("group %s, affinity, is on %v", g.UUID, hosts)
		}
		for host, n := range hosts {
			if g.Policy == scheduler.AntiAffinity && n > most {
				return fmt.Errorf("group %s has %d members on %s, allowed are %d", g.UUID, n, host, most)
			}
		}
	}
	return nil
}

// devices is a pinner of hosts with six devices each: an instance whose
// topology is a number gets that many, one byte each.
type devices struct{}

func (devices) Wants(s *scheduler.RequestSpec) bool { return s.Topology != nil }

func (devices) Pin(r *scheduler.Request, _ *scheduler.HostState, taken [][]byte) ([]byte, scheduler.Reason, error) {
	var got []byte
	for device := byte('a'); device <= 'f' && len(got) < r.Spec.Topology.(int); device++ {
		if !slices.ContainsFunc(taken, func(other []byte) bool { return bytes.IndexByte(other, device) >= 0 }) {
			got = append(got, device)
		}
	}
	if len(got) < r.Spec.Topology.(int) {
		return nil, scheduler.Reason{Why: "too few devices are free"}, nil
	}
	return got, scheduler.Reason{}, nil
}

// checkDevices demands that no device of a host has two holders, by what the
// schedulers answered. held says where each instance is.
func (r *rules) checkDevices(held map[placement.UUID]placement.UUID) error {
	type device struct {
		host placement.UUID
		name byte
	}
	seen := map[device]placement.UUID{}
	for instance, host := range held {
		for _, name := range r.devices[instance] {
			if other, twice := seen[device{host, name}]; twice {
				return fmt.Errorf("device %c of %s is held by %s and %s", name, host, other, instance)
			}
			seen[device{host, name}] = instance
		}
	}
	return nil
}

// An actor schedules and deletes at random.
type actor struct {
	w     *world
	s     *live.Scheduler
	r     *rules
	rng   *rand.Rand
	next  int // number of its next instance
	mine  []placement.UUID
	count map[string]int // outcomes
}

func (a *actor) step(ctx context.Context) error {
	switch a.rng.IntN(10) {
	case 0, 1, 2, 3, 4:
		if len(a.mine) > 0 {
			k := a.rng.IntN(len(a.mine))
			gone := a.mine[k]
			a.mine[k] = a.mine[len(a.mine)-1]
			a.mine = a.mine[:len(a.mine)-1]
			a.count["deleted"]++
			return insist(func() error { return a.w.engine.DeleteAllocations(ctx, gone) })
		}
	case 5: // a foreign claim that knows no groups
		n := a.next
		a.next++
		host := id('h', a.rng.IntN(10))
		err := insist(func() error {
			return a.w.engine.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
				Consumer: id('f', n), Project: "p", User: "u", Generation: placement.NewConsumer,
				Allocations: []placement.Allocation{{Provider: host, Class: "VCPU", Amount: 1}},
			}}})
		})
		if errors.Is(err, placement.ErrCapacity) {
			return nil
		}
		a.mine = append(a.mine, id('f', n))
		return err
	default:
		return a.schedule(ctx)
	}
	return nil
}

func (a *actor) schedule(ctx context.Context) error {
	count := 1 + a.rng.IntN(2)
	req := request(a.next, count, 1+a.rng.Int64N(2), 4+a.rng.Int64N(8))
	a.next += count
	if a.rng.IntN(3) > 0 {
		g := a.r.group(a.rng.IntN(100))
		a.r.join(g, req.Spec.Instances)
		req.Spec.Group = &scheduler.Group{UUID: g.UUID, Policy: g.Policy, MaxServerPerHost: g.MaxServerPerHost}
	}
	if a.rng.IntN(3) == 0 {
		req.Spec.Topology = 1 + a.rng.IntN(2)
	}
	chosen, err := a.s.Schedule(ctx, req)
	if errors.Is(err, scheduler.ErrNoValidHost) {
		a.count["refused"]++
		return nil
	}
	if errors.Is(err, store.ErrNoSpace) {
		a.count["failed"]++
		return nil
	}
	if err != nil {
		return err
	}
	a.count["placed"]++
	for k := range chosen {
		uuid := placement.MustUUID(chosen[k].Instance)
		if want := req.Spec.Topology; want != nil && len(chosen[k].Pins) != want {
			return fmt.Errorf("instance %s has devices %q, wants %v", uuid, chosen[k].Pins, want)
		}
		if kept := live.Pins(a.w.engine, chosen[k].UUID, uuid); !bytes.Equal(kept, chosen[k].Pins) {
			return fmt.Errorf("instance %s got devices %q, the engine has %q", uuid, chosen[k].Pins, kept)
		}
		a.r.hold(uuid, chosen[k].Pins)
		a.mine = append(a.mine, uuid)
		_, held, err := a.w.engine.Consumer(uuid)
		if err != nil || len(held) != 2 || held[0].Provider != chosen[k].UUID || len(chosen[k].Allocations) != 2 {
			return fmt.Errorf("instance %s on %s holds %v, %w", uuid, chosen[k].Host, held, err)
		}
	}
	return a.r.check(a.w.engine)
}

// TestRules runs several schedulers on one engine at once, with deletions and
// foreign claims, and holds the engine to the rules after every claim.
func TestRules(t *testing.T) {
	t.Parallel()
	faults := storetest.Noise(7)
	faults.ForeignWrite, faults.PForeign = nil, 0
	for name, open := range map[string]func() store.Store{
		"memory": func() store.Store { return nil },
		"store":  func() store.Store { return mem.New(mem.Config{}) },
		"faulty": func() store.Store { return storetest.Faulty(mem.New(mem.Config{}), faults) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, open(), 10)
			w.cfg.Pinner = devices{}
			r := &rules{memberOf: map[placement.UUID]*scheduler.Group{}, devices: map[placement.UUID][]byte{}}
			two := int64(2)
			for n := range 6 {
				g := &scheduler.Group{UUID: fmt.Sprint("group", n), Policy: policy(rand.New(rand.NewPCG(uint64(n), 0)))}
				if n%2 == 0 {
					g.MaxServerPerHost = &two
				}
				r.groups = append(r.groups, g)
			}
			total := race(t, w, r)
			for _, what := range []string{"placed", "refused", "deleted"} {
				require.Greater(t, total[what], 20, "%s of %v", what, total)
			}
		})
	}
}

// race runs actors until each has made its steps, and sums up what they saw.
func race(t *testing.T, w *world, r *rules) map[string]int {
	t.Helper()
	const schedulers, each, steps = 3, 3, 100
	var wg sync.WaitGroup
	var actors []*actor
	for k := range schedulers {
		s := w.scheduler(t, uint64(k))
		for j := range each {
			n := k*each + j
			a := &actor{w: w, s: s, r: r, rng: rand.New(rand.NewPCG(uint64(n), 9)), next: n * 10_000, count: map[string]int{}}
			actors = append(actors, a)
			wg.Go(func() {
				for i := range steps {
					if err := a.step(t.Context()); err != nil {
						t.Errorf("actor %d, step %d: %v", n, i, err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	total := map[string]int{}
	for _, a := range actors {
		for what, n := range a.count {
			total[what] += n
		}
	}
	return total
}
