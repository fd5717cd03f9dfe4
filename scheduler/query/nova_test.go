package query

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// novaCase is a request, and what Nova asks placement for it.
type novaCase struct {
	Options map[string]any
	Spec    struct {
		VCPUs       int64             `json:"vcpus"`
		MemoryMB    int64             `json:"memory_mb"`
		RootGB      int64             `json:"root_gb"`
		EphemeralGB int64             `json:"ephemeral_gb"`
		Swap        int64             `json:"swap"`
		ExtraSpecs  map[string]string `json:"extra_specs"`
		Image       map[string]string
		DiskFormat  string `json:"disk_format"`
		BFV         bool
		Project     string
		AZ          string
		Hints       map[string][]string
		Aggregates  []struct {
			UUID     string
			Metadata map[string]string
		}
		Outside, PCI []novaGroup
		Nodes        []string
		Owned        bool
		Remote       bool
		ForceHost    string  `json:"force_host"`
		ForceNode    string  `json:"force_node"`
		DestHost     *string `json:"dest_host"`
		DestNode     string  `json:"dest_node"`
	}
	// Want is "raise", "no host", or one or two lists of parameters.
	Want json.RawMessage
}

type novaGroup struct {
	Suffix    string
	Resources map[string]int64
	Required  []string
}

func requestGroups(list []novaGroup) []placement.RequestGroup {
	var out []placement.RequestGroup
	for _, g := range list {
		r := placement.RequestGroup{Suffix: g.Suffix}
		for class, amount := range g.Resources {
			r.Resources = append(r.Resources, placement.Resource{Class: class, Amount: amount})
		}
		for _, trait := range g.Required {
			r.Required = append(r.Required, []string{trait})
		}
		out = append(out, r)
	}
	return out
}

func (c *novaCase) request() *Request {
	s := &c.Spec
	spec := &scheduler.RequestSpec{
		Flavor: scheduler.Flavor{
			VCPUs: s.VCPUs, MemoryMiB: s.MemoryMB, RootGiB: s.RootGB, EphemeralGB: s.EphemeralGB, SwapMiB: s.Swap, ExtraSpecs: s.ExtraSpecs,
		},
		Image:        &scheduler.Image{Properties: s.Image, DiskFormat: s.DiskFormat},
		VolumeBacked: s.BFV, ProjectID: s.Project, AvailabilityZone: s.AZ, Hints: s.Hints,
	}
	if s.ForceHost != "" {
		spec.ForceHosts = []string{s.ForceHost}
	}
	if s.ForceNode != "" {
		spec.ForceNodes = []string{s.ForceNode}
	}
	if s.DestHost != nil || s.DestNode != "" {
		spec.Destination = &scheduler.Destination{Host: s.DestHost, Node: s.DestNode}
	}
	return &Request{Spec: spec, Groups: requestGroups(s.Outside), PCIGroups: requestGroups(s.PCI), RemoteManagedPorts: s.Remote}
}

func (c *novaCase) view() *View {
	v := &View{Owned: c.Spec.Owned, Nodes: func(string, string, string) []placement.UUID {
		var list []placement.UUID
		for _, u := range c.Spec.Nodes {
			list = append(list, placement.MustUUID(u))
		}
		return list
	}}
	for _, a := range c.Spec.Aggregates {
		v.Aggregates = append(v.Aggregates, scheduler.Aggregate{UUID: a.UUID, Metadata: a.Metadata})
	}
	return v
}

// parameters returns a query as GET /allocation_candidates takes it, sorted.
func parameters(c *placement.CandidateRequest) [][2]string {
	var list [][2]string
	add := func(key, value string) {
		if value != "" {
			list = append(list, [2]string{key, value})
		}
	}
	if c.Limit > 0 {
		add("limit", strconv.Itoa(c.Limit))
	}
	if c.Policy == placement.PolicyIsolate {
		add("group_policy", "isolate")
	}
	add("root_required", traits(c.RootRequired, c.RootForbidden))
	for _, suffixes := range c.SameSubtree {
		add("same_subtree", strings.Join(slices.Sorted(slices.Values(suffixes)), ","))
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		var amounts, required []string
		for _, r := range g.Resources {
			amounts = append(amounts, r.Class+":"+strconv.FormatInt(r.Amount, 10))
		}
		sort.Strings(amounts)
		list = append(list, [2]string{"resources" + g.Suffix, strings.Join(amounts, ",")})
		for _, any := range g.Required {
			required = append(required, strings.Join(any, "|"))
		}
		add("required"+g.Suffix, traits(required, g.Forbidden))
		for _, any := range g.MemberOf {
			add("member_of"+g.Suffix, "in:"+uuids(any))
		}
		if len(g.ForbiddenAggregates) > 0 {
			add("member_of"+g.Suffix, "!in:"+uuids(g.ForbiddenAggregates))
		}
		if !g.InTree.IsZero() {
			add("in_tree"+g.Suffix, g.InTree.String())
		}
	}
	slices.SortFunc(list, func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
	return list
}

func traits(required, forbidden []string) string {
	list := slices.Sorted(slices.Values(required))
	for _, trait := range slices.Sorted(slices.Values(forbidden)) {
		list = append(list, "!"+trait)
	}
	return strings.Join(list, ",")
}

func uuids(list []placement.UUID) string {
	var texts []string
	for _, u := range list {
		texts = append(texts, u.String())
	}
	sort.Strings(texts)
	return strings.Join(texts, ",")
}

// TestNova makes queries of requests that a program chose at random. The table
// was made with Nova at 00a0304 of 2026-08-21: process_reqspec, then
// resources_from_request_spec, over aggregates in memory; to_querystring,
// without group_policy=none. A second list is the fallback for pinned CPUs.
// "no host" is RequestFilterFailed, NoValidHost, or two groups without a
// policy, which Placement refuses; "raise" any other exception.
func TestNova(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/nova.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []*novaCase
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 200 {
		t.Errorf("%d cases", len(cases))
	}
	for _, c := range cases {
		values, err := oslocfg.FromMap(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		b := New(scheduler.ReadOptions(values))
		r := c.request()
		got, err := b.answer(c.view(), r)
		if string(c.Want) != got || (err == nil) != (c.Want[0] == '[') {
			in, _ := json.Marshal(c)
			t.Errorf("got  %s, %v\nwant %s\n%s", got, err, c.Want, in)
		}
	}
}

// answer is what Want holds.
func (b *Builder) answer(v *View, r *Request) (string, error) {
	q, err := b.Build(v, r)
	switch {
	case errors.Is(err, ErrNoHost):
		return `"no host"`, err
	case errors.Is(err, scheduler.ErrCannotEvaluate):
		return `"raise"`, err
	case err != nil:
		return err.Error(), err
	}
	answers := [][][2]string{parameters(&q.Candidates)}
	if q.Pinned {
		r.Shared = true
		q, err := b.Build(v, r)
		if err != nil {
			return err.Error(), err
		}
		answers = append(answers, parameters(&q.Candidates))
	}
	text, err := json.Marshal(answers)
	return strings.ReplaceAll(string(text), `\u0026`, "&"), err
}
