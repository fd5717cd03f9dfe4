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

// demand returns why a host is not one that the request's names allow, "" if
// it is. Hosts are compared without case where they are ignored or forced,
// with case where they are requested, as in Nova.
func demand(spec *scheduler.RequestSpec, h *scheduler.HostState) string {
	to := spec.Destination
	switch {
	case to != nil && to.Host != nil && (h.Host != *to.Host || to.Node != "" && h.Node != to.Node):
		return "is not the requested destination"
	case len(spec.IgnoreHosts) > 0 && listed(spec.IgnoreHosts, h.Host):
		return "is ignored"
	case len(spec.ForceHosts) > 0 && !listed(spec.ForceHosts, h.Host):
		return "is not among the forced hosts"
	case len(spec.ForceNodes) > 0 && !slices.Contains(spec.ForceNodes, h.Node):
		return "is not among the forced nodes"
	}
	return ""
}

// demanding reports whether the request says anything about names of hosts.
func demanding(spec *scheduler.RequestSpec) bool { return named(spec) || len(spec.IgnoreHosts) > 0 }

func listed(names []string, host string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, host) })
}
