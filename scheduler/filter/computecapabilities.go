package filter

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// computeCapabilities compares the flavor's extra specs with what the host
// reports of itself.
//
// Source: nova, scheduler/filters/compute_capabilities_filter.py,
// ComputeCapabilitiesFilter.
type computeCapabilities struct {
	base
	texts memo[string, pyvalue.Value] // hosts of one kind report the same cpu_info
}

const (
	capabilitiesScope = "capabilities:"
	addressBits       = "hw:maxphysaddr_bits"
	addressBitsPath   = "cpu_info:maxphysaddr:bits"
)

func newComputeCapabilities(*scheduler.Options) (scheduler.Filter, error) {
	return &computeCapabilities{base: base{
		"ComputeCapabilitiesFilter", scheduler.ReadsAllocations | scheduler.ReadsInstances | scheduler.ReadsHost | scheduler.ReadsRequest,
	}}, nil
}

// Scope leaves out flavors without an extra spec that is looked at.
func (*computeCapabilities) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	matters := false
	for key := range s.Flavor.ExtraSpecs {
		_, looked := capability(key)
		matters = matters || looked
	}
	return where(matters, scheduler.FirstInstance)
}

// capability returns the path of names that an extra spec is about, and
// whether it is about a capability at all.
func capability(key string) (path string, ok bool) {
	if key == addressBits {
		return addressBitsPath, true
	}
	if !strings.Contains(key, ":") {
		return key, true
	}
	return strings.CutPrefix(key, capabilitiesScope)
}

// Pass compares all extra specs. When several do not match, the first in the
// order of the alphabet is the reason, the bits of addresses last.
func (f *computeCapabilities) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	var reason scheduler.Reason
	var failure error
	failed, found := "", false
	_, bits := r.Spec.Flavor.ExtraSpecs[addressBits]
	for key, requirement := range r.Spec.Flavor.ExtraSpecs {
		path, ok := capability(key)
		if !ok || found && later(key, failed) || bits && path == addressBitsPath && key != addressBits {
			continue
		}
		if why, err := f.meets(h, key, path, requirement); err != nil || !why.Passes() {
			reason, failure, failed, found = why, err, key, true
		}
	}
	return reason, failure
}

// later reports whether Nova compares extra spec a after b, when the flavor
// lists both in the order of the alphabet: it moves the bits of addresses.
func later(a, b string) bool {
	if (a == addressBits) != (b == addressBits) {
		return a == addressBits
	}
	return a > b
}

// meets compares one extra spec.
func (f *computeCapabilities) meets(h *scheduler.HostState, key, path, requirement string) (scheduler.Reason, error) {
	if path == key { // no scope: only if the host knows it
		_, stat := h.Stats[key]
		if _, has := attribute(h, key); !has && !stat {
			return scheduler.Reason{}, nil
		}
	}
	value := f.lookup(h, path)
	if value.IsNone() {
		return scheduler.Reason{Why: "extra spec %o asks for %a, the host does not tell", Of: key, Asked: requirement}, nil
	}
	var ok bool
	var err error
	if key == addressBits {
		ok, err = apply(value, ">=", requirement)
	} else {
		ok, err = match(value, requirement)
	}
	switch {
	case err != nil:
		return scheduler.Reason{}, cannot("host %s, extra spec %s: %w", h.Host, key, err)
	case !ok:
		return scheduler.Reason{
			Why: "extra spec %o asks for %a, the host has %t", Of: key, Asked: requirement, Text: value.String(),
		}, nil
	default:
		return scheduler.Reason{}, nil
	}
}

// lookup follows a path of names with colons between them: into an attribute
// of the host, or the stat of that name if it has none, and on through
// dictionaries and texts that hold them. It returns None when it gets stuck.
func (f *computeCapabilities) lookup(h *scheduler.HostState, path string) pyvalue.Value {
	name, rest, more := strings.Cut(path, ":")
	doc := document(h, name)
	if doc == nil {
		v, _ := attribute(h, name)
		text, isText := v.Text()
		switch {
		case v.IsNone():
			doc = h.Stats[name]
		case !more:
			return v
		case isText:
			doc = text
		case name == "instances":
			return memberOf(h, rest)
		default:
			return pyvalue.Value{}
		}
	}
	return f.descend(doc, rest, more)
}

func (f *computeCapabilities) descend(doc any, path string, more bool) pyvalue.Value {
	for more {
		var name string
		switch at := doc.(type) {
		case string:
			v, err := f.texts.read(at, pyvalue.ParseJSON)
			if err != nil {
				return pyvalue.Value{}
			}
			return descendValue(v, path)
		case map[string]any:
			name, path, more = strings.Cut(path, ":")
			doc = at[name]
		default:
			return pyvalue.Value{}
		}
	}
	return pyvalue.OfDecoded(doc)
}

// descendValue goes on in what a text held. Texts in it may hold more.
func descendValue(v pyvalue.Value, path string) pyvalue.Value {
	for {
		name, rest, more := strings.Cut(path, ":")
		if v = v.Get(name); !more {
			return v
		}
		path = rest
		if inner, isText := v.Text(); isText {
			v, _ = pyvalue.ParseJSON(inner) // None has nothing in it
		}
	}
}

// memberOf returns an instance on the host, None when it is not there.
func memberOf(h *scheduler.HostState, uuid string) pyvalue.Value {
	if _, has := h.Instances[uuid]; !has {
		return pyvalue.Value{}
	}
	return pyvalue.OfObject(uuid, true)
}
