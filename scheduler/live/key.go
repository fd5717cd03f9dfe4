package live

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Reader is implemented by filters and weighers that read little of the
// request. What they do not read does not make two requests different.
type Reader interface {
	// AppendRead appends to b what is read of the spec, so that specs with
	// equal bytes get the same answers.
	AppendRead(b []byte, spec *scheduler.RequestSpec) []byte
}

// part is a piece of a request spec.
type part uint16

const (
	partFlavorName part = 1 << iota
	partExtraSpecs
	partImageID
	partImageProperties
	partProject
	partHints
	partDestination
	partOther // sizes, user, zone, disk format
	allParts  = partOther<<1 - 1
)

// partsOf returns what OpenStack's filters and weighers read of a request,
// all of it for others.
func partsOf(name string) part {
	switch name {
	case "ComputeCapabilitiesFilter", "AggregateInstanceExtraSpecsFilter":
		return partExtraSpecs
	case "ImagePropertiesFilter", "AggregateImagePropertiesIsolation", "ImagePropertiesWeigher":
		return partImageProperties
	case "AggregateMultiTenancyIsolation":
		return partProject
	case "AggregateTypeAffinityFilter":
		return partFlavorName
	case "IsolatedHostsFilter":
		return partImageID
	case "SameHostFilter", "DifferentHostFilter", "SimpleCIDRAffinityFilter", "JsonFilter":
		return partHints
	case "CrossCellWeigher":
		return partDestination
	default:
		return allParts
	}
}

// A keyer makes the keys of shapes.
type keyer struct {
	buf   []byte
	words []string
}

func (k *keyer) text(s string) {
	k.buf = binary.AppendUvarint(k.buf, uint64(len(s)))
	k.buf = append(k.buf, s...)
}

func (k *keyer) number(n int64) { k.buf = binary.AppendVarint(k.buf, n) }

func (k *keyer) texts(list []string) {
	k.number(int64(len(list)))
	for _, s := range list {
		k.text(s)
	}
}

func (k *keyer) uuids(list []placement.UUID) {
	k.number(int64(len(list)))
	for i := range list {
		k.buf = append(k.buf, list[i][:]...)
	}
}

func pairs[V any](k *keyer, m map[string]V, value func(V)) {
	k.number(int64(len(m)))
	k.words = slices.AppendSeq(k.words[:0], maps.Keys(m))
	slices.Sort(k.words)
	for _, key := range k.words {
		k.text(key)
		value(m[key])
	}
}

// where appends all that is asked of placement.
func (k *keyer) where(w *placement.CandidateRequest) {
	k.number(int64(w.Policy))
	k.number(int64(len(w.Groups)))
	for i := range w.Groups {
		g := &w.Groups[i]
		k.text(g.Suffix)
		k.number(int64(len(g.Resources)))
		for _, r := range g.Resources {
			k.text(r.Class)
			k.number(r.Amount)
		}
		k.number(int64(len(g.Required)))
		for _, list := range g.Required {
			k.texts(list)
		}
		k.texts(g.Forbidden)
		k.number(int64(len(g.MemberOf)))
		for _, list := range g.MemberOf {
			k.uuids(list)
		}
		k.uuids(g.ForbiddenAggregates)
		k.buf = append(k.buf, g.InTree[:]...)
	}
	k.texts(w.RootRequired)
	k.texts(w.RootForbidden)
	k.number(int64(len(w.SameSubtree)))
	for _, list := range w.SameSubtree {
		k.texts(list)
	}
}

// spec appends parts of a request spec.
func (k *keyer) spec(s *scheduler.RequestSpec, parts part) {
	k.number(int64(parts))
	if parts&partFlavorName != 0 {
		k.text(s.Flavor.Name)
	}
	if parts&partExtraSpecs != 0 {
		pairs(k, s.Flavor.ExtraSpecs, k.text)
	}
	if i := s.Image; i != nil {
		if parts&partImageID != 0 {
			k.text(i.ID)
		}
		if parts&partImageProperties != 0 {
			pairs(k, i.Properties, k.text)
		}
	}
	if parts&partProject != 0 {
		k.text(s.ProjectID)
	}
	if parts&partHints != 0 {
		pairs(k, s.Hints, k.texts)
	}
	if d := s.Destination; parts&partDestination != 0 && d != nil {
		k.text(d.Cell)
		if d.AllowCrossCellMove {
			k.number(1)
		}
	}
	if parts&partOther != 0 {
		k.other(s)
	}
}

// device appends all but whose it is.
func (k *keyer) device(d *scheduler.DeviceRequest) {
	k.number(d.Count)
	k.text(d.NUMAPolicy)
	k.number(int64(len(d.Specs)))
	for _, spec := range d.Specs {
		pairs(k, spec, k.text)
	}
}

func (k *keyer) other(s *scheduler.RequestSpec) {
	f := &s.Flavor
	for _, n := range []int64{f.VCPUs, f.MemoryMiB, f.RootGiB, f.EphemeralGB, f.SwapMiB} {
		k.number(n)
	}
	k.texts(s.Networks.Physnets)
	if s.Networks.Tunneled {
		k.text("tunneled")
	}
	k.number(int64(len(s.Devices)))
	for i := range s.Devices {
		k.device(&s.Devices[i])
	}
	k.text(s.UserID)
	k.text(s.AvailabilityZone)
	if s.Image == nil {
		k.text("no image")
	} else {
		k.text(s.Image.DiskFormat)
	}
}
