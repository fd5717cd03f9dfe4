package topology

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// networksNear reports whether the cells of the present trial are near to the
// networks that the limits name. A network that no cell of the host is near
// to is near to none of them, and may be on any.
//
// Source: nova, virt/hardware.py, _numa_cells_support_network_metadata.
func (f *Fitter) networksNear(h *Host) bool {
	if f.limits == nil {
		return true
	}
	for _, name := range f.limits.Networks.Physnets {
		if !f.reaches(h, func(n *scheduler.Networks) bool { return slices.Contains(n.Physnets, name) }) {
			f.miss(len(f.cells), scheduler.Reason{Why: "no choice of NUMA cells is near to physical network %t", Text: name})
			return false
		}
	}
	if f.limits.Networks.Tunneled && !f.reaches(h, func(n *scheduler.Networks) bool { return n.Tunneled }) {
		f.miss(len(f.cells), scheduler.Reason{Why: "no choice of NUMA cells is near to tunneled networks"})
		return false
	}
	return true
}

// reaches reports whether a chosen cell has a network, or no cell has it.
func (f *Fitter) reaches(h *Host, has func(*scheduler.Networks) bool) bool {
	for at := range f.cells {
		if has(&h.Cells[f.order[f.pick[at]]].Networks) {
			return true
		}
	}
	return !slices.ContainsFunc(h.Cells, func(c Cell) bool { return has(&c.Networks) })
}
