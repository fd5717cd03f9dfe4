package filter

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// imageProperties passes hosts that run what the image was made for.
//
// Source: nova, scheduler/filters/image_props_filter.py, ImagePropertiesFilter.
type imageProperties struct {
	base
	architecture string // of images that do not tell, "": any
	versions     memo[string, pyvalue.VersionPredicate]
}

func newImageProperties(o *scheduler.Options) (scheduler.Filter, error) {
	return &imageProperties{
		base:         base{"ImagePropertiesFilter", scheduler.ReadsHost | scheduler.ReadsRequest},
		architecture: o.ImagePropertiesDefaultArchitecture,
	}, nil
}

// wanted is what an image asks of one supported instance; "": nothing.
type wanted struct{ architecture, hypervisor, mode string }

func (f *imageProperties) wanted(s *scheduler.RequestSpec) wanted {
	var properties map[string]string
	if s.Image != nil {
		properties = s.Image.Properties
	}
	architecture, ok := properties["hw_architecture"]
	if !ok {
		architecture = f.architecture
	}
	return wanted{architecture, properties["img_hv_type"], properties["hw_vm_mode"]}
}

// Scope leaves out images that ask for no kind of instance.
func (f *imageProperties) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(f.wanted(s) != wanted{}, scheduler.FirstInstance|scheduler.OnRebuild)
}

// Pass looks for a supported instance of the image's kind, then at the
// hypervisor's version and the width of its addresses.
func (f *imageProperties) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	w := f.wanted(r.Spec)
	if (w == wanted{}) {
		return scheduler.Reason{}, nil
	}
	if !slices.ContainsFunc(h.SupportedInstances, w.in) {
		return w.reason(h), nil
	}
	var properties map[string]string
	if r.Spec.Image != nil {
		properties = r.Spec.Image.Properties
	}
	reason, err := f.version(properties["img_hv_requested_version"], h)
	if err != nil || !reason.Passes() {
		return reason, err
	}
	return bits(properties["hw_maxphysaddr_bits"], h)
}

// in reports whether a supported instance has all that is wanted, at any place.
func (w wanted) in(instance []string) bool {
	return (w.architecture == "" || slices.Contains(instance, w.architecture)) &&
		(w.hypervisor == "" || slices.Contains(instance, w.hypervisor)) &&
		(w.mode == "" || slices.Contains(instance, w.mode))
}

// reason names the first thing that no supported instance has.
func (w wanted) reason(h *scheduler.HostState) scheduler.Reason {
	if len(h.SupportedInstances) == 0 {
		return scheduler.Reason{Why: "the image asks for a kind of instance, the host tells of none"}
	}
	for _, one := range []struct {
		what string
		w    wanted
	}{
		{"architecture " + w.architecture, wanted{architecture: w.architecture}},
		{"hypervisor type " + w.hypervisor, wanted{hypervisor: w.hypervisor}},
		{"VM mode " + w.mode, wanted{mode: w.mode}},
	} {
		if !slices.ContainsFunc(h.SupportedInstances, one.w.in) {
			return scheduler.Reason{Why: "the image asks for %a, which no supported instance of the host has", Asked: one.what}
		}
	}
	return scheduler.Reason{Why: "the image asks for a combination of architecture, hypervisor type and VM mode that the host does not support"}
}

func (f *imageProperties) version(asked string, h *scheduler.HostState) (scheduler.Reason, error) {
	if asked == "" || h.HypervisorVersion == nil || *h.HypervisorVersion == 0 {
		return scheduler.Reason{}, nil
	}
	predicate, err := f.versions.read(asked, pyvalue.ParseVersionPredicate)
	if err != nil {
		return scheduler.Reason{}, cannot("image property img_hv_requested_version: %w", err)
	}
	if !predicate.Holds(pyvalue.VersionOfInt(*h.HypervisorVersion)) {
		return scheduler.Reason{
			Why: "the image asks for hypervisor version %a, the host has %h", Asked: asked, Have: float64(*h.HypervisorVersion),
		}, nil
	}
	return scheduler.Reason{}, nil
}

// bits compares the width of physical addresses. A host that does not tell
// passes; one whose cpu_info is no dictionary cannot be asked.
func bits(asked string, h *scheduler.HostState) (scheduler.Reason, error) {
	want, _ := pyvalue.ParseInt(asked)
	if want == 0 || h.CPUInfo == nil {
		return scheduler.Reason{}, nil
	}
	info, ok := h.CPUInfo.(map[string]any)
	if !ok {
		return scheduler.Reason{}, cannot("host %s: cpu_info is no dictionary, and the image asks for hw_maxphysaddr_bits", h.Host)
	}
	width, has := info["maxphysaddr"]
	if !has {
		return scheduler.Reason{}, nil
	}
	widths, ok := width.(map[string]any)
	if !ok {
		return scheduler.Reason{}, cannot("host %s: maxphysaddr of cpu_info is no dictionary", h.Host)
	}
	have := pyvalue.OfDecoded(widths["bits"])
	if !have.True() {
		return scheduler.Reason{}, nil
	}
	order, ordered, err := pyvalue.Compare(have, pyvalue.OfInt(want))
	switch {
	case err != nil:
		return scheduler.Reason{}, cannot("host %s: cpu_info:maxphysaddr:bits: %w", h.Host, err)
	case !ordered || order < 0:
		return scheduler.Reason{
			Why: "the image asks for %w bits of physical address, the host has %t", Want: float64(want), Text: have.String(),
		}, nil
	default:
		return scheduler.Reason{}, nil
	}
}
