package topology

import (
	"math"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// fitCell tries the instance's cell c on cell h of the host, which is number
// on, with reserve further CPUs for emulator threads. What it finds out is
// written to c, also when c does not fit in the end.
//
// Source: nova, virt/hardware.py, _numa_fit_instance_cell.
func (f *Fitter) fitCell(h *Cell, c *cellState, on, reserve int) (scheduler.Reason, error) {
	if why := fitMemory(h, c); !why.Passes() {
		return why, nil
	}
	pinned, floating := len(c.want.PCPUs)+reserve, len(c.want.CPUs)
	if c.want.pins() && pinned > len(h.PCPUs) {
		return reason("cell has %h CPUs for pinning, the instance needs %w", len(h.PCPUs), pinned), nil
	}
	if c.want.floats() && floating > len(h.CPUs) {
		return reason("cell has %h shared CPUs, the instance needs %w", len(h.CPUs), floating), nil
	}
	if c.want.pins() {
		if pinned > h.freeCPUs {
			return reason("cell has %h free CPUs for pinning, the instance needs %w", h.freeCPUs, pinned), nil
		}
		if len(h.Siblings) == 0 {
			return scheduler.Reason{}, ErrNoSiblings
		}
		if !f.pack(h, c, reserve) {
			return reason("cell has %h free CPUs, but not on the cores that thread policy and emulator threads of %w CPUs ask for", h.freeCPUs, pinned), nil
		}
		c.id = on
		if pinned-reserve+floating == 0 { // Nova takes a cell without CPUs for none
			return reason("the instance's cell has %h CPUs, pinning needs %w", 0, 1), nil
		}
	}
	if c.want.floats() && f.limits != nil {
		if most := float64(len(h.CPUs)) * f.limits.CPURatio; float64(h.CPUUsage+floating) > most {
			return scheduler.Reason{Why: "cell may have %h shared CPUs, would have %w", Have: most, Want: float64(h.CPUUsage + floating)}, nil
		}
		if most := float64(h.MemoryMiB) * f.limits.RAMRatio; float64(h.MemoryUsageMiB+c.want.MemoryMiB) > most {
			return scheduler.Reason{Why: "cell may use %h MiB, would use %w", Have: most, Want: float64(h.MemoryUsageMiB + c.want.MemoryMiB)}, nil
		}
	}
	c.id = on
	return scheduler.Reason{}, nil
}

func reason(why string, have, want int) scheduler.Reason {
	return scheduler.Reason{Why: why, Have: float64(have), Want: float64(want)}
}

// fitMemory looks for pages, or for MiB when neither host nor instance speak
// of pages. A wish for pages becomes the size that fits.
func fitMemory(h *Cell, c *cellState) scheduler.Reason {
	want := c.want.MemoryMiB
	if c.pageSize != 0 {
		size := h.pageFor(c.pageSize, want)
		if size == 0 {
			return scheduler.Reason{Why: "cell has no %w MiB of free pages of the size that is asked for", Want: float64(want)}
		}
		c.pageSize = size
		return scheduler.Reason{}
	}
	if len(h.Pages) > 0 {
		if !h.pages(h.smallestPage()).fits(want, c.want.pins()) {
			return scheduler.Reason{Why: "cell has no %w MiB in its smallest pages", Want: float64(want)}
		}
		return scheduler.Reason{}
	}
	have := h.MemoryMiB
	if c.want.pins() {
		have = h.availMiB()
	}
	if have < want {
		return scheduler.Reason{Why: "cell has %h MiB, the instance needs %w", Have: float64(have), Want: float64(want)}
	}
	return scheduler.Reason{}
}

// pageFor returns the page size that an amount of memory gets, 0 if there is
// none: of several the largest.
//
// Source: nova, virt/hardware.py, _numa_cell_supports_pagesize_request.
func (c *Cell) pageFor(wish, memoryMiB int64) int64 {
	if len(c.Pages) == 0 {
		return 0
	}
	least := c.smallestPage()
	switch wish {
	case PagesSmall:
		wish = least
	case PagesLarge, PagesAny:
		for size := c.nextPage(math.MaxInt64); size > 0; size = c.nextPage(size) {
			if wish == PagesLarge && size == least {
				return 0
			}
			if c.pages(size).fits(memoryMiB, true) {
				return size
			}
		}
		return 0
	}
	if p := c.pages(wish); p == nil || !p.fits(memoryMiB, true) {
		return 0
	}
	return wish
}
