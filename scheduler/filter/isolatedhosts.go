package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// isolatedHosts keeps isolated images on isolated hosts, and others off them.
//
// Source: nova, scheduler/filters/isolated_hosts_filter.py,
// IsolatedHostsFilter.
type isolatedHosts struct {
	base
	hosts, images map[string]struct{}
	restrict      bool // isolated hosts to isolated images
}

func newIsolatedHosts(o *scheduler.Options) (scheduler.Filter, error) {
	return &isolatedHosts{
		base{"IsolatedHostsFilter", scheduler.ReadsHost | scheduler.ReadsRequest},
		set(o.IsolatedHosts), set(o.IsolatedImages), o.RestrictIsolatedHostsToIsolatedImages,
	}, nil
}

func set(names []string) map[string]struct{} {
	m := make(map[string]struct{}, len(names))
	for _, name := range names {
		m[name] = struct{}{}
	}
	return m
}

// Scope leaves out images that may go anywhere.
func (f *isolatedHosts) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	return where(f.restrict || f.isolated(s), scheduler.FirstInstance|scheduler.OnRebuild)
}

func (f *isolatedHosts) isolated(s *scheduler.RequestSpec) bool {
	if s.Image == nil || s.Image.ID == "" {
		return false
	}
	_, is := f.images[s.Image.ID]
	return is
}

// Pass compares image and host.
func (f *isolatedHosts) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	image := f.isolated(r.Spec)
	_, host := f.hosts[h.Host]
	switch {
	case image && !host:
		return scheduler.Reason{Why: "image %a is isolated, the host is not", Asked: r.Spec.Image.ID}, nil
	case host && !image && f.restrict:
		return scheduler.Reason{Why: "the host is isolated, the image is not"}, nil
	default:
		return scheduler.Reason{}, nil
	}
}
