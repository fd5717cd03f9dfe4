package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

func vm(cpu, mem, at, lt int64) trace.VM {
	return trace.VM{Name: "v", CPUMilli: cpu * 1000, MemMilli: mem * 1000, Arrival: at * 1e6, Lifetime: lt * 1e6}
}

func TestReplayVMs(t *testing.T) {
	t.Parallel()
	vms := []trace.VM{
		vm(2, 4, 0, 10), // host 0
		vm(3, 2, 0, 4),  // host 1
		vm(2, 2, 2, 2),  // host 0
		vm(4, 8, 4, 2),  // host 1 again: it was emptied at this moment
		vm(1, 1, 5, 5),  // host 0
	}
	for name, e := range engines(t) {
		got, err := ReplayVMs(t.Context(), e, VMConfig{VMs: vms, Host: HostShape{4000, 8000}, Now: clock()})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got.VMs != 5 || got.PeakHosts != 2 || got.PeakBound != 2 {
			t.Errorf("%s: got %+v", name, got)
		}
		near(t, "peak ratio", got.PeakRatio, 1)
		near(t, "host hours", got.HostHours, 16.0/3600)
		near(t, "bound", got.HostHoursBound, 16.0/3600)
		near(t, "usage", got.Usage, 1)
		near(t, "stranded", got.StrandedVCPU, 0.2375)
	}
}

// TestReopening holds that the host emptied last is opened first.
func TestReopening(t *testing.T) {
	t.Parallel()
	vms := []trace.VM{
		vm(4, 1, 0, 1),  // host 0, empty first
		vm(4, 1, 0, 3),  // host 1, empty last
		vm(4, 1, 0, 2),  // host 2
		vm(4, 1, 3, 90), // host 1
		vm(4, 1, 3, 90), // host 2
		vm(4, 1, 3, 90), // host 0
		vm(4, 1, 3, 90), // host 3, new
	}
	for name, e := range engines(t) {
		if got, want := hosts(t, e, VMConfig{VMs: vms})[3:], []string{"1", "2", "0", "3"}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: hosts %v, want %v", name, got, want)
		}
	}
}

// hosts replays up to the last arrival and returns who went where.
func hosts(t *testing.T, e testEngine, cfg VMConfig) []string {
	t.Helper()
	cfg.Host, cfg.Now = HostShape{4000, 8000}, clock()
	r, err := newVMReplay(e, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.createNames(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range cfg.VMs {
		if err := r.step(t.Context(), i, &cfg.VMs[i]); err != nil {
			t.Fatal(err)
		}
	}
	return places(t, e, len(cfg.VMs))
}

// TestHostChoice holds where a policy puts the last machine.
func TestHostChoice(t *testing.T) {
	t.Parallel()
	young := []trace.VM{
		vm(4, 1, 0, 1),  // host 0
		vm(2, 1, 0, 90), // host 1
		vm(3, 1, 2, 90), // host 0 again, which makes it the younger one
		vm(1, 1, 3, 90),
	}
	ends := []trace.VM{
		vm(3, 1, 0, 50), // host 0
		vm(2, 1, 0, 90), // host 1
		vm(1, 1, 1, 85), // delays the end of host 0
	}
	for _, c := range []struct {
		policy Policy
		vms    []trace.VM
		want   string
	}{
		{FirstFit, young, "0"},
		{HostAge, young, "1"},
		{BestFit, ends, "0"},
		{Lifetime, ends, "1"},
	} {
		for name, e := range engines(t) {
			if got := hosts(t, e, VMConfig{VMs: c.vms, Policy: c.policy}); got[len(got)-1] != c.want {
				t.Errorf("%s, %v: hosts %v, want %s at the end", name, c.policy, got, c.want)
			}
		}
	}
}

// TestZeroLifetime holds that such a machine leaves before the next arrives.
func TestZeroLifetime(t *testing.T) {
	t.Parallel()
	got, err := ReplayVMs(t.Context(), newFake(), VMConfig{
		VMs: []trace.VM{vm(4, 1, 5, 0), vm(4, 1, 5, 0)}, Host: HostShape{4000, 8000}, Now: clock(),
	})
	if err != nil || got.PeakHosts != 1 || got.HostHours != 0 || got.Usage != 0 {
		t.Errorf("got %+v and %v", got, err)
	}
}

// TestReplayVMsTwin compares with a second-by-second simulation.
func TestReplayVMsTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 0))
		vms := make([]trace.VM, 40)
		for i := range vms {
			vms[i] = vm(1+rng.Int64N(4), 1+rng.Int64N(8), rng.Int64N(50), 1+rng.Int64N(30))
		}
		policy := []Policy{FirstFit, BestFit, WorstFit, FGD}[seed%4]
		want := simulate(vms, HostShape{8000, 12000}, policy)
		for name, e := range engines(t) {
			got, err := ReplayVMs(t.Context(), e, VMConfig{VMs: vms, Host: HostShape{8000, 12000}, Policy: policy, Now: clock()})
			if err != nil {
				t.Fatalf("seed %d, %s: %v", seed, name, err)
			}
			what := fmt.Sprintf("seed %d, %s, %v", seed, name, policy)
			near(t, what+", peak", float64(got.PeakHosts), want.peak)
			near(t, what+", peak bound", float64(got.PeakBound), want.peakBound)
			near(t, what+", hours", got.HostHours, want.hosts/3600)
			near(t, what+", bound", got.HostHoursBound, want.bound/3600)
			near(t, what+", stranded", got.StrandedVCPU, want.stranded/want.busy)
		}
	}
}

type simulated struct{ peak, peakBound, hosts, bound, stranded, busy float64 }

// simulate steps through whole seconds. Each host is a list of machines.
func simulate(vms []trace.VM, shape HostShape, policy Policy) simulated {
	var out simulated
	var hosts [][]trace.VM
	var empty []int
	var arrived []trace.VM
	for now := int64(0); now < 100e6; now += 1e6 {
		for _, i := range byArrival(vms) {
			if h := remove(hosts, i, now); h >= 0 && len(hosts[h]) == 0 {
				empty = append(empty, h)
			}
		}
		for i, v := range vms {
			if v.Arrival != now {
				continue
			}
			v.Line = i + 1
			arrived = append(arrived, v)
			h := chooseHost(hosts, v, shape, policy)
			if policy == FGD {
				h = leastStranded(hosts, v, shape, arrived)
			}
			if h < 0 && len(empty) > 0 {
				h, empty = empty[len(empty)-1], empty[:len(empty)-1]
			} else if h < 0 {
				h, hosts = len(hosts), append(hosts, nil)
			}
			hosts[h] = append(hosts[h], v)
			out.count(hosts, shape, 0)
		}
		out.count(hosts, shape, 1)
	}
	return out
}

// remove takes machine i away if it leaves now, and returns its host or -1.
func remove(hosts [][]trace.VM, i int, now int64) int {
	for h := range hosts {
		for k, v := range hosts[h] {
			if v.Line == i+1 && v.Arrival+v.Lifetime == now {
				hosts[h] = append(hosts[h][:k:k], hosts[h][k+1:]...)
				return h
			}
		}
	}
	return -1
}

// byArrival returns the indexes of vms in the order of arrival.
func byArrival(vms []trace.VM) []int {
	var order []int
	for now := int64(0); now < 100e6; now += 1e6 {
		for i, v := range vms {
			if v.Arrival == now {
				order = append(order, i)
			}
		}
	}
	return order
}

func (s *simulated) count(hosts [][]trace.VM, shape HostShape, seconds float64) {
	var used HostShape
	occupied := 0.0
	for _, h := range hosts {
		if len(h) > 0 {
			occupied++
		}
		for _, v := range h {
			used.CPUMilli += v.CPUMilli
			used.MemMilli += v.MemMilli
		}
	}
	bound := float64(max((used.CPUMilli+shape.CPUMilli-1)/shape.CPUMilli, (used.MemMilli+shape.MemMilli-1)/shape.MemMilli))
	s.peak, s.peakBound = max(s.peak, occupied), max(s.peakBound, bound)
	s.hosts += seconds * occupied
	s.bound += seconds * bound
	if occupied > 0 {
		s.busy += seconds
		s.stranded += seconds * (occupied*float64(shape.CPUMilli) - float64(used.CPUMilli)) / (occupied * float64(shape.CPUMilli))
	}
}

func chooseHost(hosts [][]trace.VM, v trace.VM, shape HostShape, policy Policy) int {
	best, bestLeft := -1, int64(0)
	for h := range hosts {
		cpu, mem := shape.CPUMilli-v.CPUMilli, shape.MemMilli-v.MemMilli
		for _, x := range hosts[h] {
			cpu, mem = cpu-x.CPUMilli, mem-x.MemMilli
		}
		if len(hosts[h]) == 0 || cpu < 0 || mem < 0 {
			continue
		}
		left := cpu*1_000_000/shape.CPUMilli + mem*1_000_000/shape.MemMilli
		if best < 0 || policy == BestFit && left < bestLeft || policy == WorstFit && left > bestLeft {
			best, bestLeft = h, left
		}
	}
	return best
}

// leastStranded is the choice of FGD, without remembering anything.
func leastStranded(hosts [][]trace.VM, v trace.VM, shape HostShape, arrived []trace.VM) int {
	known := 0
	for n := 16; n <= len(arrived); n *= 2 {
		known = n
	}
	var mix pack.Mix
	for _, a := range arrived[:known] {
		mix.Add(pack.Demand{Need: [pack.Amounts]int64{a.CPUMilli, a.MemMilli}}, 1)
	}
	offers := pack.NewOffers(&mix, pack.OffersConfig{Weights: pack.Weights{Amounts: [pack.Amounts]float64{1 / float64(shape.CPUMilli), 1 / float64(shape.MemMilli)}}})
	rises, least := make([]float64, len(hosts)), math.Inf(1)
	for h := range hosts {
		rises[h] = math.Inf(1)
		free := [pack.Amounts]int64{shape.CPUMilli, shape.MemMilli}
		for _, x := range hosts[h] {
			free[0], free[1] = free[0]-x.CPUMilli, free[1]-x.MemMilli
		}
		if len(hosts[h]) == 0 || free[0] < v.CPUMilli || free[1] < v.MemMilli {
			continue
		}
		before := offers.Stranded(pack.Room{Free: free})
		free[0], free[1] = free[0]-v.CPUMilli, free[1]-v.MemMilli
		rises[h] = offers.Stranded(pack.Room{Free: free}) - before
		least = min(least, rises[h])
	}
	return slices.IndexFunc(rises, func(r float64) bool { return !math.IsInf(r, 1) && r <= least+1e-9 })
}

func TestHostShape(t *testing.T) {
	t.Parallel()
	if got, err := ParseHostShape("64:256"); err != nil || got != (HostShape{64_000, 256_000}) {
		t.Errorf("got %v and %v", got, err)
	}
	for _, s := range []string{"", "64", "0:1", "a:b", "1:2:3", "64:-1", "9999999:1"} {
		want := fmt.Sprintf("host shape is %q, allowed is: VCPU:GIB, two whole numbers from 1 to 2147483", s)
		if _, err := ParseHostShape(s); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTooLargeVM(t *testing.T) {
	t.Parallel()
	big := vm(5, 1, 0, 1)
	big.Line = 2
	_, err := ReplayVMs(t.Context(), newFake(), VMConfig{VMs: []trace.VM{big}, Host: HostShape{4000, 8000}, Now: clock()})
	want := "virtual machine v (line 2) has 5 vCPU and 1 GiB, allowed is: at most one host, 4 and 8"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
