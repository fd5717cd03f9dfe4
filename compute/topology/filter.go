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

var _, _ scheduler.Narrower = numaFilter{}, pciFilter{}

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
	_, why, err := f.Narrow(r, h)
	return why, err
}

// Narrow fits the instance by each of the host's candidates.
func (f numaFilter) Narrow(r *scheduler.Request, h *scheduler.HostState) ([]scheduler.Candidate, scheduler.Reason, error) {
	if r.Spec.Image == nil {
		return nil, scheduler.Reason{}, fmt.Errorf("%w: the request has no image", scheduler.ErrCannotEvaluate)
	}
	i, err := f.instance(r.Spec)
	if err != nil {
		return nil, scheduler.Reason{}, err
	}
	host, err := hostOf(h)
	switch {
	case err != nil:
		return nil, scheduler.Reason{}, err
	case i.threads && len(host.Cells) > 0 && !host.threads:
		return nil, scheduler.Reason{Why: "host has no threads, which the thread policy requires"}, nil
	case len(i.Cells) == 0:
		return h.Candidates, scheduler.Reason{}, nil
	}
	fitter := f.fitter()
	defer f.fitters.Put(fitter)
	fitter.ratios = limitsOf(r.Spec, h)
	if !f.chooses(i, h) {
		why, err := fitter.Fit(host, i, &fitter.ratios)
		return h.Candidates, why, unevaluable(err)
	}
	kept, why, err := fitter.keepFitting(host, i, h.Candidates)
	return kept, why, unevaluable(err)
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
func (pciFilter) Name() string { return "PciPassthroughFilter" }

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
	_, why, err := f.Narrow(r, h)
	return why, err
}

// Narrow looks for the devices by each of the host's candidates.
func (f pciFilter) Narrow(r *scheduler.Request, h *scheduler.HostState) ([]scheduler.Candidate, scheduler.Reason, error) {
	i, err := f.instance(r.Spec)
	if err != nil || len(i.Requests) == 0 {
		return h.Candidates, scheduler.Reason{}, err
	}
	host, err := hostOf(h)
	if err != nil {
		return nil, scheduler.Reason{}, err
	}
	fitter := f.fitter()
	defer f.fitters.Put(fitter)
	if !f.chooses(i, h) {
		why, err := fitter.devices(host, i)
		return h.Candidates, why, err
	}
	return fitter.keepOffering(host, i, h.Candidates)
}
