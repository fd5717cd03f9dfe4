package topology_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// netCell is a cell of four shared CPUs and 1 GiB, near to networks, and what
// is used of it.
type netCell struct {
	near      scheduler.Networks
	cpus, mib int
}

// netWorld is hosts of two or three such cells, and a twin that counts.
type netWorld struct {
	engine *placement.Engine
	cfg    live.Config
	cells  map[string][]netCell // by host
}

func newNetWorld(t *testing.T, hosts int) *netWorld {
	t.Helper()
	engine, err := placement.Open(t.Context(), placement.Config{Store: mem.New(mem.Config{})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	options := &scheduler.Options{EnabledFilters: []string{"NUMATopologyFilter"}}
	keeper, err := topology.NewKeeper(options)
	require.NoError(t, err)
	filter, err := topology.NewNUMATopologyFilter(options)
	require.NoError(t, err)
	w := &netWorld{engine: engine, cells: map[string][]netCell{}}
	w.cfg = live.Config{Engine: engine, Hosts: live.NewHosts(0), Filters: []scheduler.Filter{filter}, Pinner: keeper, Now: time.Now}
	for n := range hosts {
		root := placement.MustUUID(id("a", n))
		_, err := engine.CreateProvider(t.Context(), placement.Provider{UUID: root, Name: fmt.Sprint("host", n)})
		require.NoError(t, err)
		_, err = engine.SetInventories(t.Context(), root, map[string]placement.Inventory{
			"VCPU": placement.NewInventory(16), "MEMORY_MB": placement.NewInventory(4096),
		}, placement.AnyGeneration)
		require.NoError(t, err)
		h := &scheduler.HostState{Host: fmt.Sprint("host", n), UUID: root.String(), CPUAllocationRatio: 1, RAMAllocationRatio: 1}
		var cells []string
		for c := range 2 + n%2 {
			near := [][]string{{"a"}, {"b"}, {"a", "c"}, {"b"}, nil}[(n+c)%5]
			tunneled := (n+2*c)%3 == 1
			w.cells[h.Host] = append(w.cells[h.Host], netCell{near: scheduler.Networks{Physnets: near, Tunneled: tunneled}})
			cells = append(cells, fmt.Sprintf(`{"id": %d, "cpuset": [%d, %d, %d, %d], "memory": 1024, "siblings": [],
				"mempages": [{"size_kb": 4, "total": 262144}], "network_metadata": {"physnets": [%s], "tunneled": %v}}`,
				c, 4*c, 4*c+1, 4*c+2, 4*c+3, quoted(near), tunneled))
		}
		h.NUMATopology = []byte(`{"cells": [` + strings.Join(cells, ",") + "]}")
		require.NoError(t, keeper.ReadHost(h))
		require.NoError(t, w.cfg.Hosts.Put(h))
	}
	return w
}

func quoted(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return `"` + strings.Join(list, `", "`) + `"`
}

// wish is a request for an instance on some cells.
type wish struct {
	nodes, cpus, mib int // of each
	networks         scheduler.Networks
}

func randomWish(rng *rand.Rand) wish {
	r := wish{nodes: 1 + rng.IntN(2), cpus: 1 + rng.IntN(2), mib: 128 + 128*rng.IntN(2)}
	for _, net := range []string{"a", "b", "c", "nowhere"} {
		if rng.IntN(4) == 0 {
			r.networks.Physnets = append(r.networks.Physnets, net)
		}
	}
	r.networks.Tunneled = rng.IntN(4) == 0
	return r
}

func (r *wish) request(n int) *live.Request {
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{
			VCPUs: int64(r.nodes * r.cpus), MemoryMiB: int64(r.nodes * r.mib), ExtraSpecs: map[string]string{"hw:numa_nodes": fmt.Sprint(r.nodes)},
		},
		Image: &scheduler.Image{}, ProjectID: "p", UserID: "u", Networks: r.networks, Instances: []string{id("b", n)},
	}
	return &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)}
}

// near reports whether the chosen cells reach the networks of the wish, as far
// as a cell of the host does.
func (r *wish) near(cells []netCell, chosen []int) bool {
	reached := func(has func(n *scheduler.Networks) bool) bool {
		some := slices.ContainsFunc(cells, func(c netCell) bool { return has(&c.near) })
		return !some || slices.ContainsFunc(chosen, func(c int) bool { return has(&cells[c].near) })
	}
	for _, net := range r.networks.Physnets {
		if !reached(func(n *scheduler.Networks) bool { return slices.Contains(n.Physnets, net) }) {
			return false
		}
	}
	return !r.networks.Tunneled || reached(func(n *scheduler.Networks) bool { return n.Tunneled })
}

// fits tries all choices of cells.
func (r *wish) fits(cells []netCell) bool {
	room := func(c int) bool { return cells[c].cpus+r.cpus <= 4 && cells[c].mib+r.mib <= 1024 }
	for one := range cells {
		if r.nodes == 1 && room(one) && r.near(cells, []int{one}) {
			return true
		}
		for other := range one {
			if r.nodes == 2 && room(one) && room(other) && r.near(cells, []int{one, other}) {
				return true
			}
		}
	}
	return false
}

// count adds a selection to the twin, or takes it away.
func (w *netWorld) count(r *wish, c *live.Selection, sign int) error {
	placed, err := topology.ReadPlaced(c.Pins)
	if err != nil {
		return err
	}
	var chosen []int
	for k := range placed.Cells {
		chosen = append(chosen, placed.Cells[k].ID)
		cell := &w.cells[c.Host][placed.Cells[k].ID]
		cell.cpus += sign * len(placed.Cells[k].CPUs)
		cell.mib += sign * int(placed.Cells[k].MemoryMiB)
		if cell.cpus > 4 || cell.mib > 1024 || len(placed.Cells[k].CPUs) != r.cpus || int(placed.Cells[k].MemoryMiB) != r.mib {
			return fmt.Errorf("%s, cell %d: %d CPUs and %d MiB are used, the instance has %+v", c.Host, placed.Cells[k].ID, cell.cpus, cell.mib, placed.Cells[k])
		}
	}
	slices.Sort(chosen)
	if len(slices.Compact(chosen)) != r.nodes || !r.near(w.cells[c.Host], chosen) {
		return fmt.Errorf("%s: %+v is on cells %v", c.Host, *r, chosen)
	}
	return nil
}

// TestNetworksLive places and deletes instances on networks: each is near to
// them, and one is refused only where no choice of cells on any host will do.
func TestNetworksLive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newNetWorld(t, 6)
			s, err := live.New(w.cfg)
			require.NoError(t, err)
			rng := rand.New(rand.NewPCG(seed, 1))
			type held struct {
				wish   wish
				chosen live.Selection
			}
			var all []held
			refused, kept := 0, 0
			for n := range 250 {
				r := randomWish(rng)
				chosen, err := s.Schedule(t.Context(), r.request(n))
				if errors.Is(err, scheduler.ErrNoValidHost) {
					for host, cells := range w.cells {
						require.False(t, r.fits(cells), "%+v fits on %s, %+v; seed %d", r, host, cells, seed)
					}
					if refused++; len(r.networks.Physnets) > 0 {
						plain := r
						plain.networks = scheduler.Networks{}
						for _, cells := range w.cells {
							if plain.fits(cells) {
								kept++
								break
							}
						}
					}
				} else {
					require.NoError(t, err)
					require.NoError(t, w.count(&r, &chosen[0], 1))
					all = append(all, held{r, chosen[0]})
				}
				for len(all) > 20 {
					k := rng.IntN(len(all))
					require.NoError(t, w.engine.DeleteAllocations(t.Context(), placement.MustUUID(all[k].chosen.Instance)))
					require.NoError(t, w.count(&all[k].wish, &all[k].chosen, -1))
					all = slices.Delete(all, k, k+1)
				}
			}
			require.Positive(t, refused)
			require.Positive(t, kept, "some are refused for their networks only")
		})
	}
}

// TestNetworksRace has schedulers on one engine place such instances at once,
// and counts them in the end.
func TestNetworksRace(t *testing.T) {
	t.Parallel()
	w := newNetWorld(t, 4)
	var wg sync.WaitGroup
	var mu sync.Mutex
	placed := 0
	for k := range 4 {
		cfg := w.cfg
		cfg.Seed = uint64(k)
		s, err := live.New(cfg)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(uint64(k), 2))
		wg.Go(func() {
			for n := range 30 {
				r := randomWish(rng)
				chosen, err := s.Schedule(t.Context(), r.request(1000*k+n))
				if errors.Is(err, scheduler.ErrNoValidHost) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if err := w.count(&r, &chosen[0], 1); err != nil {
					t.Error(err)
				}
				placed++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	require.Greater(t, placed, 10)
}
