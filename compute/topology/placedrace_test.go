package topology_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
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

var _ live.Chooser = (*topology.Keeper)(nil)

func id(kind string, n int) string { return fmt.Sprintf("%s0000000-0000-4000-8000-%012d", kind, n) }

// placedWorld is hosts of two cells with four CPUs each. A cell has two
// providers of one NIC, and a provider of two functions.
type placedWorld struct {
	engine *placement.Engine
	table  *live.Hosts
	keeper *topology.Keeper
	nodes  map[string]int // cell by provider
	counts map[string]int64
}

func newPlacedWorld(t *testing.T, hosts int) *placedWorld {
	t.Helper()
	engine, err := placement.Open(t.Context(), placement.Config{Store: mem.New(mem.Config{})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	keeper, err := topology.NewKeeper(&scheduler.Options{PCIInPlacement: true, PCIAliases: []string{
		`{"name": "nic", "vendor_id": "8086", "product_id": "1520", "resource_class": "nic", "numa_policy": "required"}`,
		`{"name": "vf", "vendor_id": "8086", "product_id": "1521", "numa_policy": "preferred"}`,
	}})
	require.NoError(t, err)
	w := &placedWorld{engine: engine, table: live.NewHosts(0), keeper: keeper, nodes: map[string]int{}, counts: map[string]int64{}}
	for n := range hosts {
		root := id("a", n)
		w.provider(t, root, "", map[string]int64{"PCPU": 8, "MEMORY_MB": 8192})
		var pools []string
		for cell := range 2 {
			for k := range 3 {
				class, product, count := "CUSTOM_NIC", "1520", int64(1)
				if k == 2 {
					class, product, count = "CUSTOM_PCI_8086_1521", "1521", 2
				}
				uuid := id("c", 100*n+10*cell+k)
				w.provider(t, uuid, root, map[string]int64{class: count})
				w.nodes[uuid], w.counts[uuid] = cell, count
				pools = append(pools, fmt.Sprintf(`{"vendor_id": "8086", "product_id": %q, "numa_node": %d, "count": %d, "tags": {"rp_uuid": %q}}`, product, cell, count, uuid))
			}
		}
		h := &scheduler.HostState{
			Host: fmt.Sprint("host", n), UUID: root, CPUAllocationRatio: 1, RAMAllocationRatio: 1,
			NUMATopology: []byte(`{"cells": [
				{"id": 0, "memory": 4096, "pcpuset": [0, 1, 2, 3], "siblings": [[0], [1], [2], [3]], "mempages": [{"size_kb": 4, "total": 1048576}]},
				{"id": 1, "memory": 4096, "pcpuset": [4, 5, 6, 7], "siblings": [[4], [5], [6], [7]], "mempages": [{"size_kb": 4, "total": 1048576}]}]}`),
			PCIPools: []byte("[" + strings.Join(pools, ",") + "]"),
		}
		require.NoError(t, keeper.ReadHost(h))
		require.NoError(t, w.table.Put(h))
	}
	return w
}

func (w *placedWorld) provider(t *testing.T, uuid, parent string, amounts map[string]int64) {
	t.Helper()
	p := placement.Provider{UUID: placement.MustUUID(uuid), Name: uuid}
	if parent != "" {
		p.Parent = placement.MustUUID(parent)
	}
	_, err := w.engine.CreateProvider(t.Context(), p)
	require.NoError(t, err)
	inventories := map[string]placement.Inventory{}
	for class, n := range amounts {
		inventories[class] = placement.NewInventory(n)
		if !w.engine.HasClass(class) {
			_, err := w.engine.CreateClass(t.Context(), class)
			require.NoError(t, err)
		}
	}
	_, err = w.engine.SetInventories(t.Context(), p.UUID, inventories, placement.AnyGeneration)
	require.NoError(t, err)
}

// request asks for instances with a pinned CPU and devices.
func (w *placedWorld) request(t *testing.T, first, count int, aliases string) *live.Request {
	t.Helper()
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{VCPUs: 1, MemoryMiB: 256, ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated", "pci_passthrough:alias": aliases}},
		Image:  &scheduler.Image{}, ProjectID: "p", UserID: "u",
	}
	for k := range count {
		spec.Instances = append(spec.Instances, id("b", first+k))
	}
	groups, err := w.keeper.PCIGroups(spec)
	require.NoError(t, err)
	own := placement.RequestGroup{Resources: []placement.Resource{{Class: "PCPU", Amount: 1}, {Class: "MEMORY_MB", Amount: 256}}}
	return &live.Request{Spec: spec, Where: placement.CandidateRequest{Groups: append([]placement.RequestGroup{own}, groups...)}}
}

// check demands that the devices of a selection are those that its instance
// holds in placement, as many as it asked for, and NICs on its cell.
func (w *placedWorld) check(c *live.Selection, wanted int64) error {
	placed, err := topology.ReadPlaced(c.Pins)
	if err != nil {
		return err
	}
	given := map[string]int64{}
	for _, pool := range placed.Devices {
		provider := pool.Tags[0].Value
		given[provider] += pool.Count
		if pool.ProductID == "1520" && w.nodes[provider] != placed.Cells[0].ID {
			return fmt.Errorf("instance %s is on cell %d, its NIC on %d", c.Instance, placed.Cells[0].ID, w.nodes[provider])
		}
	}
	_, held, err := w.engine.Consumer(placement.MustUUID(c.Instance))
	if err != nil {
		return err
	}
	sum := int64(0)
	for _, h := range held {
		if h.Provider == c.UUID {
			continue
		}
		if h.Amount != given[h.Provider.String()] {
			return fmt.Errorf("instance %s holds %d of %s, and was given %v", c.Instance, h.Amount, h.Provider, given)
		}
		sum += h.Amount
	}
	if sum != wanted {
		return fmt.Errorf("instance %s holds %d devices, wants %d", c.Instance, sum, wanted)
	}
	return nil
}

// TestPlacedRace lets schedulers on one engine claim devices in placement with
// the CPUs next to them, takes some back, and demands that what each was given
// is what it holds there, and that no CPU has two holders.
func TestPlacedRace(t *testing.T) {
	t.Parallel()
	w := newPlacedWorld(t, 4)
	var wg sync.WaitGroup
	var mu sync.Mutex
	held, refused := map[string]live.Selection{}, 0
	for n := range 4 {
		s, err := live.New(live.Config{Engine: w.engine, Hosts: w.table, Pinner: w.keeper, Seed: uint64(n), Now: time.Now})
		require.NoError(t, err)
		requests := make([]*live.Request, 30)
		wanted := make([]int64, len(requests))
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		for k := range requests {
			devices := 1 + rng.IntN(2)
			aliases := "nic:" + strconv.Itoa(devices)
			if rng.IntN(2) == 0 {
				aliases = fmt.Sprintf("vf:%d,nic:1", devices)
				devices++
			}
			requests[k], wanted[k] = w.request(t, 1000*n+10*k, 1+rng.IntN(2), aliases), int64(devices)
		}
		wg.Go(func() {
			for k, r := range requests {
				chosen, err := s.Schedule(t.Context(), r)
				no := errors.Is(err, scheduler.ErrNoValidHost)
				if err != nil && !no {
					t.Error(err)
					return
				}
				for at := range chosen {
					if err := w.check(&chosen[at], wanted[k]); err != nil {
						t.Error(err)
					}
				}
				mu.Lock()
				if no {
					refused++
				}
				for _, c := range chosen {
					held[c.Instance] = c
				}
				mu.Unlock()
				if k%2 == 0 {
					w.giveBack(t.Context(), t, chosen, held, &mu)
				}
			}
		})
	}
	wg.Wait()
	w.checkAll(t, held)
	require.Greater(t, len(held), 4, "some hosts hold several")
	require.Positive(t, refused, "some found no device")
}

func (w *placedWorld) giveBack(ctx context.Context, t *testing.T, chosen []live.Selection, held map[string]live.Selection, mu *sync.Mutex) {
	t.Helper()
	mu.Lock()
	for _, c := range chosen {
		delete(held, c.Instance)
	}
	mu.Unlock()
	for _, c := range chosen {
		if err := w.engine.DeleteAllocations(ctx, placement.MustUUID(c.Instance)); err != nil {
			t.Error(err)
		}
	}
}

// checkAll counts what all instances were given.
func (w *placedWorld) checkAll(t *testing.T, held map[string]live.Selection) {
	t.Helper()
	cpus, devices := map[string]string{}, map[string]int64{}
	for instance, c := range held {
		placed, err := topology.ReadPlaced(c.Pins)
		require.NoError(t, err)
		for _, pin := range placed.Cells[0].Pins {
			key := fmt.Sprint(c.Host, " ", pin.PCPU)
			require.Empty(t, cpus[key], "CPU %s is held twice", key)
			cpus[key] = instance
		}
		for _, pool := range placed.Devices {
			provider := pool.Tags[0].Value
			devices[provider] += pool.Count
			require.LessOrEqual(t, devices[provider], w.counts[provider], "devices of %s", provider)
		}
	}
}
