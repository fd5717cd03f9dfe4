package topology

import "encoding/json"

// The documents that ParseHost reads.
type (
	hostDocument struct {
		Cells []cellDocument `json:"cells"`
	}
	cellDocument struct {
		ID          int            `json:"id"`
		CPUs        []int          `json:"cpuset"`
		PCPUs       []int          `json:"pcpuset"`
		Memory      int64          `json:"memory"`
		CPUUsage    int            `json:"cpu_usage"`
		MemoryUsage int64          `json:"memory_usage"`
		Pinned      []int          `json:"pinned_cpus"`
		Siblings    [][]int        `json:"siblings"`
		Socket      *int           `json:"socket"`
		Pages       []pageDocument `json:"mempages"`
		Networks    *networks      `json:"network_metadata,omitempty"`
	}
	networks struct {
		Physnets []string `json:"physnets"`
		Tunneled bool     `json:"tunneled"`
	}
	pageDocument struct {
		SizeKiB  int64 `json:"size_kb"`
		Total    int64 `json:"total"`
		Used     int64 `json:"used"`
		Reserved int64 `json:"reserved"`
	}
	poolDocument struct {
		VendorID  string             `json:"vendor_id"`
		ProductID string             `json:"product_id"`
		NUMANode  *int               `json:"numa_node"`
		DevType   string             `json:"dev_type,omitempty"`
		Count     int64              `json:"count"`
		Tags      map[string]*string `json:"tags,omitempty"`
	}
)

// Documents returns h as [ParseHost] reads it; numa is null when the host has no
// NUMA topology.
func (h *Host) Documents() (numa, pools []byte, err error) {
	var cells *hostDocument
	if h.Cells != nil {
		cells = &hostDocument{Cells: []cellDocument{}}
	}
	for i := range h.Cells {
		c := &h.Cells[i]
		d := cellDocument{c.ID, c.CPUs, c.PCPUs, c.MemoryMiB, c.CPUUsage, c.MemoryUsageMiB, c.Pinned, c.Siblings, c.Socket, nil, nil}
		if n := c.Networks; n.Tunneled || len(n.Physnets) > 0 {
			d.Networks = &networks{n.Physnets, n.Tunneled}
		}
		for _, p := range c.Pages {
			d.Pages = append(d.Pages, pageDocument(p))
		}
		cells.Cells = append(cells.Cells, d)
	}
	if numa, err = json.Marshal(cells); err != nil {
		return nil, nil, err
	}
	list := make([]poolDocument, len(h.Pools))
	for i := range h.Pools {
		list[i] = h.Pools[i].document()
	}
	pools, err = json.Marshal(list)
	return numa, pools, err
}

func (p *Pool) document() poolDocument {
	d := poolDocument{VendorID: p.VendorID, ProductID: p.ProductID, DevType: p.DevType, Count: p.Count, Tags: map[string]*string{}}
	if p.NUMANode != UnknownNode {
		d.NUMANode = &p.NUMANode
	}
	for i := range p.Tags {
		if d.Tags[p.Tags[i].Name] = nil; !p.Tags[i].Null {
			d.Tags[p.Tags[i].Name] = &p.Tags[i].Value
		}
	}
	return d
}
