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
type computeCapabilities struct{ base }

const (
	capabilitiesScope = "capabilities:"
	addressBits       = "hw:maxphysaddr_bits"
	addressBitsPath   = "cpu_info:maxphysaddr:bits"
)

func newComputeCapabilities(*scheduler.Options) (scheduler.Filter, error) {
	return &computeCapabilities{base{
		"ComputeCapabilitiesFilter", scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsRequest,
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
// order of the alphabet is the reason.
func (*computeCapabilities) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	var reason scheduler.Reason
	var failure error
	failed, found := "", false
	_, bits := r.Spec.Flavor.ExtraSpecs[addressBits]
	for key, requirement := range r.Spec.Flavor.ExtraSpecs {
		path, ok := capability(key)
		if !ok || found && key > failed || bits && path == addressBitsPath && key != addressBits {
			continue
		}
		if why, err := meets(h, key, path, requirement); err != nil || !why.Passes() {
			reason, failure, failed, found = why, err, key, true
		}
	}
	return reason, failure
}

// meets compares one extra spec.
func meets(h *scheduler.HostState, key, path, requirement string) (scheduler.Reason, error) {
	if path == key { // no scope: only if the host knows it
		_, stat := h.Stats[key]
		if _, has := attribute(h, key); !has && !stat {
			return scheduler.Reason{}, nil
		}
	}
	value := lookup(h, path)
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
func lookup(h *scheduler.HostState, path string) pyvalue.Value {
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
	return descend(doc, rest, more)
}

func descend(doc any, path string, more bool) pyvalue.Value {
	for more {
		var name string
		switch at := doc.(type) {
		case string:
			return descendText(at, path)
		case map[string]any:
			name, path, more = strings.Cut(path, ":")
			doc = at[name]
		default:
			return pyvalue.Value{}
		}
	}
	return pyvalue.OfDecoded(doc)
}

// descendText goes on in a text that holds JSON.
func descendText(text, path string) pyvalue.Value {
	v, err := pyvalue.ParseJSON(text)
	if err != nil {
		return pyvalue.Value{}
	}
	for more := true; more; {
		var name string
		name, path, more = strings.Cut(path, ":")
		v = v.Get(name)
		if inner, isText := v.Text(); isText && more {
			return descendText(inner, path)
		}
	}
	return v
}

// memberOf returns an instance on the host, None when it is not there.
func memberOf(h *scheduler.HostState, uuid string) pyvalue.Value {
	if _, has := h.Instances[uuid]; !has {
		return pyvalue.Value{}
	}
	return pyvalue.OfObject(uuid, true)
}
