package bench

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// HostShape is the size of every host in a replay of virtual machines.
type HostShape struct {
	CPUMilli int64 // thousandths of a vCPU
	MemMilli int64 // thousandths of a GiB
}

// The largest host, in vCPUs or GiB: thousandths must fit an inventory.
const maxHost = placement.MaxInt / 1000

// ParseHostShape reads "VCPU:GIB", two whole numbers.
func ParseHostShape(s string) (HostShape, error) {
	cpu, mem, ok := strings.Cut(s, ":")
	c, errCPU := strconv.Atoi(cpu)
	m, errMem := strconv.Atoi(mem)
	if !ok || errCPU != nil || errMem != nil || min(c, m) < 1 || max(c, m) > maxHost {
		return HostShape{}, fmt.Errorf("host shape is %q, allowed is: VCPU:GIB, two whole numbers from 1 to %d", s, maxHost)
	}
	return HostShape{CPUMilli: int64(c) * 1000, MemMilli: int64(m) * 1000}, nil
}

// VMConfig describes a replay of virtual machines.
type VMConfig struct {
	Store    string // its name, for the report
	VMs      []trace.VM
	Host     HostShape
	Policy   Policy
	Seed     uint64
	Now      func() time.Time      // measures the replay; required
	Progress func(done, total int) // nil: not told
}

// traitOccupied marks the hosts that a policy may choose from.
const traitOccupied = "CUSTOM_OCCUPIED"

// vmReplay is a replay under way.
type vmReplay struct {
	engine Engine
	cfg    VMConfig
	hosts  []vmHost
	empty  []int // hosts without virtual machines, the one emptied last at the end
	leave  departures
	picker picker
	packer *vmPacker // nil: the policy ranks the engine's candidates
	opened int64     // number of times that a host was opened
	vm     *trace.VM // being placed
	watch  stopwatch
	sums   integrals
}

// vmHost is one host: what of it is free, and who lives on it.
type vmHost struct {
	free   HostShape
	vms    int
	opened int64 // rank by the moment since when it is occupied
	end    int64 // when the last one leaves, microseconds
}

// ReplayVMs replays arrivals and departures in the order of time on identical
// hosts. At equal times departures come first, the earlier arrival before the
// later. The policy chooses among occupied hosts; when none has room, the host
// that was emptied last is opened again, or a new one when there is none. The
// hosts are resource providers that have a trait while they are occupied.
func ReplayVMs(ctx context.Context, engine Engine, cfg VMConfig) (*VMReport, error) {
	r, err := newVMReplay(engine, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.createNames(ctx); err != nil {
		return nil, err
	}
	order := slices.Clone(cfg.VMs)
	slices.SortStableFunc(order, func(a, b trace.VM) int { return cmp.Compare(a.Arrival, b.Arrival) })
	for i := range order {
		if err := r.step(ctx, i, &order[i]); err != nil {
			return nil, fmt.Errorf("virtual machine %s (line %d): %w", order[i].Name, order[i].Line, err)
		}
		if cfg.Progress != nil {
			cfg.Progress(i+1, len(order))
		}
	}
	for len(r.leave) > 0 {
		if err := r.depart(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.compare(); err != nil {
		return nil, err
	}
	return r.finish(), nil
}

func newVMReplay(engine Engine, cfg VMConfig) (*vmReplay, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &vmReplay{engine: engine, cfg: cfg, watch: stopwatch{now: cfg.Now}, sums: integrals{host: cfg.Host}}
	r.picker = picker{policy: cfg.Policy, rng: rand.New(rand.NewPCG(cfg.Seed, 2)), rank: r.rank}
	if cfg.Policy == FGD {
		r.packer = newVMPacker(cfg.Host)
	}
	return r, nil
}

func (cfg *VMConfig) validate() error {
	if cfg.Now == nil {
		return errors.New("field Now is nil, allowed is: a clock")
	}
	for i := range cfg.VMs {
		vm := &cfg.VMs[i]
		if vm.CPUMilli > cfg.Host.CPUMilli || vm.MemMilli > cfg.Host.MemMilli {
			return fmt.Errorf("virtual machine %s (line %d) has %g vCPU and %g GiB, allowed is: at most one host, %g and %g",
				vm.Name, vm.Line, milli(vm.CPUMilli), milli(vm.MemMilli), milli(cfg.Host.CPUMilli), milli(cfg.Host.MemMilli))
		}
	}
	return nil
}

func milli(v int64) float64 { return float64(v) / 1000 }

func (r *vmReplay) createNames(ctx context.Context) error {
	_, err := r.engine.CreateTrait(ctx, traitOccupied)
	for _, class := range []string{classCPU, classMilliGiB} {
		_, errClass := r.engine.CreateClass(ctx, class)
		err = errors.Join(err, errClass)
	}
	return err
}

// step lets those depart whose time has come, then places one arrival.
func (r *vmReplay) step(ctx context.Context, i int, vm *trace.VM) error {
	for len(r.leave) > 0 && r.leave[0].at <= vm.Arrival {
		if err := r.depart(ctx); err != nil {
			return err
		}
	}
	r.sums.advance(vm.Arrival)
	host, err := r.place(ctx, i, vm)
	if err != nil {
		return err
	}
	r.sums.arrive(vm)
	heap.Push(&r.leave, departure{at: vm.Arrival + vm.Lifetime, seq: i, host: host, vm: vm})
	return nil
}

// place claims room for a virtual machine and returns its host.
func (r *vmReplay) place(ctx context.Context, i int, vm *trace.VM) (int, error) {
	r.vm = vm
	r.watch.start()
	defer r.watch.stop(true)
	req := r.request(vm)
	if r.packer != nil {
		r.packer.narrow(&req, r.hosts, vm)
	}
	claimed, err := r.picker.pick(r.engine.Candidates(ctx, req))
	if err != nil {
		return 0, err
	}
	if claimed == nil {
		host, err := r.open(ctx)
		if err != nil {
			return 0, err
		}
		claimed = []placement.Allocation{
			{Provider: providerUUID(host, 0), Class: classCPU, Amount: vm.CPUMilli},
			{Provider: providerUUID(host, 0), Class: classMilliGiB, Amount: vm.MemMilli},
		}
	}
	if err := claim(ctx, r.engine, i, claimed); err != nil {
		return 0, err
	}
	return r.take(vm, claimed)
}

func (r *vmReplay) request(vm *trace.VM) placement.CandidateRequest {
	return placement.CandidateRequest{
		Groups: []placement.RequestGroup{{
			Resources: []placement.Resource{{Class: classCPU, Amount: vm.CPUMilli}, {Class: classMilliGiB, Amount: vm.MemMilli}},
			Required:  [][]string{{traitOccupied}},
		}},
		Limit:          r.cfg.Policy.limit(),
		Representative: true,
	}
}

// rank scores a candidate by what it would leave free on its host, or as
// the policy says.
func (r *vmReplay) rank(c *placement.Candidate) (score, error) {
	i, _ := position(c.Root)
	if i >= len(r.hosts) {
		return score{}, fmt.Errorf("wrong answer: candidate on unknown host %s", c.Root)
	}
	h := &r.hosts[i]
	left := share(h.free.CPUMilli-r.vm.CPUMilli, r.cfg.Host.CPUMilli) + share(h.free.MemMilli-r.vm.MemMilli, r.cfg.Host.MemMilli)
	switch r.cfg.Policy {
	case HostAge:
		return score{node: h.opened}, nil
	case Lifetime:
		return score{node: max(0, r.vm.Arrival+r.vm.Lifetime-h.end), inside: left}, nil
	default:
		return score{node: left}, nil
	}
}

// open marks an empty host as occupied, and makes one if there is none. That
// no occupied host has room is checked first.
func (r *vmReplay) open(ctx context.Context) (int, error) {
	for i := range r.hosts {
		if h := &r.hosts[i]; h.vms > 0 && h.free.CPUMilli >= r.vm.CPUMilli && h.free.MemMilli >= r.vm.MemMilli {
			return 0, fmt.Errorf("wrong answer: no candidate, but host %d has room", i)
		}
	}
	host := len(r.hosts)
	if last := len(r.empty) - 1; last >= 0 {
		host = r.empty[last]
		r.empty = r.empty[:last]
	} else if err := r.create(ctx, host); err != nil {
		return 0, err
	}
	_, err := r.engine.SetTraits(ctx, providerUUID(host, 0), []string{traitOccupied}, placement.AnyGeneration)
	return host, err
}

func (r *vmReplay) create(ctx context.Context, host int) error {
	u := providerUUID(host, 0)
	if _, err := r.engine.CreateProvider(ctx, placement.Provider{UUID: u, Name: fmt.Sprintf("host-%d", host)}); err != nil {
		return err
	}
	_, err := r.engine.SetInventories(ctx, u, map[string]placement.Inventory{
		classCPU:      placement.NewInventory(r.cfg.Host.CPUMilli),
		classMilliGiB: placement.NewInventory(r.cfg.Host.MemMilli),
	}, placement.AnyGeneration)
	r.hosts = append(r.hosts, vmHost{free: r.cfg.Host})
	return err
}

// take books a claim and returns its host.
func (r *vmReplay) take(vm *trace.VM, claimed []placement.Allocation) (int, error) {
	host, _ := position(claimed[0].Provider)
	if host >= len(r.hosts) {
		return 0, fmt.Errorf("wrong answer: allocation on unknown host %s", claimed[0].Provider)
	}
	h, got := &r.hosts[host], map[string]int64{}
	for _, a := range claimed {
		if a.Provider != providerUUID(host, 0) {
			return 0, fmt.Errorf("wrong answer: allocation on %s besides host %d", a.Provider, host)
		}
		got[a.Class] += a.Amount
	}
	if len(got) != 2 || got[classCPU] != vm.CPUMilli || got[classMilliGiB] != vm.MemMilli ||
		h.free.CPUMilli < vm.CPUMilli || h.free.MemMilli < vm.MemMilli {
		return 0, fmt.Errorf("wrong answer: claimed %v on host %d with %+v free", got, host, h.free)
	}
	if h.vms == 0 {
		r.sums.occupied++
		r.opened++
		h.opened, h.end = r.opened, vm.Arrival+vm.Lifetime
	}
	h.vms++
	h.free = HostShape{h.free.CPUMilli - vm.CPUMilli, h.free.MemMilli - vm.MemMilli}
	h.end = max(h.end, vm.Arrival+vm.Lifetime)
	if r.packer != nil {
		r.packer.changed(host, h)
	}
	return host, nil
}

// depart releases the virtual machine that leaves next.
func (r *vmReplay) depart(ctx context.Context) error {
	d := heap.Pop(&r.leave).(departure)
	r.sums.advance(d.at)
	r.watch.start()
	defer r.watch.stop(false)
	if err := r.engine.DeleteAllocations(ctx, consumerUUID(d.seq)); err != nil {
		return fmt.Errorf("release virtual machine %s (line %d): %w", d.vm.Name, d.vm.Line, err)
	}
	r.sums.depart(d.vm)
	h := &r.hosts[d.host]
	h.vms--
	h.free = HostShape{h.free.CPUMilli + d.vm.CPUMilli, h.free.MemMilli + d.vm.MemMilli}
	if r.packer != nil {
		r.packer.changed(d.host, h)
	}
	if h.vms > 0 {
		return nil
	}
	r.sums.occupied--
	r.empty = append(r.empty, d.host)
	_, err := r.engine.SetTraits(ctx, providerUUID(d.host, 0), nil, placement.AnyGeneration)
	return err
}

// compare checks the usages of every host.
func (r *vmReplay) compare() error {
	for i, h := range r.hosts {
		want := map[string]int64{
			classCPU:      r.cfg.Host.CPUMilli - h.free.CPUMilli,
			classMilliGiB: r.cfg.Host.MemMilli - h.free.MemMilli,
		}
		if err := expectUsage(r.engine, providerUUID(i, 0), want); err != nil {
			return err
		}
	}
	return nil
}

func (r *vmReplay) finish() *VMReport {
	rep := r.sums.report()
	rep.Trace, rep.Policy, rep.Seed, rep.Store = "vm", r.cfg.Policy.String(), r.cfg.Seed, r.cfg.Store
	rep.VMs = len(r.cfg.VMs)
	rep.Seconds, rep.ClaimsPerSecond = r.watch.total.Seconds(), r.watch.perSecond()
	rep.Latency = r.watch.percentiles()
	return rep
}
