package query

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// ErrNoHost is what a request fails with that no host can meet, whatever
// placement would say: Nova's NoValidHost before it asks.
var ErrNoHost = errors.New("no valid host")

// Builder makes queries. It is safe for concurrent use.
type Builder struct {
	o       *scheduler.Options
	classes map[string]struct{} // standard ones
	traits  map[string]struct{} // standard ones
}

// New returns a Builder for these options.
func New(o *scheduler.Options) *Builder {
	return &Builder{o, set(placement.StandardClasses()), set(placement.StandardTraits())}
}

func set(names []string) map[string]struct{} {
	m := make(map[string]struct{}, len(names))
	for _, name := range names {
		m[name] = struct{}{}
	}
	return m
}

// View is the part of the cloud's state that a query depends on.
type View struct {
	// Aggregates are Nova's host aggregates, all of them.
	Aggregates []scheduler.Aggregate
	// Nodes returns the root providers of the compute nodes of a service, or
	// of a node, or both; "" is any. It is asked when a request names one.
	Nodes func(host, node, cell string) []placement.UUID
	// Owned says that compute services mark their providers with OWNER_NOVA,
	// every one of them.
	Owned bool
}

// Request is what to make a query of.
type Request struct {
	Spec *scheduler.RequestSpec
	// Groups are what other services ask for on the instance's behalf: for
	// ports, or accelerators. Each has a suffix of its own.
	Groups []placement.RequestGroup
	// PCIGroups are PCI devices of the flavor's. They are Nova's own, if all
	// compute services mark what is theirs.
	PCIGroups     []placement.RequestGroup
	RootRequired  []string
	RootForbidden []string
	SameSubtree   [][]string
	// NetworkAggregates has a list for each network of the request whose
	// segments are bound to aggregates; one of the list will do. Only Neutron
	// knows them, so it is the caller who heeds [scheduler]
	// query_placement_for_routed_network_aggregates.
	NetworkAggregates [][]placement.UUID
	// RemoteManagedPorts says that a port is managed by a SmartNIC.
	RemoteManagedPorts bool
	// Shared counts pinned CPUs as VCPU: the second query for a request that
	// is Pinned, for hosts that do not tell pinned CPUs from others.
	Shared bool
}

// Query is what placement is asked.
type Query struct {
	Candidates placement.CandidateRequest
	// Pinned says that the flavor or image pins all CPUs. Nova then asks a
	// second time, with [Request.Shared], and takes the answers together.
	Pinned bool
}

// build is the making of one query.
type build struct {
	*Builder
	view   *View
	r      *Request
	flavor *scheduler.Flavor
	image  map[string]string // properties
	q      Query

	refused     error // of flavor or image
	groups      map[string]*group
	fromFlavor  map[string]struct{} // suffixes that the flavor names
	policy      string              // group_policy, "": none
	threads     string              // trait that pinning requires, "": none
	required    map[string]struct{} // of the root
	forbidden   map[string]struct{}
	memberOf    [][]placement.UUID
	notIn       []placement.UUID
	unlimited   bool
	pciSuffixes []string
}

// Build makes the query of a request. It returns [ErrNoHost], or
// [scheduler.ErrCannotEvaluate] for a flavor or image that Nova refuses.
//
// Source: nova, scheduler/utils.py, resources_from_request_spec, and
// scheduler/request_filter.py, process_reqspec.
func (b *Builder) Build(v *View, r *Request) (*Query, error) {
	w := &build{
		Builder: b, view: v, r: r, flavor: &r.Spec.Flavor,
		groups: map[string]*group{}, required: set(r.RootRequired), forbidden: set(r.RootForbidden),
	}
	if r.Spec.Image != nil {
		w.image = r.Spec.Image.Properties
	}
	w.refused = w.resources() // what a pre-filter says first comes first
	for _, f := range prefilters() {
		if err := f.apply(w); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if w.refused != nil {
		return nil, w.refused
	}
	if err := w.destination(); err != nil {
		return nil, err
	}
	if err := w.finish(); err != nil {
		return nil, err
	}
	return &w.q, nil
}

// destination narrows the query to the host or node that the request names.
func (b *build) destination() error {
	spec := b.r.Spec
	host, node, cell := "", "", ""
	if d := spec.Destination; d != nil {
		if d.Host != nil {
			host = *d.Host
		}
		node, cell = d.Node, d.Cell
	}
	if host == "" && len(spec.ForceHosts) > 0 {
		host = spec.ForceHosts[0]
	}
	if node == "" && len(spec.ForceNodes) > 0 {
		node = spec.ForceNodes[0]
	}
	if host == "" && node == "" {
		return nil
	}
	var nodes []placement.UUID
	if b.view.Nodes != nil {
		nodes = b.view.Nodes(host, node, cell)
	}
	switch len(nodes) {
	case 0:
		return fmt.Errorf("no such host: host %q, node %q: %w", host, node, ErrNoHost)
	case 1:
		b.group("").inTree = nodes[0]
	default: // in_tree takes one only: let no limit cut them off
		b.unlimited = true
	}
	return nil
}

// finish puts the query together.
func (b *build) finish() error {
	c := &b.q.Candidates
	c.RootRequired = slices.Sorted(maps.Keys(b.required))
	c.RootForbidden = slices.Sorted(maps.Keys(b.forbidden))
	c.SameSubtree = b.r.SameSubtree
	c.Limit = b.o.MaxPlacementResults
	for _, name := range []string{"group", "same_host", "different_host"} {
		_, has := b.r.Spec.Hints[name]
		b.unlimited = b.unlimited || has
	}
	if b.unlimited {
		c.Limit = 0
	}
	if len(b.memberOf)+len(b.notIn) > 0 {
		g := b.group("")
		g.memberOf, g.notIn = b.memberOf, b.notIn
	}
	suffixed := 0
	for _, suffix := range slices.Sorted(maps.Keys(b.groups)) {
		if suffix != "" {
			suffixed++
		}
		c.Groups = append(c.Groups, b.groups[suffix].request(suffix))
	}
	if suffixed >= 2 && b.policy == "" {
		if len(b.fromFlavor) > 1 {
			return fmt.Errorf("extra spec group_policy is missing, and the flavor has %d groups: %w", len(b.fromFlavor), ErrNoHost)
		}
		b.policy = "none"
	}
	if b.policy == "isolate" {
		c.Policy = placement.PolicyIsolate
	}
	return nil
}
