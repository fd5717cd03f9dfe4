package scheduler

import (
	"encoding/json"
	"math"
	"time"
)

// HostState is what is known of one host. It is a value: what changes a host
// makes a new one, and slices and maps are not written to once it is made.
//
// Source: nova, scheduler/host_manager.py, HostState.
type HostState struct {
	Host   string // name of the compute service
	Node   string // name of the hypervisor; the same as Host on most
	UUID   string // of the resource provider
	Cell   string // UUID
	HostIP string // "": unknown

	// What instances use. Free amounts may be negative.
	FreeRAMMiB   int64
	FreeDiskMiB  int64
	VCPUsUsed    int64
	NumInstances int64
	NumIOOps     int64
	Instances    map[string]Instance // by UUID; may know fewer than NumInstances
	FreePCI      int64               // free devices of all pools

	// What the host is.
	TotalRAMMiB         int64
	TotalDiskGiB        int64
	DiskUsedMiB         int64
	VCPUsTotal          int64
	CPUAllocationRatio  float64
	RAMAllocationRatio  float64
	DiskAllocationRatio float64
	HypervisorType      string     // "": unknown
	HypervisorVersion   *int64     // 7002000 is 7.2.0; nil: unknown
	HypervisorHostname  string     // "": unknown
	SupportedInstances  [][]string // architecture, hypervisor type, VM mode
	CPUInfo             any        // a text that holds JSON, or decoded JSON with json.Number
	Stats               map[string]any
	FailedBuilds        int64
	Metrics             map[string]int64
	Service             Service
	Aggregates          []Aggregate // one may be there twice
	UsedSince           time.Time   // when it stopped being empty; zero: it is empty, or nobody knows
	EmptyBy             time.Time   // when its last instance will end; zero: it is empty, or nobody knows

	// NUMATopology and PCIPools are as the compute service reports them; only
	// the filters that understand them look inside. Empty: none.
	NUMATopology json.RawMessage
	PCIPools     json.RawMessage

	// Candidates are what placement offers on the host for PCI devices, the
	// best first; they matter with [filter_scheduler] pci_in_placement only.
	// nil: nobody asked, and devices may come from any provider.
	Candidates []Candidate

	// Topology is both of them as a [TopologyKeeper] reads them, with what
	// instances took since; the core passes it on. nil: not read yet.
	Topology any
}

// Candidate is one way to allocate a request on a host.
type Candidate struct {
	// Mappings has the UUIDs of the providers of each request group, by its
	// suffix.
	Mappings map[string][]string
	// Number is the caller's, who knows the candidate by it.
	Number int
}

// offer is the candidate that an instance on the host gets, nil if it has none.
func (h *HostState) offer() *Candidate {
	if len(h.Candidates) == 0 {
		return nil
	}
	return &h.Candidates[0]
}

// Instance is what is known of an instance on a host.
type Instance struct {
	Image map[string]string // canonical image properties, like [Image.Properties]
}

// Aggregate is a group of hosts.
type Aggregate struct {
	ID       int64
	Name     string
	UUID     string
	Metadata map[string]string
}

// Service is the compute service of a host.
type Service struct {
	Disabled   bool
	ForcedDown bool
	LastReport time.Time
}

// Up returns the first and the last moment, in nanoseconds since 1970, at
// which the service counts as up without another report. A service that is
// forced down never is: the first is then after the last.
//
// Source: nova, servicegroup/drivers/db.py, is_up.
func (s *Service) Up(downTime time.Duration) (first, last int64) {
	if s.ForcedDown {
		return math.MaxInt64, math.MinInt64
	}
	at := s.LastReport.UnixNano()
	return at - int64(downTime), at + int64(downTime)
}
