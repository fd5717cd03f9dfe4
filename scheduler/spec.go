package scheduler

// RequestSpec is what is asked for: one or more equal instances. The zero
// value of every field is "not asked for".
//
// Source: nova, objects/request_spec.py, RequestSpec.
type RequestSpec struct {
	Flavor           Flavor
	Image            *Image // nil: no image at all
	VolumeBacked     bool   // the root disk is a volume
	ProjectID        string
	UserID           string
	AvailabilityZone string
	Hints            map[string][]string // scheduler hints
	Group            *Group              // of servers; nil: none
	IgnoreHosts      []string            // compared without case
	ForceHosts       []string            // compared without case
	ForceNodes       []string
	Destination      *Destination
	Instances        []string // one UUID per instance
	Networks         Networks
	Devices          []DeviceRequest // beside those of the flavor's aliases

	// Topology is what the instance needs of NUMA cells and PCI devices, as
	// the filters that look at it understand it; the core passes it on.
	Topology any
}

// Networks are networks that cells of a host may be near to: of a request
// those that its ports are on, of a cell those that its devices reach.
//
// Source: nova, objects/network_metadata.py, NetworkMetadata.
type Networks struct {
	Physnets []string // names of physical networks, each once
	Tunneled bool     // there are tunneled networks
}

// DeviceRequest asks for PCI devices by what they are, such as those of a
// port for single root I/O virtualization.
//
// Source: nova, objects/instance_pci_requests.py, InstancePCIRequest without
// an alias.
type DeviceRequest struct {
	Requester string // whose it is, such as the UUID of the port
	Count     int64
	// Specs are alternatives: what a device must have by attribute, such as
	// physical_network, remote_managed, dev_type, trusted or vendor_id. ""
	// stands for devices without the attribute.
	Specs      []map[string]string
	NUMAPolicy string // required, preferred, socket, legacy; "": legacy
}

// Flavor is the size of an instance.
type Flavor struct {
	Name        string
	VCPUs       int64
	MemoryMiB   int64
	RootGiB     int64
	EphemeralGB int64 // GiB
	SwapMiB     int64
	ExtraSpecs  map[string]string
}

// Image is what an instance boots from.
type Image struct {
	ID         string // "": unknown
	DiskFormat string
	// Properties holds canonical names and values: old names are renamed,
	// unknown ones dropped, and a value is the text that Python prints.
	Properties map[string]string
}

// The policies of server groups.
const (
	Affinity         = "affinity"
	AntiAffinity     = "anti-affinity"
	SoftAffinity     = "soft-affinity"
	SoftAntiAffinity = "soft-anti-affinity"
)

// Group is a server group, as far as it concerns a request.
type Group struct {
	UUID    string
	Policy  string
	Members []string // UUIDs of instances
	Hosts   []string // names of hosts that have a member
	// MaxServerPerHost is the rule of that name, nil: 1. It only concerns
	// AntiAffinity.
	MaxServerPerHost *int64
}

// Destination narrows a request to a host, or to a cell it prefers.
type Destination struct {
	Host               *string // nil: any
	Node               string  // "": any of the host
	Cell               string  // the preferred one, "": none
	AllowCrossCellMove bool
}

// Hint returns the values of a scheduler hint, nil when it is not given.
func (s *RequestSpec) Hint(name string) []string { return s.Hints[name] }
