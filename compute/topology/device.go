package topology

import "slices"

// The NUMA policies of device requests.
const (
	PolicyLegacy    = "legacy"
	PolicyPreferred = "preferred"
	PolicyRequired  = "required"
	PolicySocket    = "socket"
)

// Request asks for PCI devices of one alias, or for those of a
// [scheduler.DeviceRequest].
//
// Source: nova, objects/instance_pci_requests.py, InstancePCIRequest.
type Request struct {
	Alias     string // "" of a port
	Requester string
	Count     int64
	Policy    string // where devices must be, relative to the instance's cells

	// Taken are the pools that a placed instance took devices from, with the
	// number of devices as Count.
	Taken []Pool

	specs  [][]attribute // a device must have all attributes of one of them
	pf     bool          // a spec asks for physical functions
	vdpa   bool          // a spec asks for vDPA devices
	remote bool          // a spec asks for remote managed devices
	live   string        // live_migratable, if all specs say so
	port   bool          // placement does not know the devices
}

func (r *Request) matches(p *Pool) bool {
	for _, spec := range r.specs {
		all := true
		for i := range spec {
			if !p.has(spec[i]) {
				all = false
				break
			}
		}
		if all {
			return true
		}
	}
	return false
}

// allows reports whether devices that match may be taken without having been
// asked for by their type.
func (r *Request) allows(p *Pool) bool {
	return (r.pf || !p.pf) && (r.vdpa || !p.vdpa) && (r.remote || !p.remote) && (r.live == "" || r.live == p.live)
}

// gone is what is left of a pool that has been emptied; an empty pool that
// the host told still is one.
const gone = -1

func (f *Fitter) resetDevices(h *Host) {
	f.left = f.left[:0]
	for i := range h.Pools {
		f.left = append(f.left, h.Pools[i].Count)
	}
}

// takeAll takes the devices of all requests from f.left, one request after
// the other. ids are the host cells that the instance is on; without any the
// NUMA policies do not matter. It reports whether there were enough; if not,
// what earlier requests took is taken.
//
// Source: nova, pci/stats.py, PciDeviceStats.apply_requests.
func (f *Fitter) takeAll(h *Host, requests []Request, ids []int) (bool, error) {
	for i := range requests {
		if ok, err := f.take(h, &requests[i], ids, f.providers(requests, i)); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// take takes the devices of one request; from names a provider for each, if
// placement has allocated them.
func (f *Fitter) take(h *Host, r *Request, ids []int, from []string) (bool, error) {
	f.pools = f.pools[:0]
	for i := range h.Pools {
		if f.left[i] != gone && r.matches(&h.Pools[i]) {
			f.pools = append(f.pools, i)
		}
	}
	if f.sum(f.pools) < r.Count {
		return false, nil
	}
	pools := f.pools
	if len(ids) > 0 {
		var err error
		if pools, err = f.near(h, r, ids); err != nil {
			return false, err
		}
	}
	allowed := pools[:0]
	for _, i := range pools {
		if r.allows(&h.Pools[i]) && (len(from) == 0 || f.offered(&h.Pools[i], f.left[i], from)) {
			allowed = append(allowed, i)
		}
	}
	if len(allowed) == 0 || f.sum(allowed) < r.Count {
		return false, nil
	}
	if len(from) > 0 {
		return f.takeFrom(h, allowed, from), nil
	}
	count := r.Count
	for _, i := range allowed {
		if f.left[i] > count {
			f.left[i] -= count
			break
		}
		count -= f.left[i]
		f.left[i] = gone
		if count == 0 {
			break
		}
	}
	return true, nil
}

func (f *Fitter) sum(pools []int) int64 {
	var n int64
	for _, i := range pools {
		n += f.left[i]
	}
	return n
}

// near returns which of f.pools are where the policy wants them, in the order
// to take from: the strictest place that has enough.
//
// Source: nova, pci/stats.py, _filter_pools_for_numa_cells.
func (f *Fitter) near(h *Host, r *Request, ids []int) ([]int, error) {
	f.choose(h, func(node int) bool { return slices.Contains(ids, node) })
	if r.Policy == PolicyRequired || f.sum(f.chosen) >= r.Count {
		return f.chosen, nil
	}
	if r.Policy == PolicySocket {
		return f.sameSocket(h, ids)
	}
	f.choose(h, func(node int) bool { return node == UnknownNode || slices.Contains(ids, node) })
	if r.Policy != PolicyPreferred || f.sum(f.chosen) >= r.Count {
		return f.chosen, nil
	}
	for _, i := range f.pools {
		if node := h.Pools[i].NUMANode; node != UnknownNode && !slices.Contains(ids, node) {
			f.chosen = append(f.chosen, i)
		}
	}
	return f.chosen, nil
}

func (f *Fitter) choose(h *Host, wanted func(node int) bool) {
	f.chosen = f.chosen[:0]
	for _, i := range f.pools {
		if wanted(h.Pools[i].NUMANode) {
			f.chosen = append(f.chosen, i)
		}
	}
}

// sameSocket returns the pools whose cell is on a socket of one of the
// instance's cells; none if a cell of the host does not know its socket.
//
// Source: nova, pci/stats.py, _filter_pools_for_socket_affinity.
func (f *Fitter) sameSocket(h *Host, ids []int) ([]int, error) {
	if h.Cells == nil {
		return nil, errNoHostCells
	}
	f.chosen = f.chosen[:0]
	for i := range h.Cells {
		if h.Cells[i].Socket == nil {
			return f.chosen, nil
		}
	}
	f.choose(h, func(node int) bool {
		if node == UnknownNode {
			return false
		}
		at := h.cell(node)
		for _, id := range ids {
			if on := h.cell(id); at != nil && on != nil && *at.Socket == *on.Socket {
				return true
			}
		}
		return false
	})
	return f.chosen, nil
}
