package topology

import (
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// UnknownNode is the NUMA node of devices that do not tell it.
const UnknownNode = -1

// The types of devices.
const (
	typePF   = "type-PF"
	typeVDPA = "vdpa"
)

// Pool is a number of free PCI devices that are alike. [NewPool] makes it.
//
// Source: nova, objects/pci_device_pool.py, PciDevicePool.
type Pool struct {
	VendorID  string
	ProductID string
	NUMANode  int    // the ID of a cell, or UnknownNode
	DevType   string // type-PCI, type-PF, type-VF, vdpa; "": not told
	Count     int64
	Tags      []Tag // further attributes

	// What follows from the fields above.
	attributes []attribute
	pf, vdpa   bool
	remote     bool   // managed remotely
	live       string // live_migratable, as it is written
	provider   string // in placement, "": none
	bound      bool   // there is a provider, or a null for one
}

// Tag is a further attribute of a pool.
type Tag struct {
	Name  string
	Value string
	Null  bool // there is no value, but the attribute counts
}

// attribute is one of a pool or of a spec; values are in lower case, "" in a
// spec is for pools without the attribute.
type attribute struct{ name, value string }

// NewPool returns p in the form that fitting needs.
func NewPool(p Pool) Pool {
	p.attributes = []attribute{{"vendor_id", strings.ToLower(p.VendorID)}, {"product_id", strings.ToLower(p.ProductID)}}
	p.pf, p.vdpa, p.remote, p.live = p.DevType == typePF, p.DevType == typeVDPA, false, ""
	p.provider, p.bound = "", false
	if p.DevType != "" {
		p.attributes = append(p.attributes, attribute{"dev_type", strings.ToLower(p.DevType)})
	}
	for _, t := range p.Tags {
		p.bound = p.bound || t.Name == "rp_uuid"
		if t.Null {
			continue
		}
		p.attributes = append(p.attributes, attribute{t.Name, strings.ToLower(t.Value)})
		switch t.Name {
		case "remote_managed":
			p.remote = pyvalue.Bool(t.Value)
		case "live_migratable":
			p.live = t.Value
		case "rp_uuid":
			p.provider = t.Value
		}
	}
	return p
}

// size is the number of attributes: vendor, product, node and count always
// are some.
func (p *Pool) size() int {
	n := 4 + len(p.Tags)
	if p.DevType != "" {
		n++
	}
	return n
}

// alike reports whether devices of p and q belong together.
func (p *Pool) alike(q *Pool) bool {
	return p.VendorID == q.VendorID && p.ProductID == q.ProductID && p.NUMANode == q.NUMANode && p.DevType == q.DevType &&
		len(p.Tags) == len(q.Tags) && !slices.ContainsFunc(p.Tags, func(t Tag) bool { return !slices.Contains(q.Tags, t) })
}

func (p *Pool) has(a attribute) bool {
	for i := range p.attributes {
		if p.attributes[i].name == a.name {
			return p.attributes[i].value == a.value
		}
	}
	return a.value == ""
}
