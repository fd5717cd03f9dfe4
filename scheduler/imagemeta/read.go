package imagemeta

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// PropertyError says which property has a wrong value.
type PropertyError struct {
	Name    string
	Value   any
	Allowed string
}

// Error names the property, its value and what is allowed.
func (e *PropertyError) Error() string {
	return fmt.Sprintf("%s is %#v, allowed is: %s", e.Name, e.Value, e.Allowed)
}

// Read returns the canonical properties of an image. Values are texts,
// numbers ([json.Number]) or booleans; a current name overrides its old one.
// The result is a new map, nil when no property is known. It returns a
// [*PropertyError].
//
// Source: nova, objects/image_meta.py, ImageMetaProps.from_dict.
func Read(properties map[string]any) (map[string]string, error) {
	r := reader{raw: properties}
	for _, old := range slices.Sorted(maps.Keys(legacy)) {
		r.take(old, legacy[old])
	}
	r.adapterType()
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		r.take(name, name)
	}
	r.numaMemory()
	r.numaCPUs()
	r.traits()
	return r.props, r.err
}

type reader struct {
	raw   map[string]any
	props map[string]string
	err   error // the first
}

// take reads a property by one of its names.
func (r *reader) take(name, current string) {
	if value, has := r.raw[name]; has && value != nil {
		r.set(name, current, value)
	}
}

func (r *reader) set(name, current string, value any) {
	s, ok := text(value)
	allowed := "a text, a number, true or false"
	if ok {
		s, allowed = kinds[current].canonical(s)
	}
	if allowed != "" {
		if r.err == nil {
			r.err = &PropertyError{name, value, allowed}
		}
		return
	}
	if r.props == nil {
		r.props = map[string]string{}
	}
	r.props[current] = s
}

// text prints a value as Python does.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return pyvalue.OfBool(v).String(), true
	}
	return "", false
}

// adapterType reads the old property that became two.
func (r *reader) adapterType() {
	switch adapter, _ := text(r.raw["vmware_adaptertype"]); adapter {
	case "":
	case "ide":
		r.set("vmware_adaptertype", "hw_disk_bus", "ide")
	default:
		r.set("vmware_adaptertype", "hw_disk_bus", "scsi")
		r.set("vmware_adaptertype", "hw_scsi_model", adapter)
	}
}

// maxNUMANodes is how many NUMA nodes an image may speak of.
const maxNUMANodes = 128

// numaMemory collects hw_numa_mem.0, hw_numa_mem.1 and so on.
func (r *reader) numaMemory() {
	var list []string
	for i := range maxNUMANodes {
		name := "hw_numa_mem." + strconv.Itoa(i)
		value, has := r.raw[name]
		if !has {
			break
		}
		s, _ := text(value)
		n, allowed := integer.canonical(s)
		if allowed != "" {
			r.set(name, "hw_numa_nodes", value) // fails likewise
			return
		}
		list = append(list, n)
	}
	if list != nil {
		r.set("hw_numa_mem", "hw_numa_mem", "["+strings.Join(list, ", ")+"]")
	}
}

// numaCPUs keeps hw_numa_cpus.0, hw_numa_cpus.1 and so on under their names:
// who fits instances on NUMA cells reads them.
func (r *reader) numaCPUs() {
	for i := range maxNUMANodes {
		name := "hw_numa_cpus." + strconv.Itoa(i)
		value, has := r.raw[name]
		if !has {
			break
		}
		r.set(name, name, value)
	}
}

// traits collects the required ones, by name.
func (r *reader) traits() {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.raw)) {
		if s, _ := text(r.raw[name]); strings.HasPrefix(name, "trait:") && s == "required" {
			list = append(list, pyvalue.Quote(name[len("trait:"):]))
		}
	}
	if list != nil {
		r.set("trait:", "traits_required", "["+strings.Join(list, ", ")+"]")
	}
}
