package pack

import (
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Measure tells how much of a room will stay free, in the unit of its
// weights. Measures are safe for concurrent use.
type Measure interface {
	Stranded(r Room) float64
	// Least is a bound: after the demand no less than that is stranded of the
	// room.
	Least(r Room, d *Demand) float64
}

// Weights say what it costs to leave something free: a unit of each amount,
// and a thousandth of a device.
type Weights struct {
	Amounts [Amounts]float64
	Device  float64
}

// free is the weight of all that is free.
func (w *Weights) free(r *Room) float64 {
	sum := 0.0
	for i, weight := range w.Amounts {
		sum += weight * float64(max(0, r.Free[i]))
	}
	if w.Device != 0 {
		for _, free := range r.Devices {
			sum += w.Device * float64(free)
		}
	}
	return sum
}

// counts reports whether the demand takes anything that has a weight.
func (w *Weights) counts(d *Demand) bool {
	for i, weight := range w.Amounts {
		if weight != 0 && d.Need[i] > 0 {
			return true
		}
	}
	return w.Device != 0 && d.Devices > 0
}

// OffersConfig describes an [Offers].
type OffersConfig struct {
	Weights Weights
	Futures int // how many are averaged; 0: 50
	Length  int // requests that each future offers the host; 0: 100
	Seed    uint64
	// Capacity is how many devices of each kind, by the number of its bit, all
	// hosts have together. With it a thousandth of a device that stays free is
	// worth Reserve times its weight more for each time that the demand for
	// its kind is the average one. 0: 0.3.
	Capacity []float64
	Reserve  float64
}

// maxOffered is how many demands, the most frequent ones, futures are drawn
// from.
const maxOffered = 512

// Offers is the measure that looks ahead: it offers the host requests drawn
// from the mix, one after the other, lets it take what fits, each on the
// fullest devices that will do, and averages what is free in the end over
// several such futures. All rooms see the same futures.
type Offers struct {
	weights Weights
	demands []Demand
	futures [][]uint16 // indexes of demands
	reserve [MaxKinds]float64
}

// NewOffers draws the futures. Demands of the mix that take nothing of what
// has a weight are left out.
func NewOffers(m *Mix, cfg OffersConfig) *Offers {
	mix := m.only(cfg.Weights.counts).most(maxOffered)
	o := &Offers{weights: cfg.Weights, demands: mix.demands}
	if mix.total == 0 {
		return o
	}
	if cfg.Futures == 0 {
		cfg.Futures = 50
	}
	if cfg.Length == 0 {
		cfg.Length = 100
	}
	if cfg.Reserve == 0 {
		cfg.Reserve = 0.3
	}
	if p := pressures(mix, cfg.Capacity); len(p) > 0 && slices.Max(p) > slices.Min(p)+equal {
		for kind, pressure := range p {
			o.reserve[kind] = cfg.Reserve * pressure * cfg.Weights.Device
		}
	}
	rng := rand.New(rand.NewPCG(cfg.Seed, 3))
	o.futures = make([][]uint16, cfg.Futures)
	for k := range o.futures {
		o.futures[k] = make([]uint16, cfg.Length)
		for i := range o.futures[k] {
			o.futures[k][i] = uint16(mix.at(rng.Int64N(mix.total)))
		}
	}
	return o
}

// pressures returns for each kind how much its devices are asked for, 1 being
// the average over all devices. Each demand asks for all devices that will do
// in equal parts.
func pressures(m *Mix, capacity []float64) []float64 {
	out := make([]float64, len(capacity))
	asked, devices := 0.0, 0.0
	for i := range m.demands {
		d, fit := &m.demands[i], 0.0
		for kind, n := range capacity {
			fit += n * float64(d.Kinds>>kind&1)
		}
		for kind, n := range capacity {
			if d.Kinds>>kind&1 == 1 && n > 0 {
				part := float64(m.counts[i]) * float64(d.Devices) * float64(d.Share) / fit
				out[kind] += part
				asked += part * n
			}
		}
	}
	for _, n := range capacity {
		devices += n
	}
	for kind := range out {
		if asked > 0 {
			out[kind] *= devices / asked
		}
	}
	return out
}

// Stranded averages what the futures leave free, less what is held back.
func (o *Offers) Stranded(r Room) float64 {
	if len(o.futures) == 0 || o.weights.free(&r) == 0 {
		return o.weights.free(&r)
	}
	var fits [maxOffered / 64]uint64 // by demand
	for i := range o.demands {
		if r.Fits(&o.demands[i]) {
			fits[i/64] |= 1 << (i % 64)
		}
	}
	var devices [MaxDevices]int16
	left := Room{Kind: r.Kind, Devices: devices[:len(r.Devices)]}
	sum := 0.0
	for _, future := range o.futures {
		left.Free = r.Free
		copy(left.Devices, r.Devices)
		o.fill(&left, fits, future)
		sum += o.weights.free(&left)
	}
	sum /= float64(len(o.futures))
	if r.Kind != 0 {
		held := o.reserve[bits.TrailingZeros64(r.Kind)]
		for _, free := range r.Devices {
			sum -= held * float64(free)
		}
	}
	return sum
}

// Least is what is held back of the devices that the demand leaves.
func (o *Offers) Least(r Room, d *Demand) float64 {
	if r.Kind == 0 {
		return 0
	}
	left := -int64(d.Devices) * int64(d.Share)
	for _, free := range r.Devices {
		left += int64(free)
	}
	return -o.reserve[bits.TrailingZeros64(r.Kind)] * float64(left)
}

// fill takes what fits of a future. What did not fit once will not do so
// later.
func (o *Offers) fill(left *Room, fits [maxOffered / 64]uint64, future []uint16) {
	for _, i := range future {
		if fits[i/64]>>(i%64)&1 == 0 {
			continue
		}
		d := &o.demands[i]
		if !left.Fits(d) {
			fits[i/64] &^= 1 << (i % 64)
			continue
		}
		left.take(d, left.tightest(d))
	}
}

// Fragments is the measure of the paper: what of the devices the next request
// cannot use, averaged over the mix. All of a room is a fragment for a demand
// that does not fit; devices with too little are for one that does. Only
// devices count.
//
// Source: Weng et al., "Beware of Fragmentation", USENIX ATC 2023, section 3.
type Fragments struct{ mix *Mix }

// NewFragments makes the measure. The mix must not change afterwards.
func NewFragments(m *Mix) *Fragments { return &Fragments{m} }

// Least is 0.
func (f *Fragments) Least(Room, *Demand) float64 { return 0 }

// Stranded averages the fragments.
func (f *Fragments) Stranded(r Room) float64 {
	sum := int64(0)
	for i := range f.mix.demands {
		d, fragment := &f.mix.demands[i], int64(0)
		fits := d.Devices > 0 && r.Fits(d)
		for _, free := range r.Devices {
			if !fits || free < d.Share {
				fragment += int64(free)
			}
		}
		sum += f.mix.counts[i] * fragment
	}
	return float64(sum) / float64(max(1, f.mix.total))
}
