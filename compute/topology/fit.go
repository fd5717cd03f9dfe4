package topology

import (
	"cmp"
	"errors"
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// errNoHostCells is where Nova follows a host's NUMA topology that is None.
var errNoHostCells = errors.New("host has no NUMA topology")

// Limits say how far floating CPUs and the memory of instances that have some
// may be overcommitted on a cell, and which networks cells must be near to.
type Limits struct {
	CPURatio, RAMRatio float64
	Networks           scheduler.Networks
}

// limitsOf returns what NUMATopologyFilter notes of a request and a host.
func limitsOf(s *scheduler.RequestSpec, h *scheduler.HostState) Limits {
	return Limits{h.CPUAllocationRatio, h.RAMAllocationRatio, s.Networks}
}

// Fitter fits instances on hosts. The zero value is ready; it keeps scratch
// memory, and is not safe for concurrent use.
type Fitter struct {
	// Pack takes the most used cells first, instead of the least used.
	// [compute] packing_host_numa_cells_allocation_strategy.
	Pack bool

	limits *Limits
	ratios Limits // of the filter

	candidate *scheduler.Candidate // that devices are taken by, nil: by none
	from      []string             // providers of a request's devices

	cells []cellState
	order []int // of the host's cells
	pick  []int // a choice of places in order, one for each cell
	ids   []int // every ID that cells of the host and of the instance have
	memo  []verdict
	pins  []Pin            // of a trial
	why   scheduler.Reason // of the cell that failed deepest
	depth int

	left          []int64 // devices by pool
	pools, chosen []int
	places        []int // cells of the host that the instance is on
}

// cellState is a cell of an instance while it is fitted. Nova changes the cell
// itself, and what an earlier trial left in it is seen by later ones.
type cellState struct {
	want     *InstanceCell
	id       int // of the host's cell of the last trial, as index of ids
	pageSize int64
	pins     []Pin
	reserved int // noCPU: none
}

// verdict is what is remembered of a pair of cells; zero is nothing.
type verdict uint8

const (
	fits verdict = iota + 1
	fitsNot
)

// maxTrials is how many choices of cells are tried. Hosts of up to 9 cells have
// fewer; Nova tries them all, however long it takes.
const maxTrials = 1 << 20

// Fit returns why the instance does not fit on the host, or the zero reason.
// nil limits are none. It does not allocate once its scratch memory has grown.
// It returns [ErrNoSiblings].
//
// Source: nova, virt/hardware.py, numa_fit_instance_to_host.
func (f *Fitter) Fit(h *Host, i *Instance, limits *Limits) (scheduler.Reason, error) {
	switch {
	case len(h.Cells) == 0:
		return scheduler.Reason{Why: "host has no NUMA topology, the instance has %w cells", Want: float64(len(i.Cells))}, nil
	case len(h.Cells) < len(i.Cells):
		return scheduler.Reason{
			Why:  "host has %h NUMA cells, the instance %w",
			Have: float64(len(h.Cells)), Want: float64(len(i.Cells)),
		}, nil
	}
	f.start(h, i, limits)
	for trials, more := 0, true; more; trials++ {
		if trials == maxTrials {
			return scheduler.Reason{Why: "none of %w choices of NUMA cells fits, and there are more", Want: maxTrials}, nil
		}
		changed, at, err := f.try(h, i)
		if err != nil {
			return scheduler.Reason{}, err
		}
		if at == len(f.cells) {
			ok, err := f.devicesFit(h, i)
			if err != nil || ok && f.networksNear(h) {
				return scheduler.Reason{}, err
			}
			at--
		} else if changed {
			at = len(f.cells) - 1 // the next choice that begins alike may end otherwise
		}
		more = f.next(at)
	}
	return f.why, nil
}

// start makes the state before the first trial.
func (f *Fitter) start(h *Host, i *Instance, limits *Limits) {
	f.limits, f.why, f.depth = limits, scheduler.Reason{}, -1
	f.sortCells(h, i)
	f.ids = f.ids[:0]
	for at := range h.Cells {
		f.ids = append(f.ids, h.Cells[at].ID)
	}
	f.cells = slices.Grow(f.cells[:0], len(i.Cells))[:len(i.Cells)]
	f.pick = f.pick[:0]
	for at := range i.Cells {
		want, c := &i.Cells[at], &f.cells[at]
		id := slices.Index(f.ids, want.ID)
		if id < 0 {
			id = len(f.ids)
			f.ids = append(f.ids, want.ID)
		}
		*c = cellState{want: want, id: id, pageSize: want.PageSizeKiB, pins: append(c.pins[:0], want.Pins...), reserved: noCPU}
		if len(want.Reserved) > 0 {
			c.reserved = want.Reserved[0]
		}
		f.pick = append(f.pick, at)
	}
	f.memo = slices.Grow(f.memo[:0], len(h.Cells)*len(f.ids))[:len(h.Cells)*len(f.ids)]
	clear(f.memo)
}

// sortCells orders the host's cells. With as many cells as the instance has
// all are needed, and their order stays.
func (f *Fitter) sortCells(h *Host, i *Instance) {
	f.order = f.order[:0]
	for at := range h.Cells {
		f.order = append(f.order, at)
	}
	if len(h.Cells) == len(i.Cells) {
		return
	}
	few, many := 1, -1
	if f.Pack {
		few, many = many, few
	}
	slices.SortStableFunc(f.order, func(a, b int) int {
		return many * cmp.Compare(h.Cells[a].availMiB(), h.Cells[b].availMiB())
	})
	if i.Cells[0].pins() {
		slices.SortStableFunc(f.order, func(a, b int) int {
			return many * cmp.Compare(h.Cells[a].freeCPUs, h.Cells[b].freeCPUs)
		})
	} else {
		slices.SortStableFunc(f.order, func(a, b int) int {
			return few * cmp.Compare(h.Cells[a].CPUUsage, h.Cells[b].CPUUsage)
		})
	}
	most := 1 // devices first for those that want some, last for the others
	if len(i.Requests) > 0 {
		most = -1
	}
	slices.SortStableFunc(f.order, func(a, b int) int {
		return most * cmp.Compare(h.devicesOn(h.Cells[a].ID), h.devicesOn(h.Cells[b].ID))
	})
}

// devicesOn returns the free devices of a cell.
func (h *Host) devicesOn(id int) int64 {
	var n int64
	for i := range h.Pools {
		if h.Pools[i].NUMANode == id {
			n += h.Pools[i].Count
		}
	}
	return n
}

// try fits the instance's cells on the chosen cells of the host, up to the
// first that does not fit; at is its place. changed is whether anything was
// learned.
//
// Nova remembers verdicts by the IDs of both cells, and a trial overwrites the
// ID of the instance's cell with the host's: verdicts of one instance cell are
// taken for another's, which decides real requests, and is kept here.
func (f *Fitter) try(h *Host, i *Instance) (changed bool, at int, err error) {
	for at = range f.cells {
		c, on := &f.cells[at], f.order[f.pick[at]]
		known := &f.memo[on*len(f.ids)+c.id]
		switch *known {
		case fitsNot:
			return changed, at, nil
		case fits:
			changed = changed || c.id != on
			c.id = on
			continue
		}
		reserve := 0
		if at == 0 && i.EmulatorThreads == EmulatorIsolate {
			reserve = 1
		}
		why, err := f.fitCell(&h.Cells[on], c, on, reserve)
		if err != nil {
			return true, at, err
		}
		changed, *known = true, fits
		if !why.Passes() {
			*known = fitsNot
			f.miss(at, why)
			return changed, at, nil
		}
	}
	return changed, len(f.cells), nil
}

// miss keeps the reason of the trial that came furthest.
func (f *Fitter) miss(depth int, why scheduler.Reason) {
	if depth > f.depth {
		f.depth, f.why = depth, why
	}
}

func (f *Fitter) devicesFit(h *Host, i *Instance) (bool, error) {
	if len(i.Requests) == 0 {
		return true, nil
	}
	f.places = f.places[:0]
	for at := range f.cells {
		f.places = append(f.places, f.ids[f.cells[at].id])
	}
	f.resetDevices(h)
	ok, err := f.takeAll(h, i.Requests, f.places)
	if !ok {
		f.miss(len(f.cells), scheduler.Reason{Why: "no choice of NUMA cells has the PCI devices near enough"})
	}
	return ok, err
}

// next makes f.pick the next choice in lexicographic order that differs at
// place at or before, and reports whether there is one.
func (f *Fitter) next(at int) bool {
	for ; at >= 0; at-- {
		for p := f.pick[at] + 1; p < len(f.order); p++ {
			if slices.Contains(f.pick[:at], p) {
				continue
			}
			f.pick[at] = p
			for rest := at + 1; rest < len(f.pick); rest++ {
				f.pick[rest] = f.unpicked(rest)
			}
			return true
		}
	}
	return false
}

func (f *Fitter) unpicked(at int) int {
	p := 0
	for slices.Contains(f.pick[:at], p) {
		p++
	}
	return p
}
