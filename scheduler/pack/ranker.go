package pack

import "math"

// equal is how far the rises of hosts that rank equal may differ, as sums of
// fractions are not exact.
const equal = 1e-9

// What a ranker remembers at most: values of rooms, and demands.
const (
	maxValues  = 1 << 18
	maxDemands = 1 << 10
)

// Ranker finds the host whose fragmentation a demand raises least. It
// remembers for each demand what it would do to each host, and looks again
// only at hosts that changed.
type Ranker struct {
	measure Measure
	hosts   []ranked
	numbers map[Demand]int
	rises   [][]rise           // by number of the demand, then host
	values  map[string]float64 // of rooms
	after   Room
	key     []byte
}

type ranked struct {
	room    Room
	value   float64
	best    float64 // no demand raises the value by less
	version uint32  // from 1
}

// rise is what a demand does to a host at a version.
type rise struct {
	version uint32
	by      float64 // +Inf: it does not fit
}

// NewRanker makes a ranker without hosts.
func NewRanker(m Measure) *Ranker {
	return &Ranker{measure: m, numbers: map[Demand]int{}, values: map[string]float64{}}
}

// Set tells what is free of a host, which it copies. Hosts are numbered from
// 0; a new one follows the last.
func (k *Ranker) Set(host int, r *Room) {
	if host == len(k.hosts) {
		k.hosts = append(k.hosts, ranked{})
	}
	h := &k.hosts[host]
	if h.version > 0 && h.room.equal(r) {
		return
	}
	h.room.clone(r)
	h.value = k.value(&h.room)
	h.best = k.measure.Least(h.room) - h.value
	h.version++
}

// column returns what the demand does to each host, as far as is known.
func (k *Ranker) column(d *Demand) []rise {
	n, known := k.numbers[*d]
	if !known {
		if len(k.rises) == maxDemands {
			clear(k.numbers)
			k.rises = k.rises[:0]
		}
		n = len(k.rises)
		k.numbers[*d] = n
		k.rises = append(k.rises, nil)
	}
	for len(k.rises[n]) < len(k.hosts) {
		k.rises[n] = append(k.rises[n], rise{})
	}
	return k.rises[n]
}

// Best returns the host whose fragmentation the demand raises least, the
// first of equals; false when it fits nowhere.
func (k *Ranker) Best(d *Demand) (host int, ok bool) {
	rises, least := k.column(d), math.Inf(1)
	for i := range k.hosts {
		if rises[i].version == k.hosts[i].version {
			least = min(least, rises[i].by)
		}
	}
	for i := range k.hosts {
		h := &k.hosts[i]
		if rises[i].version == h.version || h.best > least+equal {
			continue // known, or not good enough in the best case
		}
		rises[i] = rise{h.version, k.rise(h, d)}
		least = min(least, rises[i].by)
	}
	if math.IsInf(least, 1) {
		return 0, false
	}
	for i := range k.hosts {
		if rises[i].version == k.hosts[i].version && rises[i].by <= least+equal {
			return i, true
		}
	}
	return 0, false // not reached
}

// rise is by how much the demand raises the value of a host when it takes
// the devices that raise it least.
func (k *Ranker) rise(h *ranked, d *Demand) float64 {
	if !h.room.Fits(d) {
		return math.Inf(1)
	}
	if d.Devices != 1 {
		k.after.clone(&h.room)
		k.after.take(d, h.room.tightest(d))
		return k.value(&k.after) - h.value
	}
	least := math.Inf(1)
	for i, free := range h.room.Devices {
		if free < d.Share {
			break
		}
		if i+1 < len(h.room.Devices) && h.room.Devices[i+1] == free {
			continue
		}
		least = min(least, k.With(&h.room, d, i)-h.value)
	}
	return least
}

// With returns the fragmentation of the room after the demand, which fits,
// took devices from the given one on.
func (k *Ranker) With(r *Room, d *Demand, device int) float64 {
	k.after.clone(r)
	k.after.take(d, device)
	return k.value(&k.after)
}

func (k *Ranker) value(r *Room) float64 {
	k.key = r.appendKey(k.key[:0])
	v, known := k.values[string(k.key)]
	if !known {
		if len(k.values) == maxValues {
			clear(k.values)
		}
		v = k.measure.Stranded(*r)
		k.values[string(k.key)] = v
	}
	return v
}
