package topology

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Placed is where an instance is on a host, as [Keeper.Pin] writes it in JSON.
type Placed struct {
	Cells   []InstanceCell
	Devices []Pool            // with the number of devices as Count
	Ports   map[string][]Pool // those of them that are for a requester
}

// ReadPlaced reads what [Keeper.Pin] returned.
func ReadPlaced(pins []byte) (Placed, error) {
	var d struct {
		Cells   []InstanceCell
		Devices json.RawMessage
		Ports   map[string]json.RawMessage
	}
	if err := json.Unmarshal(pins, &d); err != nil {
		return Placed{}, fmt.Errorf("pins of an instance: %w", err)
	}
	h, err := ParseHost(nil, d.Devices)
	if err != nil {
		return Placed{}, fmt.Errorf("devices of an instance: %w", err)
	}
	placed := Placed{Cells: d.Cells, Devices: h.Pools}
	for port, devices := range d.Ports {
		if h, err = ParseHost(nil, devices); err != nil {
			return Placed{}, fmt.Errorf("devices of port %s: %w", port, err)
		}
		if placed.Ports == nil {
			placed.Ports = map[string][]Pool{}
		}
		placed.Ports[port] = h.Pools
	}
	return placed, nil
}

// Wants reports whether a request needs cells or devices, or cannot be read.
func (k *Keeper) Wants(s *scheduler.RequestSpec) bool {
	i, err := k.instance(s)
	return err != nil || len(i.Cells)+len(i.Requests) > 0
}

// Pin chooses cells, CPUs and devices of h for an instance of the request.
// taken is what Pin returned for others whose choice h does not count yet. It
// returns the reason why the instance does not fit, [ErrUsage] when taken
// does not go with h, and what makes Nova raise. Devices that are in placement
// are those of the first of h's candidates.
func (k *Keeper) Pin(r *scheduler.Request, h *scheduler.HostState, taken [][]byte) ([]byte, scheduler.Reason, error) {
	i, err := k.instance(r.Spec)
	if err != nil {
		return nil, scheduler.Reason{}, err
	}
	host, err := hostOf(h)
	for at := 0; err == nil && at < len(taken); at++ {
		host, err = host.without(taken[at])
	}
	if err != nil {
		return nil, scheduler.Reason{}, err
	}
	var limits *Limits
	if k.limited {
		noted := limitsOf(r.Spec, h)
		limits = &noted
	}
	f := k.fitter()
	defer k.fitters.Put(f)
	if k.placement && i.placed() {
		if len(h.Candidates) == 0 || !covers(&h.Candidates[0], i) {
			return nil, scheduler.Reason{Why: "devices of PCI alias %t are in placement, which is not asked for them", Text: i.Requests[0].Alias}, nil
		}
		f.candidate = &h.Candidates[0]
	}
	if len(i.Cells) > 0 {
		if why, err := f.Fit(host, i, limits); err != nil || !why.Passes() {
			return nil, why, err
		}
	}
	_, placed, err := f.Consume(host, i, limits)
	switch {
	case errors.Is(err, ErrDevices), err == nil && !placed.complete():
		return nil, scheduler.Reason{Why: "too few PCI devices are free"}, nil
	case err != nil:
		return nil, scheduler.Reason{}, err
	}
	pins, err := placed.document()
	return pins, scheduler.Reason{}, err
}

// complete reports whether the instance got all devices. Nova takes fewer
// where a policy prefers some of a candidate's providers to others of them.
func (i *Instance) complete() bool {
	for at := range i.Requests {
		left := i.Requests[at].Count
		for p := range i.Requests[at].Taken {
			left -= i.Requests[at].Taken[p].Count
		}
		if left != 0 {
			return false
		}
	}
	return true
}

// document is the placed instance as [ReadPlaced] reads it.
func (i *Instance) document() ([]byte, error) {
	d := struct {
		Cells   []InstanceCell
		Devices []poolDocument
		Ports   map[string][]poolDocument `json:",omitempty"`
	}{i.Cells, []poolDocument{}, map[string][]poolDocument{}}
	for at := range i.Requests {
		r := &i.Requests[at]
		for p := range r.Taken {
			taken := r.Taken[p].document()
			d.Devices = append(d.Devices, taken)
			if r.Requester != "" {
				d.Ports[r.Requester] = append(d.Ports[r.Requester], taken)
			}
		}
	}
	return json.Marshal(d)
}

// without returns the host with a placed instance on it.
func (h *Host) without(pins []byte) (*Host, error) {
	placed, err := ReadPlaced(pins)
	if err != nil {
		return nil, err
	}
	cells, err := usage(h.Cells, placed.Cells, false)
	if err != nil {
		return nil, err
	}
	pools := slices.Clone(h.Pools)
	for d := range placed.Devices {
		taken := &placed.Devices[d]
		at := slices.IndexFunc(pools, func(p Pool) bool { return p.alike(taken) && p.Count >= taken.Count })
		if at < 0 {
			return nil, fmt.Errorf("%d devices %s:%s are not free: %w", taken.Count, taken.VendorID, taken.ProductID, ErrUsage)
		}
		if pools[at].Count -= taken.Count; pools[at].Count == 0 {
			pools = slices.Delete(pools, at, at+1)
		}
	}
	return NewHost(cells, pools), nil
}
