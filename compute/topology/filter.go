package topology

import (
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// numaFilter passes hosts on whose cells the instance fits, together with its
// PCI devices.
//
// Source: nova, scheduler/filters/numa_topology_filter.py, NUMATopologyFilter.
type numaFilter struct{ *Keeper }

// NewNUMATopologyFilter makes the filter of that name.
func NewNUMATopologyFilter(o *scheduler.Options) (scheduler.Filter, error) {
	k, err := NewKeeper(o)
	return numaFilter{k}, err
}

// Name returns NUMATopologyFilter.
func (numaFilter) Name() string { return numaFilterName }

// Reads returns what the filter looks at.
func (numaFilter) Reads() scheduler.Reads {
	return scheduler.ReadsAllocations | scheduler.ReadsHost | scheduler.ReadsRequest
}

// Scope is no host when the request asks for nothing that a host could lack.
func (f numaFilter) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	if i, err := f.instance(s); err == nil && s.Image != nil && len(i.Cells) == 0 && !i.threads {
		return scheduler.EveryHost
	}
	return 0
}

// Pass fits the instance.
func (f numaFilter) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if r.Spec.Image == nil {
		return scheduler.Reason{}, fmt.Errorf("%w: the request has no image", scheduler.ErrCannotEvaluate)
	}
	i, err := f.instance(r.Spec)
	if err != nil {
		return scheduler.Reason{}, err
	}
	host, err := hostOf(h)
	switch {
	case err != nil:
		return scheduler.Reason{}, err
	case i.threads && len(host.Cells) > 0 && !host.threads:
		return scheduler.Reason{Why: "host has no threads, which the thread policy requires"}, nil
	case len(i.Cells) == 0:
		return scheduler.Reason{}, nil
	}
	fitter := f.fitter()
	defer f.fitters.Put(fitter)
	if f.placement && len(i.Requests) > 0 {
		kept, why, err := f.kept(fitter, r.Spec, h, f.until(numaFilterName))
		switch {
		case err != nil || len(kept) > 0:
			return scheduler.Reason{}, unevaluable(err)
		case why.Passes():
			why = noCandidate(i, h)
		}
		return why, nil
	}
	fitter.ratios = limitsOf(r.Spec, h)
	why, err := fitter.Fit(host, i, &fitter.ratios)
	return why, unevaluable(err)
}

// unevaluable gives errors of fitting the kind that the core knows.
func unevaluable(err error) error {
	if errors.Is(err, ErrNoSiblings) || errors.Is(err, errNoHostCells) {
		return fmt.Errorf("%w: %w", scheduler.ErrCannotEvaluate, err)
	}
	return err
}

// pciFilter passes hosts that have the PCI devices, on whichever cell.
//
// Source: nova, scheduler/filters/pci_passthrough_filter.py, PciPassthroughFilter.
type pciFilter struct{ *Keeper }

// NewPCIPassthroughFilter makes the filter PciPassthroughFilter.
func NewPCIPassthroughFilter(o *scheduler.Options) (scheduler.Filter, error) {
	k, err := NewKeeper(o)
	return pciFilter{k}, err
}

// Name returns PciPassthroughFilter.
func (pciFilter) Name() string { return pciFilterName }

// Reads returns what the filter looks at.
func (pciFilter) Reads() scheduler.Reads { return scheduler.ReadsAllocations | scheduler.ReadsRequest }

// Scope is no host when the request asks for no device.
func (f pciFilter) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	if i, err := f.instance(s); err == nil && len(i.Requests) == 0 {
		return scheduler.EveryHost
	}
	return 0
}

// Pass looks for the devices of all requests.
func (f pciFilter) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	i, err := f.instance(r.Spec)
	if err != nil || len(i.Requests) == 0 {
		return scheduler.Reason{}, err
	}
	host, err := hostOf(h)
	if err != nil {
		return scheduler.Reason{}, err
	}
	fitter := f.fitter()
	defer f.fitters.Put(fitter)
	if f.placement {
		kept, _, err := f.kept(fitter, r.Spec, h, f.until(pciFilterName))
		if err != nil || len(kept) == 0 {
			return noCandidate(i, h), err
		}
		return scheduler.Reason{}, nil
	}
	return fitter.devices(host, i)
}
