package bench

import "github.com/kilonova-cloud/kilonova/bench/trace"

// integrals follows the demand and the occupied hosts over time.
type integrals struct {
	host     HostShape
	started  bool
	now      int64 // microseconds, as every time here
	demand   HostShape
	occupied int64

	peakHosts, peakBound  int64
	hostTime, boundTime   float64 // hosts times microseconds
	strandedTime, anyTime float64 // share times microseconds; microseconds with a host occupied
}

// bound is how many hosts the present demand needs at least.
func (s *integrals) bound() int64 {
	return max(ceil(s.demand.CPUMilli, s.host.CPUMilli), ceil(s.demand.MemMilli, s.host.MemMilli))
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// advance adds what holds from the present moment to the given one.
func (s *integrals) advance(to int64) {
	if dt := float64(to - s.now); s.started && s.occupied > 0 {
		s.hostTime += dt * float64(s.occupied)
		s.boundTime += dt * float64(s.bound())
		s.anyTime += dt
		s.strandedTime += dt * (1 - ratio(s.demand.CPUMilli, s.occupied*s.host.CPUMilli))
	}
	s.started, s.now = true, to
}

// arrive counts a virtual machine that has been placed.
func (s *integrals) arrive(vm *trace.VM) {
	s.demand.CPUMilli += vm.CPUMilli
	s.demand.MemMilli += vm.MemMilli
	s.peakHosts = max(s.peakHosts, s.occupied)
	s.peakBound = max(s.peakBound, s.bound())
}

func (s *integrals) depart(vm *trace.VM) {
	s.demand.CPUMilli -= vm.CPUMilli
	s.demand.MemMilli -= vm.MemMilli
}

func (s *integrals) report() *VMReport {
	const hour = 3600e6
	return &VMReport{
		PeakHosts:      s.peakHosts,
		PeakBound:      s.peakBound,
		PeakRatio:      ratio(s.peakHosts, s.peakBound),
		HostHours:      s.hostTime / hour,
		HostHoursBound: s.boundTime / hour,
		Usage:          quotient(s.hostTime, s.boundTime),
		StrandedVCPU:   quotient(s.strandedTime, s.anyTime),
	}
}

func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
