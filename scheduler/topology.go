package scheduler

// TopologyKeeper keeps account of NUMA cells and PCI devices for the core,
// which knows neither. Its methods set fields of a state or a spec that is the
// caller's own copy; they never write to what these fields pointed to before.
// A keeper is safe for concurrent use.
type TopologyKeeper interface {
	// ReadHost sets h.Topology and h.FreePCI from h.NUMATopology and
	// h.PCIPools.
	ReadHost(h *HostState) error
	// ReadSpec sets s.Topology to what the first instance needs, from flavor
	// and image. The error is what Nova's API answers to such a request.
	ReadSpec(s *RequestSpec) error
	// Consume takes what an instance of s needs from h: it sets h.Topology and
	// h.FreePCI, and s.Topology to what the next instance needs. filtered says
	// that the filters were asked about h. With an error, which is where Nova
	// raises, some of it may have been taken.
	//
	// Source: nova, scheduler/host_manager.py, HostState.consume_from_request.
	Consume(s *RequestSpec, h *HostState, filtered bool) error
}
