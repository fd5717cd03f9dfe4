package live

import (
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// checkType is the hint that makes filters run on forced hosts too.
const checkType = "_nova_check_type"

// forced reports whether the request names its hosts, so that no filter is
// asked.
//
// Source: nova, scheduler/host_manager.py, HostManager.get_filtered_hosts.
func forced(spec *scheduler.RequestSpec) bool {
	return len(spec.ForceHosts)+len(spec.ForceNodes) > 0 && len(spec.Hint(checkType)) == 0
}

// named reports whether the request allows few hosts, by name.
func named(spec *scheduler.RequestSpec) bool {
	to := spec.Destination
	return len(spec.ForceHosts)+len(spec.ForceNodes) > 0 || to != nil && to.Host != nil
}

// demanded reports whether a host is one that the request's names allow.
// Hosts are compared without case where they are ignored or forced, with case
// where they are requested, as in Nova.
func demanded(spec *scheduler.RequestSpec, h *scheduler.HostState) bool {
	to := spec.Destination
	switch {
	case to != nil && to.Host != nil && (h.Host != *to.Host || to.Node != "" && h.Node != to.Node),
		len(spec.IgnoreHosts) > 0 && listed(spec.IgnoreHosts, h.Host),
		len(spec.ForceHosts) > 0 && !listed(spec.ForceHosts, h.Host),
		len(spec.ForceNodes) > 0 && !slices.Contains(spec.ForceNodes, h.Node):
		return false
	}
	return true
}

func listed(names []string, host string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
}
