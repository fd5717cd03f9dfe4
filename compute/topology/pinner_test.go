package topology_test

import (
	"errors"
	"fmt"
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

var _ live.Pinner = (*topology.Keeper)(nil)

// TestPinRace lets schedulers on one engine give away pinned CPUs and devices
// at once, takes some back, and demands that nothing has two holders.
func TestPinRace(t *testing.T) {
	t.Parallel()
	const hosts = 3 // with four CPUs and three devices each
	engine, err := placement.Open(t.Context(), placement.Config{Store: mem.New(mem.Config{})})
	require.NoError(t, err)
	defer engine.Close()
	table := live.NewHosts(0)
	keeper, err := topology.NewKeeper(&scheduler.Options{PCIAliases: []string{`{"name": "nic", "vendor_id": "8086", "product_id": "1520"}`}})
	require.NoError(t, err)
	uuid := func(kind string, n int) string { return fmt.Sprintf("%s0000000-0000-4000-8000-%012d", kind, n) }
	for n := range hosts {
		root := placement.MustUUID(uuid("a", n))
		_, err := engine.CreateProvider(t.Context(), placement.Provider{UUID: root, Name: fmt.Sprint("host", n)})
		require.NoError(t, err)
		_, err = engine.SetInventories(t.Context(), root, map[string]placement.Inventory{"PCPU": placement.NewInventory(100)}, placement.AnyGeneration)
		require.NoError(t, err)
		h := &scheduler.HostState{
			Host: fmt.Sprint("host", n), UUID: root.String(), CPUAllocationRatio: 1, RAMAllocationRatio: 1,
			NUMATopology: []byte(`{"cells": [{"id": 0, "memory": 4096, "pcpuset": [0, 1, 2, 3], "siblings": [[0], [1], [2], [3]],
				"mempages": [{"size_kb": 4, "total": 1048576}]}]}`),
			PCIPools: []byte(`[{"vendor_id": "8086", "product_id": "1520", "numa_node": 0, "count": 3}]`),
		}
		require.NoError(t, keeper.ReadHost(h))
		require.NoError(t, table.Put(h))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	held := map[string]live.Selection{}
	for w := range 4 {
		s, err := live.New(live.Config{Engine: engine, Hosts: table, Pinner: keeper, Seed: uint64(w), Now: time.Now})
		require.NoError(t, err)
		wg.Go(func() {
			for k := range 10 {
				spec := &scheduler.RequestSpec{
					Flavor: scheduler.Flavor{VCPUs: 1, MemoryMiB: 256, ExtraSpecs: map[string]string{"hw:cpu_policy": "dedicated", "pci_passthrough:alias": "nic:1"}},
					Image:  &scheduler.Image{}, ProjectID: "p", UserID: "u", Instances: []string{uuid("b", 100*w+k)},
				}
				where := placement.CandidateRequest{Groups: []placement.RequestGroup{{Resources: []placement.Resource{{Class: "PCPU", Amount: 1}}}}}
				chosen, err := s.Schedule(t.Context(), &live.Request{Spec: spec, Where: where})
				if errors.Is(err, scheduler.ErrNoValidHost) {
					continue
				}
				if err == nil && k%3 == 0 {
					err = engine.DeleteAllocations(t.Context(), placement.MustUUID(chosen[0].Instance))
					chosen = nil
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, c := range chosen {
					held[c.Instance] = c
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	cpus, devices := map[string]string{}, map[string]int64{}
	for instance, c := range held {
		placed, err := topology.ReadPlaced(c.Pins)
		require.NoError(t, err)
		for _, pin := range placed.Cells[0].Pins {
			key := fmt.Sprint(c.Host, " ", pin.PCPU)
			require.Empty(t, cpus[key], "CPU %s is held twice", key)
			cpus[key] = instance
		}
		require.Len(t, placed.Devices, 1)
		devices[c.Host] += placed.Devices[0].Count
		require.LessOrEqual(t, devices[c.Host], int64(3))
	}
	require.Greater(t, len(held), hosts, "some hosts hold several")
}
