package pack

import (
	"encoding/binary"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// HintLifetime is the scheduler hint that says for how many seconds an instance will live.
const HintLifetime = "kilonova:lifetime"

// weigher is a weigher whose score is that of one host for the request.
type weigher struct {
	name  string
	reads scheduler.Reads
	by    scheduler.Multiplier
	score func(r *scheduler.Request, h *scheduler.HostState) float64
	idle  func(s *scheduler.RequestSpec) bool // nil: never
}

// Name returns the weigher's name.
func (w *weigher) Name() string { return w.name }

// Reads returns what the weigher looks at.
func (w *weigher) Reads() scheduler.Reads { return w.reads }

// Multiplier returns the weigher's multiplier.
func (w *weigher) Multiplier() scheduler.Multiplier { return w.by }

// Floor is none.
func (w *weigher) Floor() (float64, bool) { return 0, false }

// Idle reports whether the weigher has no say in the request.
func (w *weigher) Idle(s *scheduler.RequestSpec) bool { return w.idle != nil && w.idle(s) }

// AppendRead appends the sizes of the flavor, which are all that those read
// whose scores can be kept.
func (w *weigher) AppendRead(b []byte, s *scheduler.RequestSpec) []byte {
	for _, need := range DemandOf(&s.Flavor).Need {
		b = binary.AppendVarint(b, need)
	}
	return b
}

// Weigh scores one host after the other.
func (w *weigher) Weigh(r *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	idle := w.Idle(r.Spec)
	for i, h := range hosts {
		if raw[i] = 0; !idle {
			raw[i] = w.score(r, h)
		}
	}
	return nil
}

// RoomOf returns what is free of a host: vCPUs, MiB of memory, MiB of disk,
// each with its allocation ratio. Devices are left out: HostState knows their
// number only.
func RoomOf(h *scheduler.HostState) Room {
	return Room{Free: [Amounts]int64{
		int64(float64(h.VCPUsTotal)*h.CPUAllocationRatio) - h.VCPUsUsed,
		h.FreeRAMMiB + int64(float64(h.TotalRAMMiB)*(h.RAMAllocationRatio-1)),
		h.FreeDiskMiB + int64(float64(h.TotalDiskGiB*1024)*(h.DiskAllocationRatio-1)),
	}}
}

// DemandOf returns what an instance of the flavor takes, in the same units.
func DemandOf(f *scheduler.Flavor) Demand {
	return Demand{Need: [Amounts]int64{f.VCPUs, f.MemoryMiB, (f.RootGiB+f.EphemeralGB)*1024 + f.SwapMiB}}
}

// NewBestFit makes the weigher that prefers the host which the instance leaves
// fullest: the sum over vCPUs and memory of the share of the host that stays
// free, negated. With a multiplier below 0 it spreads (worst fit).
func NewBestFit(multiplier float64) scheduler.Weigher {
	return newBestFit("BestFitWeigher", scheduler.Multiplier{Value: multiplier})
}

func newBestFit(name string, by scheduler.Multiplier) *weigher {
	return &weigher{
		name: name, by: by, reads: scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsRequest,
		score: func(r *scheduler.Request, h *scheduler.HostState) float64 {
			room, d := RoomOf(h), DemandOf(&r.Spec.Flavor)
			return -part(room.Free[0]-d.Need[0], float64(h.VCPUsTotal)*h.CPUAllocationRatio) -
				part(room.Free[1]-d.Need[1], float64(h.TotalRAMMiB)*h.RAMAllocationRatio)
		},
	}
}

func part(left int64, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(left) / whole
}

// NewFragmentation makes the weigher that prefers the host of which the
// instance strands least by the measure (fragmentation gradient descent). Its
// score is by how much it lowers what is stranded. With a [LiveMix] it is a
// [scheduler.Learner].
func NewFragmentation(m Measure, multiplier float64) scheduler.Weigher {
	return newFragmentation(m, scheduler.Multiplier{Value: multiplier})
}

func newFragmentation(m Measure, by scheduler.Multiplier) scheduler.Weigher {
	live, follows := m.(*LiveMix)
	w := &weigher{
		name: fragmentationName, by: by, reads: scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsRequest,
		score: func(r *scheduler.Request, h *scheduler.HostState) float64 {
			m := m
			if follows {
				m = live.Now()
			}
			room, d := RoomOf(h), DemandOf(&r.Spec.Flavor)
			before := m.Stranded(room)
			room.take(&d, 0)
			return before - m.Stranded(room)
		},
	}
	if follows {
		return learner{w, live}
	}
	return w
}

// learner is a weigher that follows the mix.
type learner struct {
	*weigher
	live *LiveMix
}

// Learn counts the instances.
func (l learner) Learn(s *scheduler.RequestSpec, n int) { l.live.Add(DemandOf(&s.Flavor), int64(n)) }

// Version is that of the mix.
func (l learner) Version() uint64 { return l.live.Version() }

// NewHostAge makes the weigher that prefers the host which is in use for
// longest, so that younger ones run empty. since says from when on a host is
// in use, false when it is not; such a host scores as one that is in use from
// now on. The score is in seconds.
func NewHostAge(since func(h *scheduler.HostState) (time.Time, bool), multiplier float64) scheduler.Weigher {
	return newHostAge(since, scheduler.Multiplier{Value: multiplier})
}

func newHostAge(since func(h *scheduler.HostState) (time.Time, bool), by scheduler.Multiplier) *weigher {
	return &weigher{
		name: "HostAgeWeigher", by: by, reads: scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsTime,
		score: func(r *scheduler.Request, h *scheduler.HostState) float64 {
			if at, used := since(h); used {
				return max(0, r.Now.Sub(at).Seconds())
			}
			return 0
		},
	}
}

// NewLifetime makes the weigher that prefers the host whose end the instance
// delays least. The instance says in the hint [HintLifetime] for how many
// seconds it will live; without it the weigher has no say. end says when a
// host will run empty, false when it is empty or nobody knows; such a host
// counts as one that ends now. The score is the delay in seconds, negated.
func NewLifetime(end func(h *scheduler.HostState) (time.Time, bool), multiplier float64) scheduler.Weigher {
	return newLifetime(end, scheduler.Multiplier{Value: multiplier})
}

func newLifetime(end func(h *scheduler.HostState) (time.Time, bool), by scheduler.Multiplier) *weigher {
	return &weigher{
		name: "LifetimeWeigher", by: by,
		reads: scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsRequest | scheduler.ReadsTime,
		idle:  func(s *scheduler.RequestSpec) bool { _, ok := lifetime(s); return !ok },
		score: func(r *scheduler.Request, h *scheduler.HostState) float64 {
			delay, _ := lifetime(r.Spec)
			if at, known := end(h); known {
				delay -= max(0, at.Sub(r.Now).Seconds())
			}
			return -max(0, delay)
		},
	}
}

// lifetime returns the hint in seconds, false when there is none or it is not
// a number above 0.
func lifetime(s *scheduler.RequestSpec) (float64, bool) {
	hint := s.Hint(HintLifetime)
	if len(hint) != 1 {
		return 0, false
	}
	seconds, ok := scheduler.ParseFloat(hint[0])
	return seconds, ok && seconds > 0
}
