package topology

import (
	"cmp"
	"fmt"
	"slices"
)

// Consume fits the instance on the host as Fit does and returns both with the
// instance placed. An instance with NUMA cells that does not fit loses them,
// which is not an error; then only devices are taken. What is returned beside
// an error is what Nova has when it raises: some may have been taken. Errors
// are [ErrNoSiblings], [ErrUsage] and [ErrDevices].
//
// Source: nova, scheduler/host_manager.py, HostState.consume_from_request.
func (f *Fitter) Consume(h *Host, i *Instance, limits *Limits) (*Host, *Instance, error) {
	placed := *i
	host := *h
	if len(h.Cells) > 0 && len(i.Cells) > 0 {
		why, err := f.Fit(h, i, limits)
		if err != nil {
			placed.Cells = f.placed(i)
			return h, &placed, err
		}
		placed.Cells = nil
		if why.Passes() {
			placed.Cells = f.placed(i)
			if host.Cells, err = usage(h.Cells, placed.Cells, false); err != nil {
				return h, &placed, err
			}
		}
	}
	if len(i.Requests) == 0 {
		return &host, &placed, nil
	}
	err := f.consumeDevices(&host, &placed)
	return &host, &placed, err
}

// placed returns the cells as the last trial left them.
func (f *Fitter) placed(i *Instance) []InstanceCell {
	cells := slices.Clone(i.Cells)
	for at := range cells {
		c, to := &f.cells[at], &cells[at]
		to.ID, to.PageSizeKiB, to.Pins, to.Reserved = f.ids[c.id], c.pageSize, slices.Clone(c.pins), nil
		if c.reserved != noCPU {
			to.Reserved = []int{c.reserved}
		}
	}
	return cells
}

// consumeDevices takes them from h and notes in i which. With an error h is
// without those that requests before the one that failed took.
func (f *Fitter) consumeDevices(h *Host, i *Instance) error {
	f.places = f.places[:0]
	for at := range i.Cells {
		f.places = append(f.places, i.Cells[at].ID)
	}
	f.resetDevices(h)
	i.Requests = slices.Clone(i.Requests)
	var err error
	for at := range i.Requests {
		r, before := &i.Requests[at], slices.Clone(f.left)
		ok, failed := f.take(h, r, f.places, f.providers(i.Requests, at))
		if !ok || failed != nil {
			err = cmp.Or(failed, ErrDevices)
			break
		}
		r.Taken = nil
		for p, was := range before {
			if taken := was - max(f.left[p], 0); taken > 0 {
				r.Taken = append(r.Taken, h.Pools[p])
				r.Taken[len(r.Taken)-1].Count = taken
			}
		}
	}
	h.Pools = f.poolsLeft(h)
	return err
}

func (f *Fitter) poolsLeft(h *Host) []Pool {
	pools := make([]Pool, 0, len(h.Pools))
	for i := range h.Pools {
		if f.left[i] != gone {
			p := h.Pools[i]
			p.Count = f.left[i]
			pools = append(pools, p)
		}
	}
	return pools
}

// Release returns the host without a placed instance: its CPUs, memory and
// pages are free, and so are the devices that Consume took. It returns
// [ErrUsage].
//
// Source: nova, virt/hardware.py, numa_usage_from_instance_numa;
// pci/stats.py, add_device.
func Release(h *Host, i *Instance) (*Host, error) {
	cells, err := usage(h.Cells, i.Cells, true)
	if err != nil {
		return nil, err
	}
	pools := slices.Clone(h.Pools)
	for at := range i.Requests {
		for _, taken := range i.Requests[at].Taken {
			pools = give(pools, taken)
		}
	}
	return NewHost(cells, pools), nil
}

// give adds devices to the pool they belong to, or as a pool of their own.
func give(pools []Pool, taken Pool) []Pool {
	for i := range pools {
		if pools[i].alike(&taken) {
			pools[i].Count += taken.Count
			return pools
		}
	}
	return append(pools, taken)
}

// usage returns the host's cells with an instance's added, or taken away. A
// host or an instance without cells changes nothing.
func usage(host []Cell, instance []InstanceCell, free bool) ([]Cell, error) {
	if len(host) == 0 || len(instance) == 0 {
		return host, nil
	}
	cells := slices.Clone(host)
	for at := range cells {
		c, touched := &cells[at], false
		for i := range instance {
			if instance[i].ID != c.ID {
				continue
			}
			touched = true
			if err := c.use(&instance[i], free); err != nil {
				return nil, fmt.Errorf("cell %d: %w", c.ID, err)
			}
		}
		c.MemoryUsageMiB, c.CPUUsage = max(0, c.MemoryUsageMiB), max(0, c.CPUUsage)
		if touched || !c.settled {
			*c = NewCell(*c)
		}
	}
	return cells, nil
}

// use adds one cell of an instance to what is used of c.
func (c *Cell) use(i *InstanceCell, free bool) error {
	sign := 1
	if free {
		sign = -1
	}
	size := i.PageSizeKiB
	if size == 0 {
		if size = c.smallestPage(); size == 0 {
			return fmt.Errorf("%w: it has no memory pages to count", ErrUsage)
		}
	}
	c.Pages = slices.Clone(c.Pages)
	for at := range c.Pages {
		if p := &c.Pages[at]; p.SizeKiB == size {
			p.Used = int64(max(0, float64(p.Used)+float64(i.MemoryMiB*1024)/float64(size)*float64(sign)))
		}
	}
	c.MemoryUsageMiB += int64(sign) * i.MemoryMiB
	c.CPUUsage += sign * len(i.CPUs)
	if !i.pins() {
		return nil
	}
	return c.usePCPUs(i, free)
}

// usePCPUs pins or unpins the host's CPUs of an instance's cell; with the
// thread policy isolate all threads of their cores.
//
// Source: nova, objects/numa.py, NUMACell.pin_cpus and unpin_cpus.
func (c *Cell) usePCPUs(i *InstanceCell, free bool) error {
	cpus := slices.Clone(i.Reserved)
	for _, p := range i.Pins {
		if !slices.Contains(cpus, p.PCPU) {
			cpus = append(cpus, p.PCPU)
		}
	}
	if i.ThreadPolicy == ThreadsIsolate {
		cpus = c.withSiblings(cpus)
	}
	for _, cpu := range cpus {
		if !slices.Contains(c.PCPUs, cpu) {
			return fmt.Errorf("%w: CPU %d is not for pinning", ErrUsage, cpu)
		}
		if slices.Contains(c.Pinned, cpu) != free {
			return fmt.Errorf("%w: CPU %d is pinned is %v", ErrUsage, cpu, !free)
		}
	}
	if free {
		c.Pinned = slices.DeleteFunc(slices.Clone(c.Pinned), func(cpu int) bool { return slices.Contains(cpus, cpu) })
	} else {
		c.Pinned = append(slices.Clone(c.Pinned), cpus...)
	}
	return nil
}

// withSiblings returns the CPUs of all cores that have one of cpus.
func (c *Cell) withSiblings(cpus []int) []int {
	var all []int
	for _, core := range c.Siblings {
		if slices.ContainsFunc(core, func(cpu int) bool { return slices.Contains(cpus, cpu) }) {
			all = append(all, core...)
		}
	}
	return all
}
