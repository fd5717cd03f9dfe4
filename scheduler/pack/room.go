package pack

import (
	"encoding/binary"
	"math"
	"slices"
)

// Amounts is how many kinds of countable resources a room has, such as CPU,
// memory and disk.
const Amounts = 3

// The largest numbers of devices of a host, and of kinds of devices.
const (
	MaxDevices = 64
	MaxKinds   = 64
)

// Whole is all of a device.
const Whole = 1000

// Room is what is free of a host.
type Room struct {
	Free    [Amounts]int64
	Kind    uint64  // one bit: what the devices are; 0 without devices
	Devices []int16 // free thousandths of each, the most first; at most MaxDevices
}

// Demand is what one instance takes of a room.
type Demand struct {
	Need    [Amounts]int64
	Devices int    // how many
	Share   int16  // thousandths of each of them, 1 to Whole
	Kinds   uint64 // bits of the kinds that will do
}

// atLeast reports whether the demand takes as much of everything as another,
// or more. Kinds do not count.
func (d *Demand) atLeast(other *Demand) bool {
	for i, need := range other.Need {
		if d.Need[i] < need {
			return false
		}
	}
	return d.Devices >= other.Devices && d.Share >= other.Share
}

// Fits reports whether the demand has room.
func (r *Room) Fits(d *Demand) bool {
	for i, need := range d.Need {
		if need > r.Free[i] {
			return false
		}
	}
	return d.Devices == 0 || d.Kinds&r.Kind != 0 && d.Devices <= len(r.Devices) && r.Devices[d.Devices-1] >= d.Share
}

// Copies returns how many instances of the demand, which takes something,
// have room at once.
func (r *Room) Copies(d *Demand) int64 {
	if !r.Fits(d) {
		return 0
	}
	n := int64(math.MaxInt64)
	if d.Devices > 0 {
		n = 0
		for _, free := range r.Devices {
			n += int64(free / d.Share)
		}
		n /= int64(d.Devices)
	}
	for i, need := range d.Need {
		if need > 0 {
			n = min(n, r.Free[i]/need)
		}
	}
	return n
}

// tightest returns the first device of the run of Devices with the least
// that is enough for the demand, which fits.
func (r *Room) tightest(d *Demand) int {
	if d.Devices == 0 {
		return 0
	}
	at := len(r.Devices) - d.Devices
	for r.Devices[at+d.Devices-1] < d.Share {
		at--
	}
	return at
}

// take removes the demand, which fits, from the room, using the run of
// devices that begins at the given one.
func (r *Room) take(d *Demand, at int) {
	for i, need := range d.Need {
		r.Free[i] -= need
	}
	for k := at + d.Devices - 1; k >= at; k-- { // the least first: it moves furthest back
		left := r.Devices[k] - d.Share
		to := k
		for ; to+1 < len(r.Devices) && r.Devices[to+1] > left; to++ {
			r.Devices[to] = r.Devices[to+1]
		}
		r.Devices[to] = left
	}
}

// clone copies src into r, whose memory is used again.
func (r *Room) clone(src *Room) {
	r.Free, r.Kind = src.Free, src.Kind
	r.Devices = append(r.Devices[:0], src.Devices...)
}

// equal reports whether the rooms are the same.
func (r *Room) equal(o *Room) bool {
	return r.Free == o.Free && r.Kind == o.Kind && slices.Equal(r.Devices, o.Devices)
}

// appendKey appends what tells the room from others.
func (r *Room) appendKey(b []byte) []byte {
	for _, free := range r.Free {
		b = binary.LittleEndian.AppendUint64(b, uint64(free))
	}
	b = binary.LittleEndian.AppendUint64(b, r.Kind)
	for _, free := range r.Devices {
		b = binary.LittleEndian.AppendUint16(b, uint16(free))
	}
	return b
}
