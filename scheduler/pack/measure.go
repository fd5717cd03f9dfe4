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
	// Least is a bound: whatever is taken of the room, no less is stranded.
	Least(r Room) float64
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
	// Hosts are the rooms of all hosts when they are empty. With them copies
	// count: of each demand, how many still fit. Scarce is the weight of one
	// that no longer fits, against stranding; 0: 0.03.
	Hosts  []Room
	Scarce float64
	// Reserve is the weight of the kinds of devices: a thousandth that stays
	// free is worth so much more for each time that the demand for its kind is
	// the average one. 0: 0.3.
	Reserve float64
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
	futures [][]uint16  // indexes of demands
	harder  []demandSet // by demand: those that take as much of everything or more
	reserve [MaxKinds]float64
	worth   []float64 // of a copy, by demand
}

// demandSet is a set of demands, a bit for each.
type demandSet [maxOffered / 64]uint64

func (s *demandSet) has(i uint16) bool { return s[i/64]>>(i%64)&1 == 1 }

func (s *demandSet) add(i int) { s[i/64] |= 1 << (i % 64) }

// remove removes the members of another set and reports whether any remain.
func (s *demandSet) remove(other *demandSet) bool {
	remain := uint64(0)
	for i, gone := range other {
		s[i] &^= gone
		remain |= s[i]
	}
	return remain != 0
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
	o.compare()
	o.count(mix, &cfg)
	if p := pressures(mix, capacity(cfg.Hosts)); len(p) > 0 && slices.Max(p) > slices.Min(p)+equal {
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

// compare finds the demands that do not fit where another does not. Kinds do
// not count: demands of another kind are left out from the start.
func (o *Offers) compare() {
	o.harder = make([]demandSet, len(o.demands))
	for i := range o.demands {
		for j := range o.demands {
			if o.demands[j].atLeast(&o.demands[i]) {
				o.harder[i].add(j)
			}
		}
	}
}

// count makes a copy of a demand worth the demand's part of what is asked for,
// over its part of all copies: all copies of all demands are worth what all
// hosts have, times Scarce.
func (o *Offers) count(m *Mix, cfg *OffersConfig) {
	if cfg.Scarce == 0 {
		cfg.Scarce = 0.03
	}
	asked, all := 0.0, 0.0
	takes := make([]float64, len(m.demands))
	for i := range m.demands {
		d := &m.demands[i]
		room := Room{Free: d.Need, Devices: slices.Repeat([]int16{d.Share}, d.Devices)}
		takes[i] = float64(m.counts[i]) * o.weights.free(&room)
		asked += takes[i]
	}
	copies := make([]int64, len(m.demands))
	for h := range cfg.Hosts {
		all += o.weights.free(&cfg.Hosts[h])
		for i := range m.demands {
			copies[i] += cfg.Hosts[h].Copies(&m.demands[i])
		}
	}
	o.worth = make([]float64, len(m.demands))
	for i, n := range copies {
		if n > 0 {
			o.worth[i] = cfg.Scarce * takes[i] / asked * all / float64(n)
		}
	}
}

// capacity returns how many devices of each kind hosts have, nil when they
// have none.
func capacity(hosts []Room) []float64 {
	var out []float64
	for i := range hosts {
		if kind := hosts[i].Kind; kind != 0 {
			for bits.TrailingZeros64(kind) >= len(out) {
				out = append(out, 0)
			}
			out[bits.TrailingZeros64(kind)] += float64(len(hosts[i].Devices))
		}
	}
	return out
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

// Stranded averages what the futures leave free, less what copies that fit and
// kinds that are in demand are worth.
func (o *Offers) Stranded(r Room) float64 {
	if len(o.futures) == 0 || o.weights.free(&r) == 0 {
		return o.weights.free(&r)
	}
	var fits demandSet
	for i := range o.demands {
		if r.Fits(&o.demands[i]) {
			fits.add(i)
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
	for i, worth := range o.worth {
		if fits.has(uint16(i)) {
			sum -= worth * float64(r.Copies(&o.demands[i]))
		}
	}
	if r.Kind != 0 {
		held := o.reserve[bits.TrailingZeros64(r.Kind)]
		for _, free := range r.Devices {
			sum -= held * float64(free)
		}
	}
	return sum
}

// Least assumes that no copy is lost and nothing is stranded.
func (o *Offers) Least(r Room) float64 {
	sum := 0.0
	for i, worth := range o.worth {
		sum -= worth * float64(r.Copies(&o.demands[i]))
	}
	if r.Kind != 0 {
		for _, free := range r.Devices {
			sum -= o.reserve[bits.TrailingZeros64(r.Kind)] * float64(free)
		}
	}
	return sum
}

// fill takes what fits of a future. What did not fit once will not do so
// later, and neither will what takes more.
func (o *Offers) fill(left *Room, fits demandSet, future []uint16) {
	for _, i := range future {
		if !fits.has(i) {
			continue
		}
		if d := &o.demands[i]; left.Fits(d) {
			left.take(d, left.tightest(d))
		} else if !fits.remove(&o.harder[i]) {
			return
		}
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
func (f *Fragments) Least(Room) float64 { return 0 }

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
