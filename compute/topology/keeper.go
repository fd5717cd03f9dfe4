package topology

import (
	"fmt"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Keeper keeps account of NUMA cells and PCI devices for package scheduler. It
// is safe for concurrent use. HostState.Topology is a *[Host], and
// RequestSpec.Topology an *[Instance].
type Keeper struct {
	aliases   Aliases
	placement bool // looks for devices
	limited   bool // the filter notes limits
	fitters   sync.Pool
}

var _ scheduler.TopologyKeeper = (*Keeper)(nil)

const numaFilterName = "NUMATopologyFilter"

// NewKeeper makes a keeper from [pci] alias and [compute]
// packing_host_numa_cells_allocation_strategy. With [filter_scheduler]
// pci_in_placement devices come from the candidates of a host.
func NewKeeper(o *scheduler.Options) (*Keeper, error) {
	pack := o.PackingHostNUMACellsAllocationStrategy
	k := &Keeper{
		placement: o.PCIInPlacement,
		limited:   slices.Contains(o.EnabledFilters, numaFilterName),
		fitters:   sync.Pool{New: func() any { return &Fitter{Pack: pack} }},
	}
	var err error
	k.aliases, err = parseAliases(o.PCIAliases, k.placement)
	return k, err
}

// ReadHost sets h.Topology and h.FreePCI.
func (*Keeper) ReadHost(h *scheduler.HostState) error {
	host, err := ParseHost(h.NUMATopology, h.PCIPools)
	if err != nil {
		return fmt.Errorf("host %s: %w", h.Host, err)
	}
	h.Topology, h.FreePCI = host, host.FreeDevices()
	return nil
}

// ReadSpec sets s.Topology.
func (k *Keeper) ReadSpec(s *scheduler.RequestSpec) error {
	i, err := k.read(s)
	if err != nil {
		return err
	}
	s.Topology = i
	return nil
}

// Consume takes what an instance of s needs from h; devices by the first of
// its candidates, if it has any. Errors are [ErrNoCandidate] and those of
// [Fitter.Consume].
func (k *Keeper) Consume(s *scheduler.RequestSpec, h *scheduler.HostState, filtered bool) error {
	i, err := k.instance(s)
	if err != nil {
		return err
	}
	if len(i.Cells) == 0 && len(i.Requests) == 0 {
		s.Topology = i
		return nil
	}
	host, err := hostOf(h)
	if err != nil {
		return err
	}
	var limits *Limits
	if filtered && k.limited {
		noted := limitsOf(s, h)
		limits = &noted
	}
	f := k.fitter()
	defer k.fitters.Put(f)
	switch {
	case k.placement && i.placed() && s.Rebuilds(): // Nova asks for no candidates then, and fails to take the devices
		return fmt.Errorf("host %s, rebuild: %w", h.Host, ErrNoCandidate)
	case !k.chooses(i, h):
	case len(h.Candidates) == 0:
		return fmt.Errorf("host %s: %w", h.Host, ErrNoCandidate)
	default:
		f.candidate = &h.Candidates[0]
	}
	host, i, err = f.Consume(host, i, limits)
	h.Topology, h.FreePCI, s.Topology = host, host.FreeDevices(), i
	return err
}

func (k *Keeper) fitter() *Fitter {
	f := k.fitters.Get().(*Fitter)
	f.candidate = nil
	return f
}

// instance returns the topology of a spec, which ReadSpec may not have read.
func (k *Keeper) instance(s *scheduler.RequestSpec) (*Instance, error) {
	if i, is := s.Topology.(*Instance); is {
		return i, nil
	}
	return k.read(s)
}

func (k *Keeper) read(s *scheduler.RequestSpec) (*Instance, error) {
	i, err := k.aliases.Instance(&s.Flavor, s.Image)
	for at := 0; err == nil && at < len(s.Devices); at++ {
		var r Request
		r, err = portRequest(&s.Devices[at])
		i.Requests = append(i.Requests, r)
	}
	return i, err
}

// hostOf returns the topology of a host, which ReadHost may not have read.
func hostOf(h *scheduler.HostState) (*Host, error) {
	if host, is := h.Topology.(*Host); is {
		return host, nil
	}
	return ParseHost(h.NUMATopology, h.PCIPools)
}
