package topology_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// portPool is devices of a host that are alike.
type portPool struct {
	net, remote string
	node        int // -1: unknown
	free        int
}

// portWorld is hosts with devices for ports, and a twin that counts them.
type portWorld struct {
	engine *placement.Engine
	live   *live.Scheduler
	pools  map[string][]portPool // by host
}

func newPortWorld(t *testing.T, hosts int, placed bool) *portWorld {
	t.Helper()
	engine, err := placement.Open(t.Context(), placement.Config{Store: mem.New(mem.Config{})})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, engine.Close()) })
	options := &scheduler.Options{EnabledFilters: []string{"NUMATopologyFilter"}, PCIInPlacement: placed}
	keeper, err := topology.NewKeeper(options)
	require.NoError(t, err)
	w := &portWorld{engine: engine, pools: map[string][]portPool{}}
	table := live.NewHosts(0)
	for n := range hosts {
		root := placement.MustUUID(id("a", n))
		_, err := engine.CreateProvider(t.Context(), placement.Provider{UUID: root, Name: fmt.Sprint("host", n)})
		require.NoError(t, err)
		_, err = engine.SetInventories(t.Context(), root, map[string]placement.Inventory{"VCPU": placement.NewInventory(64)}, placement.AnyGeneration)
		require.NoError(t, err)
		h := &scheduler.HostState{
			Host: fmt.Sprint("host", n), UUID: root.String(), CPUAllocationRatio: 16, RAMAllocationRatio: 1,
			NUMATopology: []byte(`{"cells": [
				{"id": 0, "cpuset": [0, 1, 2, 3], "memory": 65536, "siblings": [], "mempages": [{"size_kb": 4, "total": 16777216}]},
				{"id": 1, "cpuset": [4, 5, 6, 7], "memory": 65536, "siblings": [], "mempages": [{"size_kb": 4, "total": 16777216}]}]}`),
			PCIPools: []byte(`[
				{"vendor_id": "15b3", "product_id": "101e", "dev_type": "type-VF", "numa_node": 0, "count": 2, "tags": {"physical_network": "a", "remote_managed": "false"}},
				{"vendor_id": "15b3", "product_id": "101e", "dev_type": "type-VF", "numa_node": 1, "count": 1, "tags": {"physical_network": "a", "remote_managed": "false"}},
				{"vendor_id": "15b3", "product_id": "101e", "dev_type": "type-VF", "numa_node": 1, "count": 2, "tags": {"physical_network": "a", "remote_managed": "true"}},
				{"vendor_id": "8086", "product_id": "10ed", "dev_type": "type-VF", "count": 1, "tags": {"physical_network": "b", "remote_managed": "false"}}]`),
		}
		w.pools[h.Host] = []portPool{{"a", "false", 0, 2}, {"a", "false", 1, 1}, {"a", "true", 1, 2}, {"b", "false", -1, 1}}
		require.NoError(t, keeper.ReadHost(h))
		require.NoError(t, table.Put(h))
	}
	w.live, err = live.New(live.Config{Engine: engine, Hosts: table, Pinner: keeper, Now: time.Now})
	require.NoError(t, err)
	return w
}

// ports is what an instance of one cell asks for, each port one device.
type ports struct {
	policy string
	of     [][2]string // network and whether it is managed remotely
}

func randomPorts(rng *rand.Rand) ports {
	p := ports{policy: []string{"", "legacy", "required", "preferred"}[rng.IntN(4)]}
	for range 1 + rng.IntN(2) {
		p.of = append(p.of, [][2]string{{"a", "false"}, {"a", "true"}, {"b", "false"}, {"b", "true"}}[rng.IntN(40)*rng.IntN(40)%4])
	}
	return p
}

func (p *ports) request(n int) *live.Request {
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{VCPUs: 1, MemoryMiB: 64, ExtraSpecs: map[string]string{"hw:numa_nodes": "1"}},
		Image:  &scheduler.Image{}, ProjectID: "p", UserID: "u", Instances: []string{id("b", n)},
	}
	for k, of := range p.of {
		spec.Devices = append(spec.Devices, scheduler.DeviceRequest{
			Requester: fmt.Sprint("port", k), Count: 1, NUMAPolicy: p.policy,
			Specs: []map[string]string{{"physical_network": of[0], "remote_managed": of[1]}},
		})
	}
	where := placement.CandidateRequest{Groups: []placement.RequestGroup{{Resources: []placement.Resource{{Class: "VCPU", Amount: 1}}}}}
	return &live.Request{Spec: spec, Where: where}
}

// allowed reports whether a policy lets an instance on a cell use a device.
func (p *ports) allowed(cell int, pool *portPool) bool {
	return pool.node == cell || p.policy == "preferred" || p.policy != "required" && pool.node < 0
}

// fits reports whether there is a cell with a device for each port.
func (p *ports) fits(pools []portPool) bool {
	for cell := range 2 {
		all := true
		for _, of := range p.of {
			asked, free := 0, 0
			for _, other := range p.of {
				if other == of {
					asked++
				}
			}
			for k := range pools {
				if pools[k].net == of[0] && pools[k].remote == of[1] && p.allowed(cell, &pools[k]) {
					free += pools[k].free
				}
			}
			all = all && asked <= free
		}
		if all {
			return true
		}
	}
	return false
}

// count adds what an instance was given to the twin, or takes it away.
func (w *portWorld) count(p *ports, c *live.Selection, sign int) error {
	placed, err := topology.ReadPlaced(c.Pins)
	if err != nil {
		return err
	}
	if len(placed.Ports) != len(p.of) || len(placed.Cells) != 1 {
		return fmt.Errorf("%s is given %+v, wants %+v", c.Instance, placed, *p)
	}
	for k, of := range p.of {
		given := placed.Ports[fmt.Sprint("port", k)]
		if len(given) != 1 || given[0].Count != 1 {
			return fmt.Errorf("port %d of %s is given %+v", k, c.Instance, given)
		}
		tags := map[string]string{}
		for _, tag := range given[0].Tags {
			tags[tag.Name] = tag.Value
		}
		at := slices.IndexFunc(w.pools[c.Host], func(pool portPool) bool {
			return pool.net == tags["physical_network"] && pool.remote == tags["remote_managed"] && pool.node == given[0].NUMANode
		})
		pool := &w.pools[c.Host][at]
		if pool.net != of[0] || pool.remote != of[1] || !p.allowed(placed.Cells[0].ID, pool) {
			return fmt.Errorf("port %d of %s on cell %d wants %v, has %+v", k, c.Instance, placed.Cells[0].ID, of, *pool)
		}
		if pool.free -= sign; pool.free < 0 {
			return fmt.Errorf("too many of %+v are given away on %s", *pool, c.Host)
		}
	}
	return nil
}

// TestPortsLive places and deletes instances with ports: each has the device
// it asked for where its policy wants it, none has two holders, and an instance
// is refused only where no host has the devices. Ports are not in placement,
// whether other devices are or not.
func TestPortsLive(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newPortWorld(t, 3, seed%2 == 0)
			rng := rand.New(rand.NewPCG(seed, 1))
			type held struct {
				ports  ports
				chosen live.Selection
			}
			var all []held
			placed, refused := 0, 0
			for n := range 200 {
				p := randomPorts(rng)
				chosen, err := w.live.Schedule(t.Context(), p.request(n))
				if errors.Is(err, scheduler.ErrNoValidHost) {
					refused++
					for host, pools := range w.pools {
						require.False(t, p.fits(pools), "%+v fits on %s, %+v; seed %d", p, host, pools, seed)
					}
				} else {
					require.NoError(t, err)
					require.NoError(t, w.count(&p, &chosen[0], 1), "seed %d", seed)
					placed++
					all = append(all, held{p, chosen[0]})
				}
				for len(all) > 9 {
					k := rng.IntN(len(all))
					require.NoError(t, w.engine.DeleteAllocations(t.Context(), placement.MustUUID(all[k].chosen.Instance)))
					require.NoError(t, w.count(&all[k].ports, &all[k].chosen, -1))
					all = slices.Delete(all, k, k+1)
				}
			}
			require.Greater(t, placed, 50)
			require.Greater(t, refused, 20)
		})
	}
}

// TestPortRefusals lists requests that are no such.
func TestPortRefusals(t *testing.T) {
	t.Parallel()
	keeper, err := topology.NewKeeper(&scheduler.Options{})
	require.NoError(t, err)
	for want, d := range map[string]scheduler.DeviceRequest{
		"pci_requests.count is -1, allowed is: 0 to 4294967296":                                                                        {Count: -1},
		`pci_requests.numa_policy is "near", allowed is: [required legacy preferred socket]`:                                           {Count: 1, NUMAPolicy: "near"},
		`pci_requests.spec is "numa_node", allowed is: attributes such as physical_network; numa_policy says where devices have to be`: {Count: 1, Specs: []map[string]string{{"numa_node": "0"}}},
	} {
		err := keeper.ReadSpec(&scheduler.RequestSpec{Devices: []scheduler.DeviceRequest{d}})
		var wrong *topology.FieldError
		require.ErrorAs(t, err, &wrong)
		require.Equal(t, want, err.Error())
	}
}
