package placementapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

func randomUUID(rng *rand.Rand, kinds int) (u placement.UUID) {
	r := rand.New(rand.NewPCG(rng.Uint64N(uint64(kinds)), 0))
	for i := range u {
		u[i] = byte(r.Uint32())
	}
	return u
}

func TestAppendUUID(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		u := randomUUID(rng, 1<<30)
		if got, want := string(appendUUID([]byte("x"), &u)), `x"`+u.String()+`"`; got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	}
}

func TestProviderSet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	var s providerSet
	for round := range 20 {
		s.reset()
		known := map[placement.UUID]bool{}
		var want []placement.UUID
		for range rng.IntN(3000) {
			u := randomUUID(rng, 1+round*100)
			if s.has(&u) != known[u] {
				t.Fatalf("round %d: has %v, want %v", round, s.has(&u), known[u])
			}
			if s.add(&u); !known[u] {
				known[u], want = true, append(want, u)
			}
		}
		if !slices.Equal(s.list, want) {
			t.Fatalf("round %d: %d providers, want %d in the order in which they came", round, len(s.list), len(want))
		}
	}
}

// TestCandidateText writes candidates of changing shapes, and compares with
// what the standard library makes of the same.
func TestCandidateText(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var text candidateText
	for n := range 5000 {
		if n%500 == 0 {
			text.forget()
			text.dict, text.mappings = n%1000 == 0, n < 3000
		}
		cand := randomCandidate(rng)
		got := text.append(nil, cand)
		var value any
		if err := json.Unmarshal(got, &value); err != nil {
			t.Fatalf("%v: %s", err, got)
		}
		canonical, _ := json.Marshal(value)
		want, _ := json.Marshal(plainCandidate(cand, text.dict, text.mappings))
		if string(canonical) != string(want) {
			t.Fatalf("candidate %d: got %s, want %s", n, canonical, want)
		}
	}
}

// randomCandidate is often of the same shape as the one before.
func randomCandidate(rng *rand.Rand) *placement.Candidate {
	c := &placement.Candidate{}
	for range 1 + rng.IntN(3) {
		a := placement.Allocation{Provider: randomUUID(rng, 4), Class: fmt.Sprint("CUSTOM_", rng.IntN(3)), Amount: rng.Int64N(2)}
		if !slices.ContainsFunc(c.Allocations, func(o placement.Allocation) bool { return o.Provider == a.Provider && o.Class == a.Class }) {
			c.Allocations = append(c.Allocations, a)
		}
	}
	for k := range 1 + rng.IntN(2) {
		m := placement.Mapping{Suffix: []string{"", "_A\"", "_B"}[k+rng.IntN(2)]}
		if k == 1 && m.Suffix == c.Mappings[0].Suffix {
			break
		}
		for range 1 + rng.IntN(2) {
			m.Providers = append(m.Providers, randomUUID(rng, 4))
		}
		c.Mappings = append(c.Mappings, m)
	}
	return c
}

// plainCandidate is an allocation request as a document.
func plainCandidate(c *placement.Candidate, dict, mappings bool) map[string]any {
	byProvider := map[string]any{}
	var list []any
	for i := range c.Allocations {
		u := c.Allocations[i].Provider.String()
		if byProvider[u] != nil {
			continue
		}
		resources := map[string]int64{}
		for _, a := range c.Allocations {
			if a.Provider.String() == u {
				resources[a.Class] = a.Amount
			}
		}
		byProvider[u] = map[string]any{"resources": resources}
		list = append(list, map[string]any{"resource_provider": map[string]string{"uuid": u}, "resources": resources})
	}
	out := map[string]any{"allocations": list}
	if dict {
		out["allocations"] = byProvider
	}
	if mappings {
		m := map[string][]string{}
		for i := range c.Mappings {
			for k := range c.Mappings[i].Providers {
				m[c.Mappings[i].Suffix] = append(m[c.Mappings[i].Suffix], c.Mappings[i].Providers[k].String())
			}
		}
		out["mappings"] = m
	}
	return out
}
