package topology

import "slices"

// pack pins the instance's CPUs of c on free threads of h, and sets aside one
// more for emulator threads when reserve is 1. It reports whether it could;
// only then c is changed.
//
// Source: nova, virt/hardware.py, _pack_instance_onto_cores.
func (f *Fitter) pack(h *Cell, c *cellState, reserve int) bool {
	if c.want.ThreadPolicy == ThreadsIsolate {
		return f.packIsolated(h, c, reserve)
	}
	least := 1
	if c.want.ThreadPolicy == ThreadsRequire {
		if h.threadsPerCore <= 1 {
			return false
		}
		least = 2
	}
	pinned, reserved := false, noCPU
	threads := max(h.freeThreads(), 1)
	for ; threads >= least; threads-- { // as many threads of a core as it takes
		pinned = f.pin(h, c, threads)
		reserved = f.reserve(h, pinned && reserve > 0, false)
		if pinned && (reserve == 0 || reserved != noCPU) {
			break
		}
	}
	if least == 1 && (!pinned || len(f.pins) == 0) {
		pinned = f.pinAnywhere(h, c, max(threads, 1))
		reserved = f.reserve(h, pinned && reserve > 0, false)
	}
	return pinned && f.settle(c, reserve, reserved)
}

// packIsolated uses one thread of cores that are all free. On hosts with
// threads it only works where one set of CPUs is for pinned and for floating
// CPUs, as old configurations have it.
func (f *Fitter) packIsolated(h *Cell, c *cellState, reserve int) bool {
	if h.freeThreads() < h.threadsPerCore || h.threadsPerCore != 1 && !h.legacy {
		return false
	}
	f.pins = f.pins[:0]
	for _, core := range h.free {
		if len(core) >= h.threadsPerCore && len(f.pins) < len(c.want.PCPUs) {
			f.pins = append(f.pins, Pin{c.want.PCPUs[len(f.pins)], core[0]})
		}
	}
	if len(f.pins) == 0 || len(f.pins) < len(c.want.PCPUs) {
		return false
	}
	return f.settle(c, reserve, f.reserve(h, reserve > 0, true))
}

// settle keeps the trial's pins in c, unless a CPU for emulator threads is
// missing.
func (f *Fitter) settle(c *cellState, reserve, reserved int) bool {
	if reserve > 0 && reserved == noCPU {
		return false
	}
	c.pins, c.reserved = append(c.pins[:0], f.pins...), reserved
	return true
}

// pin takes up to threads threads of each core that has so many free. It
// reports whether there are enough.
func (f *Fitter) pin(h *Cell, c *cellState, threads int) bool {
	f.pins = f.pins[:0]
	cores := 0
	for _, core := range h.free {
		if len(core) < threads {
			continue
		}
		cores++
		for _, cpu := range core[:threads] {
			if len(f.pins) < len(c.want.PCPUs) {
				f.pins = append(f.pins, Pin{c.want.PCPUs[len(f.pins)], cpu})
			}
		}
	}
	return threads*cores >= len(c.want.PCPUs)
}

// pinAnywhere takes free threads core by core.
func (f *Fitter) pinAnywhere(h *Cell, c *cellState, threads int) bool {
	f.pins = f.pins[:0]
	n := 0
	for _, core := range h.free {
		n += len(core)
		for _, cpu := range core {
			if len(f.pins) < len(c.want.PCPUs) {
				f.pins = append(f.pins, Pin{c.want.PCPUs[len(f.pins)], cpu})
			}
		}
	}
	return threads*n >= len(c.want.PCPUs)
}

// reserve returns the first free CPU that is not pinned; with isolate the first
// of a core of which none is. It returns noCPU if there is none, if none is
// wanted or if nothing is pinned.
func (f *Fitter) reserve(h *Cell, wanted, isolate bool) int {
	if !wanted || len(f.pins) == 0 {
		return noCPU
	}
	for _, core := range h.free {
		if isolate && slices.ContainsFunc(core, f.isPinned) {
			continue
		}
		for _, cpu := range core {
			if !f.isPinned(cpu) {
				return cpu
			}
		}
	}
	return noCPU
}

func (f *Fitter) isPinned(cpu int) bool {
	return slices.ContainsFunc(f.pins, func(p Pin) bool { return p.PCPU == cpu })
}

// freeThreads is the most free threads that a core has.
func (c *Cell) freeThreads() int {
	most := 0
	for _, core := range c.free {
		most = max(most, len(core))
	}
	return most
}
