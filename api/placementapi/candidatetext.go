package placementapi

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

// candidateText writes allocation requests. Those of one answer mostly differ
// in their providers alone, so the text between the providers is kept from one
// to the next.
type candidateText struct {
	dict, mappings bool // as the microversion has it
	allocations    []allocationShape
	groups         []groupShape
	text           []byte // without the providers
	places         []place
}

// allocationShape is an allocation of which provider is not said, but which
// allocation is the first of the same provider.
type allocationShape struct {
	class  string
	amount int64
	first  int
}

// groupShape is a mapping without its providers.
type groupShape struct {
	suffix    string
	providers int
}

// place says before which byte of the text which provider stands: that of an
// allocation, or when mapping is not negative, provider n of a mapping.
type place struct {
	at         int
	mapping, n int
}

// forget lets go of the request's strings.
func (t *candidateText) forget() {
	clear(t.allocations)
	clear(t.groups)
	t.text = t.text[:0]
}

// append appends one allocation request.
func (t *candidateText) append(b []byte, cand *placement.Candidate) []byte {
	if !t.fits(cand) {
		t.learn(cand)
	}
	from := 0
	for i := range t.places {
		p := &t.places[i]
		b = append(b, t.text[from:p.at]...)
		from = p.at
		if p.mapping < 0 {
			b = appendUUID(b, &cand.Allocations[p.n].Provider)
		} else {
			b = appendUUID(b, &cand.Mappings[p.mapping].Providers[p.n])
		}
	}
	return append(b, t.text[from:]...)
}

// fits reports whether the text is that of cand, the providers aside.
func (t *candidateText) fits(cand *placement.Candidate) bool {
	if len(t.text) == 0 || len(cand.Allocations) != len(t.allocations) || t.mappings && len(cand.Mappings) != len(t.groups) {
		return false
	}
	for i := range cand.Allocations {
		a, s := &cand.Allocations[i], &t.allocations[i]
		if a.Amount != s.amount || a.Class != s.class || firstOf(cand, i) != s.first {
			return false
		}
	}
	for i := range t.groups {
		if m := &cand.Mappings[i]; len(m.Providers) != t.groups[i].providers || m.Suffix != t.groups[i].suffix {
			return false
		}
	}
	return true
}

// firstOf returns the first allocation with the provider of allocation i.
func firstOf(cand *placement.Candidate, i int) int {
	for k := range i {
		if cand.Allocations[k].Provider == cand.Allocations[i].Provider {
			return k
		}
	}
	return i
}

// learn makes the text of a candidate.
func (t *candidateText) learn(cand *placement.Candidate) {
	t.text, t.places, t.allocations, t.groups = t.text[:0], t.places[:0], t.allocations[:0], t.groups[:0]
	for i := range cand.Allocations {
		a := &cand.Allocations[i]
		t.allocations = append(t.allocations, allocationShape{a.Class, a.Amount, firstOf(cand, i)})
	}
	t.add(`{"allocations": ` + either(t.dict, "{", "["))
	n := 0
	for i := range t.allocations {
		if t.allocations[i].first != i {
			continue // was written with the first of its provider
		}
		t.text = separate(t.text, n)
		n++
		if t.dict {
			t.put(-1, i)
			t.add(`: {"resources": `)
		} else {
			t.add(`{"resource_provider": {"uuid": `)
			t.put(-1, i)
			t.add(`}, "resources": `)
		}
		t.resources(i)
		t.add("}")
	}
	t.add(either(t.dict, "}", "]"))
	if t.mappings {
		t.learnMappings(cand.Mappings)
	}
	t.add("}")
}

func (t *candidateText) learnMappings(mappings []placement.Mapping) {
	t.add(`, "mappings": {`)
	for i := range mappings {
		m := &mappings[i]
		t.groups = append(t.groups, groupShape{m.Suffix, len(m.Providers)})
		t.text = appendString(separate(t.text, i), m.Suffix)
		t.add(": [")
		for k := range m.Providers {
			t.text = separate(t.text, k)
			t.put(i, k)
		}
		t.add("]")
	}
	t.add("}")
}

// resources adds what the provider of allocation first gives.
func (t *candidateText) resources(first int) {
	t.add("{")
	n := 0
	for i := range t.allocations {
		s := &t.allocations[i]
		if s.first != first {
			continue
		}
		t.text = appendString(separate(t.text, n), s.class)
		t.add(": ")
		t.text = appendInt(t.text, s.amount)
		n++
	}
	t.add("}")
}

func (t *candidateText) add(s string) { t.text = append(t.text, s...) }

func (t *candidateText) put(mapping, n int) {
	t.places = append(t.places, place{len(t.text), mapping, n})
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// summaryText writes provider summaries. Trees of one kind follow each other,
// so the texts of inventories and traits are kept for the next provider at
// the same position of a tree.
type summaryText struct {
	resources []resourceText
	traits    []string
	list      []byte // traits as JSON
}

// resourceText is what stands before the usage of an inventory.
type resourceText struct {
	class    string
	capacity int64
	text     []byte
}

// appendResources appends the inventories of s; asked are the classes that
// are wanted, nil: all.
func (t *summaryText) appendResources(b []byte, s *placement.ProviderSummary, asked []string) []byte {
	n := 0
	for i := range s.Resources {
		r := &s.Resources[i]
		if asked != nil && !slices.Contains(asked, r.Class) {
			continue
		}
		if n == len(t.resources) {
			t.resources = append(t.resources, resourceText{})
		}
		k := &t.resources[n]
		if len(k.text) == 0 || k.capacity != r.Capacity || k.class != r.Class {
			k.class, k.capacity = r.Class, r.Capacity
			k.text = append(appendString(separate(k.text[:0], n), r.Class), `: {"capacity": `...)
			k.text = append(appendInt(k.text, r.Capacity), `, "used": `...)
		}
		b = append(b, k.text...)
		b = append(appendInt(b, r.Used), '}')
		n++
	}
	return b
}

func (t *summaryText) appendTraits(b []byte, s *placement.ProviderSummary) []byte {
	if len(t.list) == 0 || !slices.Equal(t.traits, s.Traits) {
		t.traits = append(t.traits[:0], s.Traits...)
		t.list = appendStrings(t.list[:0], s.Traits)
	}
	return append(b, t.list...)
}
