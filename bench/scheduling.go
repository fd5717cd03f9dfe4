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

// SchedulingConfig says what to measure of the scheduler.
type SchedulingConfig struct {
	Hosts     []int // numbers of hosts
	Shapes    []int // numbers of shapes of request, which take turns
	Decisions int   // to measure, of each
	Filters   []scheduler.Filter
	Weighers  []scheduler.Weigher
	Now       func() time.Time
}

// SchedulingReport is a matrix of measurements.
type SchedulingReport struct {
	Rows []SchedulingRow `json:"rows"`
}

// SchedulingRow is one measurement. The profile indexed selects and claims, on
// an engine in memory; nova only selects, on a [scheduler.HostSet].
type SchedulingRow struct {
	Profile     string  `json:"profile"`
	Hosts       int     `json:"hosts"`
	Shapes      int     `json:"shapes"`
	Decisions   int     `json:"decisions"`
	PerSecond   float64 `json:"decisions_per_second"`
	Latency     Latency `json:"latency_us"`
	RankBytes   int64   `json:"rank_bytes"`  // of the profile indexed
	ThousandMS  float64 `json:"thousand_ms"` // one request for 1,000 servers; the same
	MostOnAHost int     `json:"most_on_a_host"`
}

// MeasureScheduling measures every number of hosts with every number of
// shapes. It checks that each instance holds what it asked for, and that none
// was placed beyond a capacity.
func MeasureScheduling(ctx context.Context, cfg SchedulingConfig) (*SchedulingReport, error) {
	var report SchedulingReport
	for _, hosts := range cfg.Hosts {
		for _, shapes := range cfg.Shapes {
			if hosts < 1 || shapes < 1 || cfg.Decisions < 1 {
				return nil, fmt.Errorf("hosts, shapes, decisions are %d, %d, %d, allowed are: 1 or more of each", hosts, shapes, cfg.Decisions)
			}
			for _, measure := range []func(context.Context, *SchedulingConfig, int, int) (SchedulingRow, error){indexed, nova} {
				row, err := measure(ctx, &cfg, hosts, shapes)
				if err != nil {
					return nil, fmt.Errorf("%d hosts, %d shapes: %w", hosts, shapes, err)
				}
				report.Rows = append(report.Rows, row)
			}
		}
	}
	return &report, nil
}

// thousand is how many servers the largest request asks for.
const thousand = 1000

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

// flavorOf returns the flavor of shape k.
func flavorOf(k int) scheduler.Flavor {
	return scheduler.Flavor{Name: fmt.Sprint("shape", k), VCPUs: int64(1 + k%4), MemoryMiB: int64(512 + 8*k), RootGiB: 1}
}

func requestOf(k, first, count int) *live.Request {
	spec := &scheduler.RequestSpec{Flavor: flavorOf(k), ProjectID: "project", UserID: "user"}
	for n := range count {
		spec.Instances = append(spec.Instances, numbered(kindInstance, first+n).String())
	}
	return &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)}
}

// indexed measures select and claim.
func indexed(ctx context.Context, cfg *SchedulingConfig, hosts, shapes int) (SchedulingRow, error) {
	row := SchedulingRow{Profile: "indexed", Hosts: hosts, Shapes: shapes, Decisions: cfg.Decisions}
	engine, table, err := schedulingWorld(ctx, cfg, hosts)
	if err != nil {
		return row, err
	}
	defer func() { _ = engine.Close() }()
	s, err := live.New(live.Config{Engine: engine, Hosts: table, Filters: cfg.Filters, Weighers: cfg.Weighers, Now: cfg.Now, Seed: 1})
	if err != nil {
		return row, err
	}
	requests := make([]*live.Request, shapes)
	for k := range requests { // ranks are made before time counts
		requests[k] = requestOf(k, k, 1)
		if _, err := s.Schedule(ctx, requests[k]); err != nil {
			return row, err
		}
	}
	watch := stopwatch{now: cfg.Now}
	for n := range cfg.Decisions {
		r := requests[n%shapes]
		r.Spec.Instances[0] = numbered(kindInstance, shapes+n).String()
		watch.start()
		_, err := s.Schedule(ctx, r)
		if watch.stop(true); err != nil {
			return row, err
		}
	}
	all := requestOf(0, shapes+cfg.Decisions, thousand)
	begun := cfg.Now()
	if _, err := s.Schedule(ctx, all); err != nil {
		return row, err
	}
	row.ThousandMS = float64(cfg.Now().Sub(begun).Nanoseconds()) / 1e6
	row.PerSecond, row.Latency, row.RankBytes = watch.perSecond(), watch.percentiles(), s.Stats().RankBytes
	row.MostOnAHost, err = checkUsage(engine, hosts, shapes+cfg.Decisions+thousand)
	return row, err
}

// schedulingWorld makes an engine with equal hosts, and their records.
func schedulingWorld(ctx context.Context, cfg *SchedulingConfig, hosts int) (*placement.Engine, *live.Hosts, error) {
	engine, err := placement.Open(ctx, placement.Config{Now: cfg.Now})
	if err != nil {
		return nil, nil, err
	}
	table := live.NewHosts(0)
	vcpu := placement.NewInventory(256)
	vcpu.AllocationRatio = 16
	inventories := map[string]placement.Inventory{
		"VCPU": vcpu, "MEMORY_MB": placement.NewInventory(4 << 20), "DISK_GB": placement.NewInventory(1 << 20),
	}
	for n := range hosts {
		uuid := numbered(kindHost, n)
		if _, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid, Name: fmt.Sprint("host", n)}); err != nil {
			return nil, nil, err
		}
		if _, err := engine.SetInventories(ctx, uuid, inventories, placement.AnyGeneration); err != nil {
			return nil, nil, err
		}
		if err := table.Put(hostRecord(n, cfg.Now())); err != nil {
			return nil, nil, err
		}
	}
	return engine, table, nil
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

// nova measures decisions as Nova makes them; what a choice takes is taken
// from the host before the next.
func nova(_ context.Context, cfg *SchedulingConfig, hosts, shapes int) (SchedulingRow, error) {
	row := SchedulingRow{Profile: "nova", Hosts: hosts, Shapes: shapes, Decisions: cfg.Decisions}
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: cfg.Filters, Weighers: cfg.Weighers, MaxAttempts: 1})
	if err != nil {
		return row, err
	}
	now := cfg.Now()
	states, at := make([]*scheduler.HostState, hosts), make(map[string]int, hosts)
	for n := range states {
		states[n] = hostRecord(n, now)
		at[states[n].Host] = n
	}
	set := p.NewHostSet(states)
	specs := make([]scheduler.RequestSpec, shapes)
	for k := range specs {
		specs[k] = scheduler.RequestSpec{Flavor: flavorOf(k), ProjectID: "project", UserID: "user", Instances: []string{""}}
	}
	watch := stopwatch{now: cfg.Now}
	for n := range cfg.Decisions {
		spec := &specs[n%shapes]
		spec.Instances[0] = numbered(kindInstance, n).String()
		watch.start()
		chosen, err := set.Select(spec, now, nil)
		if watch.stop(true); err != nil {
			return row, err
		}
		next := *chosen[0].Host
		next.FreeRAMMiB -= spec.Flavor.MemoryMiB
		next.FreeDiskMiB -= spec.Flavor.RootGiB << 10
		next.VCPUsUsed += spec.Flavor.VCPUs
		next.NumInstances++
		row.MostOnAHost = max(row.MostOnAHost, int(next.NumInstances))
		set.Set(at[next.Host], &next)
	}
	row.PerSecond, row.Latency = watch.perSecond(), watch.percentiles()
	return row, nil
}

// Lines returns the report for people, a row of words for each measurement.
func (r *SchedulingReport) Lines() []Row {
	var rows []Row
	for _, m := range r.Rows {
		value := fmt.Sprintf("%.0f decisions/s, p50 %.1f us, p99 %.1f us", m.PerSecond, m.Latency.P50, m.Latency.P99)
		if m.Profile == "indexed" {
			value += fmt.Sprintf(", 1,000 servers at once %.1f ms", m.ThousandMS)
		}
		rows = append(rows, Row{fmt.Sprintf("%s, %d hosts, %d shapes", m.Profile, m.Hosts, m.Shapes), value})
	}
	return rows
}
