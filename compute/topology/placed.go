package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// suffixOf is the suffix of the request group of one device.
func suffixOf(request int, device int64) string { return fmt.Sprintf("pci%d-%d", request, device) }

// PCIGroups returns what placement is asked for the devices of a request: a
// group for each. Their suffixes, such as pci0-1 for the second device of the
// first alias, are those that [scheduler.Candidate] needs. Without
// [filter_scheduler] pci_in_placement there are none.
//
// Source: nova, objects/request_spec.py, generate_request_groups_from_pci_requests.
func (k *Keeper) PCIGroups(s *scheduler.RequestSpec) ([]placement.RequestGroup, error) {
	if !k.placement {
		return nil, nil
	}
	i, err := k.instance(s)
	if err != nil {
		return nil, err
	}
	var groups []placement.RequestGroup
	for n := range i.Requests {
		if i.Requests[n].port {
			continue
		}
		alias := k.aliases[i.Requests[n].Alias]
		for device := range i.Requests[n].Count {
			g := placement.RequestGroup{Suffix: suffixOf(n, device), Resources: []placement.Resource{{Class: alias.class, Amount: 1}}}
			for _, trait := range alias.traits {
				g.Required = append(g.Required, []string{trait})
			}
			groups = append(groups, g)
		}
	}
	return groups, nil
}

// classOf returns the resource class of an alias.
//
// Source: nova, compute/pci_placement_translator.py, get_resource_class.
func classOf(m map[string]any) string {
	if class, _ := m["resource_class"].(string); class != "" {
		return custom(strings.ToUpper(class), placement.StandardClasses())
	}
	return strings.ToUpper(fmt.Sprintf("CUSTOM_PCI_%s_%s", m["vendor_id"], m["product_id"]))
}

// traitsOf returns the traits of an alias, each once.
//
// Source: nova, compute/pci_placement_translator.py, get_traits.
func traitsOf(m map[string]any) []string {
	list, _ := m["traits"].(string)
	if list == "" {
		return nil
	}
	var traits []string
	standard := placement.StandardTraits()
	for name := range strings.SplitSeq(list, ",") {
		if !slices.Contains(standard, name) {
			name = custom(strings.ToUpper(name), nil)
		}
		traits = append(traits, name)
	}
	slices.Sort(traits)
	return slices.Compact(traits)
}

// custom makes a name of a class or trait that is in upper case one that
// placement takes.
func custom(name string, standard []string) string {
	const prefix = "CUSTOM_"
	plain := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '_'
	}, name)
	if slices.Contains(standard, name) || plain == name && len(name) > len(prefix) && strings.HasPrefix(name, prefix) {
		return name
	}
	return prefix + plain
}

// providers returns who provides the devices of request n by the candidate;
// none if there is no candidate.
//
// Source: nova, pci/stats.py, _get_rp_uuids_for_request.
func (f *Fitter) providers(requests []Request, n int) []string {
	f.from = f.from[:0]
	if f.candidate == nil || requests[n].port {
		return nil
	}
	for device := range requests[n].Count {
		if list := f.candidate.Mappings[suffixOf(n, device)]; len(list) > 0 {
			f.from = append(f.from, list[0])
		}
	}
	return f.from
}

func times(list []string, of string) int64 {
	n := int64(0)
	for _, s := range list {
		if s == of {
			n++
		}
	}
	return n
}

// offered reports whether the pool is one of the providers, and has what is
// allocated there.
//
// Source: nova, pci/stats.py, _filter_pools_based_on_placement_allocation.
func (f *Fitter) offered(p *Pool, left int64, from []string) bool {
	n := times(from, p.provider)
	return p.bound && n > 0 && left >= n
}

// takeFrom takes of every pool what is allocated on its provider. It reports
// whether no provider has two pools.
//
// Source: nova, pci/stats.py, _apply_request.
func (f *Fitter) takeFrom(h *Host, pools []int, from []string) bool {
	for i := range h.Pools {
		for j := range i {
			if f.left[i] != gone && f.left[j] != gone && h.Pools[i].bound && h.Pools[j].bound && h.Pools[i].provider == h.Pools[j].provider {
				return false
			}
		}
	}
	for _, i := range pools {
		if f.left[i] -= times(from, h.Pools[i].provider); f.left[i] == 0 {
			f.left[i] = gone
		}
	}
	return true
}

// chooses reports whether devices come by one of the host's candidates.
func (k *Keeper) chooses(i *Instance, h *scheduler.HostState) bool {
	return k.placement && i.placed() && h.Candidates != nil
}

// placed reports whether placement may know devices of the instance.
func (i *Instance) placed() bool {
	return slices.ContainsFunc(i.Requests, func(r Request) bool { return !r.port })
}

// covers reports whether the candidate has a provider for every device.
func covers(c *scheduler.Candidate, i *Instance) bool {
	for n := range i.Requests {
		if i.Requests[n].port {
			continue
		}
		for device := range i.Requests[n].Count {
			if len(c.Mappings[suffixOf(n, device)]) == 0 {
				return false
			}
		}
	}
	return true
}

// Narrows reports whether placement allocates devices of the request.
func (k *Keeper) Narrows(s *scheduler.RequestSpec) bool {
	i, err := k.instance(s)
	return k.placement && (err != nil || i.placed())
}

// keepOffering returns the candidates by which the devices are there, or why
// there is none.
//
// Source: nova, scheduler/filters/__init__.py, CandidateFilterMixin.
func (f *Fitter) keepOffering(host *Host, i *Instance, list []scheduler.Candidate) ([]scheduler.Candidate, scheduler.Reason, error) {
	var kept []scheduler.Candidate
	for at := range list {
		f.candidate = &list[at]
		why, err := f.devices(host, i)
		if err != nil {
			return nil, why, err
		}
		if why.Passes() {
			kept = append(kept, list[at])
		}
	}
	if kept == nil {
		return nil, noCandidate(i, list), nil
	}
	return kept, scheduler.Reason{}, nil
}

// keepFitting returns the candidates by which the instance fits with its
// devices, or why the last one is no such, by the limits in f.ratios. As in
// Nova each trial starts from what the one before left of the instance.
func (f *Fitter) keepFitting(host *Host, i *Instance, list []scheduler.Candidate) ([]scheduler.Candidate, scheduler.Reason, error) {
	var kept []scheduler.Candidate
	tried, last := *i, noCandidate(i, list)
	for at := range list {
		f.candidate = &list[at]
		why, err := f.Fit(host, &tried, &f.ratios)
		switch {
		case err != nil:
			return nil, why, err
		case why.Passes():
			kept = append(kept, list[at])
		default:
			last = why
		}
		if len(host.Cells) >= len(tried.Cells) {
			tried.Cells = f.placed(&tried)
		}
	}
	if kept == nil {
		return nil, last, nil
	}
	return kept, scheduler.Reason{}, nil
}

// noCandidate is why a host is refused all of whose candidates are gone.
func noCandidate(i *Instance, list []scheduler.Candidate) scheduler.Reason {
	return scheduler.Reason{Why: "none of %h allocation candidates has PCI alias %t", Have: float64(len(list)), Text: i.Requests[0].Alias}
}

// missing is why the devices are not there.
func (r *Request) missing() scheduler.Reason {
	if r.port {
		return scheduler.Reason{Why: "no %w devices of port %t are free", Want: float64(r.Count), Text: r.Requester}
	}
	return scheduler.Reason{Why: "no %w devices of PCI alias %t are free", Want: float64(r.Count), Text: r.Alias}
}

// devices looks for the devices of all requests, on whichever cell.
func (f *Fitter) devices(h *Host, i *Instance) (scheduler.Reason, error) {
	f.resetDevices(h)
	for at := range i.Requests {
		q := &i.Requests[at]
		if ok, err := f.take(h, q, nil, f.providers(i.Requests, at)); !ok || err != nil {
			return q.missing(), err
		}
	}
	return scheduler.Reason{}, nil
}
