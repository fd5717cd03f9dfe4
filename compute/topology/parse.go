package topology

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// The largest numbers that documents may have; larger ones are mistakes, and
// sums and products of these fit in 64 bits.
const (
	maxCPU    = 1<<20 - 1
	maxID     = 1<<20 - 1
	maxMiB    = 1 << 40
	maxCount  = 1 << 32
	maxPageKB = 1 << 30
	maxCells  = 1 << 10
)

// ParseHost reads what a compute service reports: its NUMA topology and its
// pools of PCI devices. Either may be empty or null: there is none. The error
// is a syntax error of JSON or a [*FieldError].
func ParseHost(numa, pools []byte) (*Host, error) {
	var cells []Cell
	var list []Pool
	if len(numa) > 0 {
		d, err := parseDocument("numa_topology", numa)
		if err != nil {
			return nil, err
		}
		if cells, err = parseCells(d); err != nil {
			return nil, err
		}
	}
	if len(pools) > 0 {
		d, err := parseDocument("pci_pools", pools)
		if err != nil {
			return nil, err
		}
		if list, err = parsePools(d); err != nil {
			return nil, err
		}
	}
	return NewHost(cells, list), nil
}

func parseCells(d document) ([]Cell, error) {
	if d.value == nil {
		return nil, nil
	}
	if _, err := d.object("cells"); err != nil {
		return nil, err
	}
	list, err := d.at("cells").list()
	if err != nil {
		return nil, err
	}
	if len(list) > maxCells {
		return nil, &FieldError{d.field + ".cells", fmt.Sprintf("%d cells", len(list)), fmt.Sprintf("at most %d", maxCells)}
	}
	cells := make([]Cell, 0, len(list))
	for _, item := range list {
		c, err := parseCell(item)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(cells, func(o Cell) bool { return o.ID == c.ID }) {
			return nil, &FieldError{item.field + ".id", c.ID, "another than those of the cells before it"}
		}
		cells = append(cells, NewCell(c))
	}
	return cells, nil
}

func parseCell(d document) (Cell, error) {
	_, err := d.object("id", "cpuset", "pcpuset", "memory", "cpu_usage", "memory_usage", "pinned_cpus", "siblings", "mempages", "socket", "network_metadata")
	if err != nil {
		return Cell{}, err
	}
	var c Cell
	r := reader{d: d}
	c.ID = int(r.required("id", maxID))
	c.CPUs, c.PCPUs, c.Pinned = r.cpus("cpuset"), r.cpus("pcpuset"), r.cpus("pinned_cpus")
	c.MemoryMiB = r.required("memory", maxMiB)
	c.CPUUsage, c.MemoryUsageMiB = int(r.integer("cpu_usage", maxCount)), r.integer("memory_usage", maxMiB)
	if d.at("socket").value != nil {
		socket := int(r.integer("socket", maxID))
		c.Socket = &socket
	}
	if r.err != nil {
		return Cell{}, r.err
	}
	for _, cpu := range c.Pinned {
		if !slices.Contains(c.PCPUs, cpu) {
			return Cell{}, &FieldError{d.field + ".pinned_cpus", cpu, "a member of pcpuset"}
		}
	}
	if c.Siblings, err = parseSiblings(d.at("siblings")); err != nil {
		return Cell{}, err
	}
	if c.Networks, err = parseNetworks(d.at("network_metadata")); err != nil {
		return Cell{}, err
	}
	c.Pages, err = parsePages(d.at("mempages"))
	return c, err
}

// parseNetworks reads what networks a cell is near to; null is none.
func parseNetworks(d document) (scheduler.Networks, error) {
	var n scheduler.Networks
	if d.value == nil {
		return n, nil
	}
	m, err := d.object("physnets", "tunneled")
	if err != nil {
		return n, err
	}
	list, err := d.at("physnets").list()
	if err != nil {
		return n, err
	}
	for _, item := range list {
		name, err := item.text()
		if err != nil {
			return n, err
		}
		n.Physnets = append(n.Physnets, name)
	}
	if tunneled := m["tunneled"]; tunneled != nil {
		is := false
		if n.Tunneled, is = tunneled.(bool); !is {
			return n, &FieldError{d.field + ".tunneled", tunneled, "true or false"}
		}
	}
	return n, nil
}

func parseSiblings(d document) ([][]int, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	seen := map[int]bool{}
	siblings := make([][]int, 0, len(list))
	for _, item := range list {
		core, err := item.cpus()
		if err != nil {
			return nil, err
		}
		for _, cpu := range core {
			if seen[cpu] {
				return nil, &FieldError{item.field, cpu, "CPUs that are on no other core"}
			}
			seen[cpu] = true
		}
		siblings = append(siblings, core)
	}
	return siblings, nil
}

func parsePages(d document) ([]Pages, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	pages := make([]Pages, 0, len(list))
	for _, item := range list {
		if _, err := item.object("size_kb", "total", "used", "reserved"); err != nil {
			return nil, err
		}
		r := reader{d: item}
		p := Pages{r.required("size_kb", maxPageKB), r.required("total", maxCount), r.integer("used", maxCount), r.integer("reserved", maxCount)}
		switch {
		case r.err != nil:
			return nil, r.err
		case p.SizeKiB == 0:
			return nil, &FieldError{item.field + ".size_kb", 0, "1 or more"}
		case slices.ContainsFunc(pages, func(o Pages) bool { return o.SizeKiB == p.SizeKiB }):
			return nil, &FieldError{item.field + ".size_kb", p.SizeKiB, "a size that was not there before"}
		}
		pages = append(pages, p)
	}
	return pages, nil
}

func parsePools(d document) ([]Pool, error) {
	list, err := d.list()
	if err != nil {
		return nil, err
	}
	pools := make([]Pool, 0, len(list))
	for _, item := range list {
		p, err := parsePool(item)
		if err != nil {
			return nil, err
		}
		pools = append(pools, NewPool(p))
	}
	return pools, nil
}

var poolMembers = []string{"vendor_id", "product_id", "numa_node", "dev_type", "count", "tags"}

func parsePool(d document) (Pool, error) {
	m, err := d.object(poolMembers...)
	if err != nil {
		return Pool{}, err
	}
	r := reader{d: d}
	p := Pool{
		VendorID: r.text("vendor_id"), ProductID: r.text("product_id"),
		NUMANode: UnknownNode, Count: r.required("count", maxCount),
	}
	if m["numa_node"] != nil {
		p.NUMANode = int(r.integer("numa_node", maxID))
	}
	if m["dev_type"] != nil {
		p.DevType = r.text("dev_type", "type-PCI", typePF, "type-VF", typeVDPA)
	}
	if r.err != nil || m["tags"] == nil {
		return p, r.err
	}
	p.Tags, err = parseTags(d.at("tags"))
	return p, err
}

// parseTags returns them by name.
func parseTags(d document) ([]Tag, error) {
	m, is := d.value.(map[string]any)
	if !is {
		return nil, &FieldError{d.field, d.value, "an object"}
	}
	tags := make([]Tag, 0, len(m))
	for name, value := range m {
		if slices.Contains(poolMembers, name) {
			return nil, &FieldError{d.field + ": a member", name, "a name that pools do not have themselves"}
		}
		text, is := value.(string)
		if !is && value != nil {
			return nil, &FieldError{d.field + "." + name, value, "a text or null"}
		}
		tags = append(tags, Tag{name, text, value == nil})
	}
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	return tags, nil
}

// reader reads members of an object until the first error.
type reader struct {
	d   document
	err error
}

func (r *reader) integer(name string, most int64) int64 {
	return read(r, func() (int64, error) { return r.d.at(name).integer(most) })
}

func (r *reader) required(name string, most int64) int64 {
	return read(r, func() (int64, error) { return r.d.at(name).required(most) })
}

func (r *reader) text(name string, allowed ...string) string {
	return read(r, func() (string, error) { return r.d.at(name).text(allowed...) })
}

func (r *reader) cpus(name string) []int {
	return read(r, r.d.at(name).cpus)
}

func read[T any](r *reader, value func() (T, error)) T {
	var none T
	if r.err != nil {
		return none
	}
	v, err := value()
	r.err = err
	return v
}
