package live_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
)

// A model is a plain list of hosts that decides by looking at all of them.
type model struct {
	free     [][2]int64 // vCPUs and MiB by host
	disabled []bool
	on       map[string]int // host of an instance
	size     map[string][2]int64
}

// best returns the hosts that are best for an instance: most free memory of
// those that are enabled, have room and suit the group.
func (m *model) best(vcpus, mib int64, g *scheduler.Group) []int {
	members := map[int]int64{}
	if g != nil {
		for _, uuid := range g.Members {
			if host, placed := m.on[uuid]; placed {
				members[host]++
			}
		}
	}
	var best []int
	for host, free := range m.free {
		switch {
		case m.disabled[host] || free[0] < vcpus || free[1] < mib,
			g != nil && g.Policy == scheduler.Affinity && len(members) > 0 && members[host] == 0,
			g != nil && g.Policy == scheduler.AntiAffinity && members[host] > 0:
			continue
		}
		if len(best) > 0 && m.free[best[0]][1] > free[1] {
			continue
		}
		if len(best) > 0 && m.free[best[0]][1] < free[1] {
			best = best[:0]
		}
		best = append(best, host)
	}
	return best
}

func (m *model) put(uuid string, host int, vcpus, mib int64) {
	m.on[uuid], m.size[uuid] = host, [2]int64{vcpus, mib}
	m.free[host][0] -= vcpus
	m.free[host][1] -= mib
}

func (m *model) remove(uuid string) {
	host := m.on[uuid]
	m.free[host][0] += m.size[uuid][0]
	m.free[host][1] += m.size[uuid][1]
	delete(m.on, uuid)
}

// TestDecisions compares every decision of a random history with those of a
// model that looks at every host: one of the best is chosen, and a request is
// refused only when there is none.
func TestDecisions(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			const hosts = 40
			w := newWorld(t, nil, hosts)
			s := w.scheduler(t, seed)
			var trait [][]string
			if seed%2 == 1 { // each shape has a rank of its own
				trait = [][]string{{"HW_CPU_X86_AVX2"}}
				for n := range hosts {
					_, err := w.engine.SetTraits(t.Context(), id('h', n), trait[0], placement.AnyGeneration)
					require.NoError(t, err)
				}
			}
			m := &model{on: map[string]int{}, size: map[string][2]int64{}, disabled: make([]bool, hosts)}
			for range hosts {
				m.free = append(m.free, [2]int64{8, 64})
			}
			var groups []*scheduler.Group
			for n := range 8 {
				groups = append(groups, &scheduler.Group{UUID: fmt.Sprint(n), Policy: policy(rng)})
			}
			pair := &both{s, m, groups, trait}
			refused := 0
			for step := range 1500 {
				switch rng.IntN(12) {
				case 0, 1, 2:
					removeOne(t, w, m, rng)
				case 3:
					host := rng.IntN(hosts)
					m.disabled[host] = rng.IntN(3) == 0
					w.putRecord(t, host, m.disabled[host])
				default:
					refused += pair.decide(t, rng, step*4)
				}
			}
			require.Greater(t, refused, 20)
			require.Greater(t, len(m.on), 50)
		})
	}
}

func removeOne(t *testing.T, w *world, m *model, rng *rand.Rand) {
	t.Helper()
	var all []string
	for uuid := range m.on {
		all = append(all, uuid)
	}
	if len(all) == 0 {
		return
	}
	slices.Sort(all)
	gone := all[rng.IntN(len(all))]
	m.remove(gone)
	require.NoError(t, w.engine.DeleteAllocations(t.Context(), placement.MustUUID(gone)))
}

// both is a scheduler and the model that it is compared with.
type both struct {
	s      *live.Scheduler
	m      *model
	groups []*scheduler.Group
	trait  [][]string
}

// decide returns 1 for a request that was refused.
func (b *both) decide(t *testing.T, rng *rand.Rand, first int) int {
	t.Helper()
	s, m, groups := b.s, b.m, b.groups
	vcpus, mib := 1+rng.Int64N(3), 4*(1+rng.Int64N(6))
	req := request(first, 1+rng.IntN(3), vcpus, mib)
	req.Where.Groups[0].Required = b.trait
	var g *scheduler.Group
	if rng.IntN(2) == 0 {
		g = groups[rng.IntN(len(groups))]
		req.Spec.Group = &scheduler.Group{UUID: g.UUID, Policy: g.Policy}
	}
	chosen, err := s.Schedule(t.Context(), req)
	if g != nil {
		g.Members = append(g.Members, req.Spec.Instances...)
	}
	var placed []string
	for k, uuid := range req.Spec.Instances {
		best := m.best(vcpus, mib, g)
		if len(best) == 0 {
			require.ErrorIs(t, err, scheduler.ErrNoValidHost, "instance %d of %+v", k, req.Spec)
			for _, uuid := range placed {
				m.remove(uuid)
			}
			return 1
		}
		if errors.Is(err, scheduler.ErrNoValidHost) {
			// The model follows its own choice to where the request fails.
			m.put(uuid, best[0], vcpus, mib)
			placed = append(placed, uuid)
			continue
		}
		require.NoError(t, err)
		at := slices.IndexFunc(best, func(host int) bool { return id('h', host) == chosen[k].UUID })
		require.GreaterOrEqual(t, at, 0, "instance %d is on %s, best are %v", k, chosen[k].Host, best)
		m.put(uuid, best[at], vcpus, mib)
		placed = append(placed, uuid)
	}
	if err != nil { // the model's choices among equals let it place what the scheduler's did not
		require.Greater(t, len(placed), 1, "a single instance is refused, %+v", req.Spec)
		for _, uuid := range placed {
			m.remove(uuid)
		}
		return 1
	}
	return 0
}
