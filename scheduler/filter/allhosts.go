package filter

import "github.com/kilonova-cloud/kilonova/scheduler"

// allHosts passes every host.
//
// Source: nova, scheduler/filters/all_hosts_filter.py, AllHostsFilter.
type allHosts struct{ base }

func newAllHosts(*scheduler.Options) (scheduler.Filter, error) {
	return &allHosts{base{"AllHostsFilter", 0}}, nil
}

// Scope is nothing at all.
func (*allHosts) Scope(*scheduler.RequestSpec) scheduler.Scope {
	return scheduler.FirstInstance | scheduler.EveryHost
}

// Pass passes.
func (*allHosts) Pass(*scheduler.Request, *scheduler.HostState) (scheduler.Reason, error) {
	return scheduler.Reason{}, nil
}
