package topology

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Host is what a host has of NUMA cells and free PCI devices.
type Host struct {
	Cells []Cell // in the host's order, which breaks ties; nil: no NUMA topology
	Pools []Pool // by their number of attributes

	threads bool // a core has several
}

// NewHost returns a host of cells and pools that [NewCell] and [NewPool] made.
// It keeps cells, and sorts pools.
func NewHost(cells []Cell, pools []Pool) *Host {
	h := &Host{Cells: cells, Pools: pools}
	slices.SortStableFunc(pools, func(a, b Pool) int { return a.size() - b.size() })
	for i := range cells {
		h.threads = h.threads || slices.ContainsFunc(cells[i].Siblings, func(core []int) bool { return len(core) > 1 })
	}
	return h
}

// Cell is a NUMA cell of a host. [NewCell] makes it.
//
// Source: nova, objects/numa.py, NUMACell.
type Cell struct {
	ID             int
	CPUs           []int   // for floating instance CPUs
	PCPUs          []int   // for pinned instance CPUs
	Siblings       [][]int // the threads of each core
	Pinned         []int   // members of PCPUs that are taken
	CPUUsage       int     // floating instance CPUs
	MemoryMiB      int64
	MemoryUsageMiB int64
	Socket         *int // nil: unknown
	Pages          []Pages
	Networks       scheduler.Networks // that the cell is near to

	// What follows from the fields above.
	free           [][]int // the free threads of each core that has any
	freeCPUs       int
	threadsPerCore int
	legacy         bool // CPUs and PCPUs are equal
	settled        bool // the order of sets stays
}

// Pages are the memory pages of one size of a cell.
//
// Source: nova, objects/numa.py, NUMAPagesTopology.
type Pages struct {
	SizeKiB  int64
	Total    int64
	Used     int64
	Reserved int64
}

// NewCell returns c in the form that fitting needs: sets of CPUs are ordered
// as Nova would find them.
func NewCell(c Cell) Cell {
	if !c.settled {
		c.coerce()
	}
	free := difference(c.PCPUs, c.Pinned)
	set, lists := setOf(free), make([]int, 0, len(free))
	c.free, c.freeCPUs = make([][]int, 0, len(c.Siblings)), len(free)
	for _, core := range c.Siblings {
		from := len(lists)
		if lists = appendIntersection(lists, core, free, set); len(lists) > from {
			c.free = append(c.free, lists[from:len(lists):len(lists)])
		}
	}
	return c
}

// coerce orders the sets of CPUs, once more. Some sets never get an order that
// stays: those of Nova change with each instance, too.
func (c *Cell) coerce() {
	c.settled = true
	again := func(set []int) []int {
		ordered := appendCoerced(make([]int, 0, len(set)), set)
		c.settled = c.settled && slices.Equal(ordered, set)
		return ordered
	}
	c.CPUs, c.PCPUs = again(c.CPUs), again(c.PCPUs)
	c.Siblings = slices.Clone(c.Siblings)
	c.threadsPerCore = 1
	for i, core := range c.Siblings {
		c.Siblings[i] = again(core)
		c.threadsPerCore = max(c.threadsPerCore, len(core))
	}
	pcpus := setOf(c.PCPUs)
	c.legacy = len(c.CPUs) == len(c.PCPUs)
	for _, cpu := range c.CPUs {
		c.legacy = c.legacy && pcpus.has(cpu)
	}
}

// availMiB is the memory that is not promised.
func (c *Cell) availMiB() int64 { return c.MemoryMiB - c.MemoryUsageMiB }

// pages returns the pages of a size, nil if the cell has none.
func (c *Cell) pages(sizeKiB int64) *Pages {
	for i := range c.Pages {
		if c.Pages[i].SizeKiB == sizeKiB {
			return &c.Pages[i]
		}
	}
	return nil
}

// fits reports whether memory is whole pages, and as many are there; or free,
// when they must be.
func (p *Pages) fits(memoryMiB int64, mustBeFree bool) bool {
	n := p.Total
	if mustBeFree {
		n -= p.Used + p.Reserved
	}
	kib := memoryMiB * 1024
	return kib <= n*p.SizeKiB && kib%p.SizeKiB == 0
}

// smallestPage returns the smallest page size in KiB, 0 if there are no pages.
func (c *Cell) smallestPage() int64 {
	var least int64
	for i := range c.Pages {
		if size := c.Pages[i].SizeKiB; least == 0 || size < least {
			least = size
		}
	}
	return least
}

// nextPage returns the largest page size below limit, 0 if there is none.
func (c *Cell) nextPage(limit int64) int64 {
	var most int64
	for i := range c.Pages {
		if size := c.Pages[i].SizeKiB; size < limit && size > most {
			most = size
		}
	}
	return most
}

// cell returns the cell of an ID, nil if there is none.
func (h *Host) cell(id int) *Cell {
	for i := range h.Cells {
		if h.Cells[i].ID == id {
			return &h.Cells[i]
		}
	}
	return nil
}

// FreeDevices returns the number of free devices of all pools.
func (h *Host) FreeDevices() int64 {
	var n int64
	for i := range h.Pools {
		n += h.Pools[i].Count
	}
	return n
}
