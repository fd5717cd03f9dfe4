package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// The resource classes of NUMA cells.
const (
	classVCPU     = "VCPU"
	classMemoryMB = "MEMORY_MB"
	mibPerGiB     = 1024
)

// NUMAConfig describes a replay of requests with rules on hosts with NUMA
// cells.
type NUMAConfig struct {
	Sequence, Store string // names, for the report
	Hosts           []trace.NUMAHost
	Requests        []trace.NUMARequest
	Policy          Policy
	Seed            uint64
	Now             func() time.Time      // measures the replay; required
	Progress        func(done, total int) // nil: not told
}

// numaReplay is a replay under way.
type numaReplay struct {
	engine Engine
	cfg    NUMAConfig
	hosts  []numaHost
	rules  *numaRules
	choose *numaChooser
	places []numaPlace
	opened int // hosts in use
	watch  stopwatch
}

// numaHost is what is free of a host, and since when it is used.
type numaHost struct {
	free   [trace.Cells]trace.Cell
	opened int // rank by first claim, from 1; 0: unused
}

// ReplayNUMA places the requests in their order. Nobody departs. The policy
// chooses among the hosts that have room and that the rule of the request's
// group allows; the engine then has to agree and takes the claim. In the end
// every rule is checked by looking at all pairs.
func ReplayNUMA(ctx context.Context, engine Engine, cfg NUMAConfig) (*NUMAReport, error) {
	if cfg.Now == nil {
		return nil, errors.New("field Now is nil, allowed is: a clock")
	}
	r := &numaReplay{engine: engine, cfg: cfg, rules: newNUMARules(cfg.Hosts), watch: stopwatch{now: cfg.Now}}
	for i := range cfg.Hosts {
		r.hosts = append(r.hosts, numaHost{free: cfg.Hosts[i].Cells})
		if err := r.create(ctx, i); err != nil {
			return nil, fmt.Errorf("create host %d: %w", i, err)
		}
	}
	r.choose = newNUMAChooser(r, rand.New(rand.NewPCG(cfg.Seed, 2)))
	for i := range cfg.Requests {
		if err := r.place(ctx, i, &cfg.Requests[i]); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		if cfg.Progress != nil {
			cfg.Progress(i+1, len(cfg.Requests))
		}
	}
	if err := errors.Join(checkNUMA(cfg.Hosts, cfg.Requests, r.places), r.compare()); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

// create makes a host and a child for each cell that has anything.
func (r *numaReplay) create(ctx context.Context, i int) error {
	name := fmt.Sprintf("host-%d", i)
	_, err := r.engine.CreateProvider(ctx, placement.Provider{UUID: providerUUID(i, 0), Name: name})
	for c, room := range r.cfg.Hosts[i].Cells {
		if err != nil || room.VCPUs == 0 || room.GiB == 0 {
			continue
		}
		u := providerUUID(i, c+1)
		if _, err = r.engine.CreateProvider(ctx, placement.Provider{UUID: u, Name: fmt.Sprintf("%s-cell-%d", name, c), Parent: providerUUID(i, 0)}); err == nil {
			_, err = r.engine.SetInventories(ctx, u, map[string]placement.Inventory{
				classVCPU: placement.NewInventory(room.VCPUs), classMemoryMB: placement.NewInventory(room.GiB * mibPerGiB),
			}, placement.AnyGeneration)
		}
	}
	return err
}

func (r *numaReplay) place(ctx context.Context, i int, q *trace.NUMARequest) error {
	r.watch.start()
	host, cell := r.choose.host(q)
	r.places = append(r.places, numaPlace{host: host})
	if host < 0 {
		r.watch.stop(false)
		return nil
	}
	claimed, err := r.candidate(ctx, q, host, cell)
	if err == nil {
		err = claim(ctx, r.engine, i, claimed)
	}
	r.watch.stop(true)
	if err != nil {
		return err
	}
	return r.take(q, &r.places[i], claimed)
}

// candidate asks the engine for the way to put the request on the chosen
// host, from the chosen cell on.
func (r *numaReplay) candidate(ctx context.Context, q *trace.NUMARequest, host, cell int) ([]placement.Allocation, error) {
	req := placement.CandidateRequest{Policy: placement.PolicyIsolate}
	for c := range q.Cells {
		req.Groups = append(req.Groups, placement.RequestGroup{
			Suffix: fmt.Sprintf("_CELL%d", c),
			Resources: []placement.Resource{
				{Class: classVCPU, Amount: q.Part.VCPUs}, {Class: classMemoryMB, Amount: q.Part.GiB * mibPerGiB},
			},
			InTree: providerUUID(host, 0),
		})
	}
	for c, err := range r.engine.Candidates(ctx, req) {
		if err != nil {
			return nil, fmt.Errorf("candidates: %w", err)
		}
		if c.Allocations[0].Provider == providerUUID(host, cell+1) {
			return c.Clone().Allocations, nil
		}
	}
	return nil, fmt.Errorf("wrong answer: no candidate on cell %d of host %d, which has %+v free", cell, host, r.hosts[host].free)
}

// take books a claim.
func (r *numaReplay) take(q *trace.NUMARequest, p *numaPlace, claimed []placement.Allocation) error {
	h := &r.hosts[p.host]
	for _, a := range claimed {
		at, member := position(a.Provider)
		if at != p.host || member < 1 || member > trace.Cells {
			return fmt.Errorf("wrong answer: allocation on %s besides host %d", a.Provider, p.host)
		}
		p.cells[member-1] = true
	}
	for c, has := range p.cells {
		if has {
			h.free[c].VCPUs -= q.Part.VCPUs
			h.free[c].GiB -= q.Part.GiB
		}
	}
	if h.opened == 0 {
		r.opened++
		h.opened = r.opened
	}
	r.rules.put(q, p.host)
	r.choose.changed(p.host)
	return nil
}

// compare checks the usages of every cell.
func (r *numaReplay) compare() error {
	for i := range r.hosts {
		for c, room := range r.cfg.Hosts[i].Cells {
			if room.VCPUs == 0 || room.GiB == 0 {
				continue
			}
			free := r.hosts[i].free[c]
			want := map[string]int64{classVCPU: room.VCPUs - free.VCPUs, classMemoryMB: (room.GiB - free.GiB) * mibPerGiB}
			if err := expectUsage(r.engine, providerUUID(i, c+1), want); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *numaReplay) finish() *NUMAReport {
	rep := &NUMAReport{
		Trace: "numa", Variant: r.cfg.Sequence, Policy: r.cfg.Policy.String(), Seed: r.cfg.Seed, Store: r.cfg.Store,
		Hosts: len(r.hosts), Requests: len(r.places), PlacedBound: numaBound(r.cfg.Hosts, r.cfg.Requests),
		Refused: map[string]int{}, HostsUsed: r.opened,
	}
	var total, free trace.Cell
	for i := range r.hosts {
		for c, room := range r.cfg.Hosts[i].Cells {
			total = trace.Cell{VCPUs: total.VCPUs + room.VCPUs, GiB: total.GiB + room.GiB}
			free = trace.Cell{VCPUs: free.VCPUs + r.hosts[i].free[c].VCPUs, GiB: free.GiB + r.hosts[i].free[c].GiB}
		}
	}
	for i, p := range r.places {
		if p.host >= 0 {
			rep.Placed++
		} else {
			rep.Refused[r.cfg.Requests[i].Rule.String()]++
		}
	}
	rep.AllocatedVCPU, rep.AllocatedMemory = ratio(total.VCPUs-free.VCPUs, total.VCPUs), ratio(total.GiB-free.GiB, total.GiB)
	rep.Seconds, rep.ClaimsPerSecond = r.watch.total.Seconds(), r.watch.perSecond()
	rep.Latency = r.watch.percentiles()
	return rep
}
