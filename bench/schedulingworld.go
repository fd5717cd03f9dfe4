package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
)

// thousand is how many servers the largest request asks for, and fewTimes how
// often it is made.
const thousand, fewTimes = 1000, 15

// numbered returns the UUID of number n of a kind, as random as real ones are.
func numbered(kind, n int) placement.UUID {
	rng := rand.NewPCG(uint64(kind), uint64(n))
	var u placement.UUID
	binary.BigEndian.PutUint64(u[:8], rng.Uint64())
	binary.BigEndian.PutUint64(u[8:], rng.Uint64())
	return u
}

const (
	kindHost = iota + 1
	kindInstance
)

// hostRecord is a host that reported just now.
func hostRecord(n int, now time.Time) *scheduler.HostState {
	name := fmt.Sprint("host", n)
	return &scheduler.HostState{
		Host: name, Node: name, UUID: numbered(kindHost, n).String(),
		VCPUsTotal: 256, CPUAllocationRatio: 16, FreeRAMMiB: 4 << 20, TotalRAMMiB: 4 << 20, RAMAllocationRatio: 1,
		FreeDiskMiB: 1 << 30, DiskAllocationRatio: 1,
		Service: scheduler.Service{LastReport: now},
	}
}

// SchedulingFlavor returns the flavor of shape k.
func SchedulingFlavor(k int) scheduler.Flavor {
	return scheduler.Flavor{Name: fmt.Sprint("shape", k), VCPUs: int64(1 + k%4), MemoryMiB: int64(512 + 8*k), RootGiB: 1}
}

func requestOf(k, first, count int) *live.Request {
	spec := &scheduler.RequestSpec{Flavor: SchedulingFlavor(k), ProjectID: "project", UserID: "user"}
	for n := range count {
		spec.Instances = append(spec.Instances, numbered(kindInstance, first+n).String())
	}
	return &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)}
}

// fillWorld makes equal hosts on an engine, and returns their records.
func fillWorld(ctx context.Context, cfg *SchedulingConfig, engine *placement.Engine, hosts int) (*live.Hosts, error) {
	table := live.NewHosts(0)
	vcpu := placement.NewInventory(256)
	vcpu.AllocationRatio = 16
	inventories := map[string]placement.Inventory{
		"VCPU": vcpu, "MEMORY_MB": placement.NewInventory(4 << 20), "DISK_GB": placement.NewInventory(1 << 20),
	}
	for n := range hosts {
		uuid := numbered(kindHost, n)
		if _, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid, Name: fmt.Sprint("host", n)}); err != nil {
			return nil, err
		}
		if _, err := engine.SetInventories(ctx, uuid, inventories, placement.AnyGeneration); err != nil {
			return nil, err
		}
		if err := table.Put(hostRecord(n, cfg.Now())); err != nil {
			return nil, err
		}
	}
	return table, nil
}

// checkUsage demands that so many instances are there and no host is too full,
// and returns the most on one host.
func checkUsage(engine *placement.Engine, hosts, want int) (int, error) {
	sum, most := 0, 0
	var state placement.TreeState
	for n := range hosts {
		engine.ReadTree(numbered(kindHost, n), &state)
		sum, most = sum+state.Consumers, max(most, state.Consumers)
		for _, s := range state.Stock {
			if s.Used > s.Capacity {
				return most, fmt.Errorf("host %d: %d of %s used, capacity is %d", n, s.Used, s.Class, s.Capacity)
			}
		}
	}
	if sum != want {
		return most, fmt.Errorf("%d instances are on the hosts, want %d", sum, want)
	}
	return most, nil
}
