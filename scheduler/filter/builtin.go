package filter

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Constructor makes a filter.
type Constructor struct {
	Name string
	New  func(o *scheduler.Options) (scheduler.Filter, error)
}

// Builtin returns all filters of this package, by name.
func Builtin() []Constructor {
	return []Constructor{
		{"ComputeFilter", newCompute},
		{"ComputeCapabilitiesFilter", newComputeCapabilities},
		{"ImagePropertiesFilter", newImageProperties},
		{"ServerGroupAntiAffinityFilter", newAntiAffinity},
		{"ServerGroupAffinityFilter", newAffinity},
		{"AggregateImagePropertiesIsolation", newAggregateImageProperties},
		{"AggregateInstanceExtraSpecsFilter", newAggregateExtraSpecs},
		{"AggregateIoOpsFilter", newAggregateIOOps},
		{"AggregateMultiTenancyIsolation", newAggregateTenants},
		{"AggregateNumInstancesFilter", newAggregateNumInstances},
		{"AggregateTypeAffinityFilter", newAggregateType},
		{"AllHostsFilter", newAllHosts},
		{"DifferentHostFilter", newDifferentHost},
		{"IoOpsFilter", newIOOps},
		{"IsolatedHostsFilter", newIsolatedHosts},
		{"JsonFilter", newQuery},
		{"MetricsFilter", newMetrics},
		{"NumInstancesFilter", newNumInstances},
		{"SameHostFilter", newSameHost},
		{"SimpleCIDRAffinityFilter", newNearAddress},
	}
}

// Choose makes the filters that [filter_scheduler] enabled_filters names, in
// its order; a name that is listed twice makes two. Filters of the caller's
// own, which may be none, are known besides the built-in ones. A name that
// nobody knows is an error.
func Choose(o *scheduler.Options, own ...Constructor) ([]scheduler.Filter, error) {
	known := map[string]Constructor{}
	for _, c := range append(Builtin(), own...) {
		known[c.Name] = c
	}
	var list []scheduler.Filter
	for _, name := range o.EnabledFilters {
		c, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("[filter_scheduler] enabled_filters has %q, which is no filter", name)
		}
		f, err := c.New(o)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, f)
	}
	return list, nil
}
