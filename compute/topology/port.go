package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// portRequest reads a request for devices without an alias. It returns a
// [*FieldError].
//
// Source: nova, pci/stats.py, _filter_pools.
func portRequest(d *scheduler.DeviceRequest) (Request, error) {
	r := Request{Requester: d.Requester, Count: d.Count, Policy: cmp.Or(d.NUMAPolicy, PolicyLegacy), port: true}
	if d.Count < 0 || d.Count > maxCount {
		return r, &FieldError{"pci_requests.count", d.Count, fmt.Sprintf("0 to %d", int64(maxCount))}
	}
	if !slices.Contains(policies, r.Policy) {
		return r, &FieldError{"pci_requests.numa_policy", d.NUMAPolicy, fmt.Sprint(policies)}
	}
	for _, spec := range d.Specs {
		var attributes []attribute
		for name, value := range spec {
			switch name {
			case "numa_node", "count":
				return r, &FieldError{"pci_requests.spec", name, "attributes such as physical_network; numa_policy says where devices have to be"}
			case "resource_class", "traits", "rp_uuids": // not of devices
			default:
				attributes = append(attributes, attribute{name, strings.ToLower(value)})
			}
		}
		r.specs = append(r.specs, attributes)
		r.pf = r.pf || spec["dev_type"] == typePF
		r.vdpa = r.vdpa || spec["dev_type"] == typeVDPA
		r.remote = r.remote || pyvalue.Bool(spec["remote_managed"])
	}
	r.live = commonLive(d.Specs)
	return r, nil
}

// commonLive returns live_migratable if all specs agree on true or on false,
// and "" otherwise.
func commonLive(specs []map[string]string) string {
	for _, value := range []string{"true", "false"} {
		if !slices.ContainsFunc(specs, func(spec map[string]string) bool { return spec["live_migratable"] != value }) {
			return value
		}
	}
	return ""
}
