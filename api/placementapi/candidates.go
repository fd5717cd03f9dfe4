package placementapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
)

const (
	chunk        = 32 << 10        // bytes of an answer that are kept back
	writeTimeout = 2 * time.Minute // for a client to take one chunk
	// searchTimeout bounds a search that finds little in a large world.
	searchTimeout = 4 * time.Minute
)

// listCandidates is GET /allocation_candidates. A short answer is sent whole,
// a long one in chunks as it is found.
//
// Source: placement, handlers/allocation_candidate.py.
func (c *call) listCandidates() error {
	if err := c.checkQuery(pick(schemasQuery, c.version.Minor)); err != nil {
		return err
	}
	req, err := c.candidateRequest()
	if err != nil {
		return err
	}
	c.configure(&req)
	a := candidateAnswer{c: c, used: map[placement.UUID]struct{}{}}
	c.out = append(c.out, `{"allocation_requests": [`...)
	n := 0
	ctx, cancel := context.WithTimeout(c.r.Context(), searchTimeout)
	defer cancel()
	for cand, err := range c.s.engine.Candidates(ctx, req) {
		if err != nil {
			return a.cut(candidatesError(err))
		}
		c.out = separate(c.out, n)
		a.candidate(cand)
		n++
		if !a.flush() {
			return nil
		}
	}
	c.out = append(c.out, `], "provider_summaries": {`...)
	if !a.summaries(&req) {
		return nil
	}
	c.out = append(c.out, "}}"...)
	if a.begun {
		_, err := c.Write(c.out)
		return c.broken(err)
	}
	a.header()
	return c.send(http.StatusOK)
}

// configure applies the operator's options.
func (c *call) configure(req *placement.CandidateRequest) {
	cfg := &c.s.cfg
	if most := cfg.MaxCandidates; most > 0 && (req.Limit == 0 || req.Limit > most) {
		req.Limit = most
	}
	if cfg.BreadthFirst {
		req.Order = placement.BreadthFirst
	}
	if cfg.Randomize {
		req.Random, req.Seed = true, rand.Uint64() //nolint:forbidigo // spreading load is the point, no test repeats it
	}
}

func candidatesError(err error) error {
	in := input(err)
	switch {
	case in == nil:
		return err
	case strings.HasPrefix(in.Field, "resources") && in.Value != "" && in.Allowed == "an existing resource class":
		return bad("Invalid resource class in resources parameter: " + noClass(in.Value))
	case strings.Contains(in.Field, "required"):
		return bad(noTrait(in.Value))
	default:
		return bad(err.Error())
	}
}

// candidateAnswer is one answer under construction.
type candidateAnswer struct {
	c     *call
	begun bool // the header is out
	used  map[placement.UUID]struct{}
}

func (a *candidateAnswer) header() {
	if a.c.at(15) {
		a.c.fresh(a.c.now)
	}
}

// flush sends what is ready once that is much. It returns false when the
// client is gone.
func (a *candidateAnswer) flush() bool {
	if len(a.c.out) < chunk {
		return true
	}
	c := a.c
	if !a.begun {
		a.begun = true
		a.header()
		c.varies()
		c.Header()["Content-Type"] = jsonType
		c.WriteHeader(http.StatusOK)
	}
	_ = http.NewResponseController(c).SetWriteDeadline(c.s.cfg.Now().Add(writeTimeout)) // not every server has deadlines
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	_ = c.broken(err)
	return err == nil
}

// cut ends an answer that cannot be finished. Once its header is out, the
// only way to say so is to end the connection.
func (a *candidateAnswer) cut(err error) error {
	if a.begun {
		panic(http.ErrAbortHandler) //nolint:forbidigo // net/http's way to end the connection
	}
	a.c.out = a.c.out[:0]
	return err
}

// use notes a provider, whose tree the summaries will describe.
func (a *candidateAnswer) use(u *placement.UUID) {
	list := a.c.providers
	if n := len(list); n > 0 && list[n-1] == *u {
		return
	}
	if _, known := a.used[*u]; known {
		return
	}
	a.used[*u] = struct{}{}
	a.c.providers = append(list, *u)
}

// candidate appends one allocation request.
func (a *candidateAnswer) candidate(cand *placement.Candidate) {
	b := a.c.out
	dict := a.c.at(12)
	if dict {
		b = append(b, `{"allocations": {`...)
	} else {
		b = append(b, `{"allocations": [`...)
	}
	first := true
	for i := range cand.Allocations {
		provider := &cand.Allocations[i].Provider
		if slices.ContainsFunc(cand.Allocations[:i], func(o placement.Allocation) bool { return o.Provider == *provider }) {
			continue // was appended with the first of its classes
		}
		if !first {
			b = append(b, ", "...)
		}
		first = false
		a.use(provider)
		if dict {
			b = appendUUID(b, provider)
			b = append(b, `: {"resources": `...)
		} else {
			b = appendUUID(append(b, `{"resource_provider": {"uuid": `...), provider)
			b = append(b, `}, "resources": `...)
		}
		b = append(appendResources(b, cand.Allocations[i:]), '}')
	}
	if dict {
		b = append(b, '}')
	} else {
		b = append(b, ']')
	}
	if a.c.at(34) {
		b = appendMappings(b, cand.Mappings)
	}
	a.c.out = append(b, '}')
}

// appendResources appends what the provider of the first allocation gives.
func appendResources(b []byte, list []placement.Allocation) []byte {
	b = append(b, '{')
	for i := range list {
		if list[i].Provider != list[0].Provider {
			continue
		}
		b = appendString(separate(b, i), list[i].Class)
		b = append(b, ": "...)
		b = appendInt(b, list[i].Amount)
	}
	return append(b, '}')
}

func appendMappings(b []byte, mappings []placement.Mapping) []byte {
	b = append(b, `, "mappings": {`...)
	for i := range mappings {
		b = appendString(separate(b, i), mappings[i].Suffix)
		b = append(b, ": ["...)
		for k := range mappings[i].Providers {
			b = appendUUID(separate(b, k), &mappings[i].Providers[k])
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// summaries appends a summary of every provider of the trees that are used;
// before 1.29 of the providers that are used. It returns false when the
// client is gone.
func (a *candidateAnswer) summaries(req *placement.CandidateRequest) bool {
	var asked []string // classes; nil: all
	if !a.c.at(27) {
		asked = []string{}
		for i := range req.Groups {
			for _, r := range req.Groups[i].Resources {
				asked = append(asked, r.Class)
			}
		}
	}
	n := 0
	for s := range a.c.s.engine.EachSummary(a.c.providers) {
		if !a.c.at(29) {
			if _, used := a.used[s.Provider.UUID]; !used {
				continue
			}
		}
		a.c.out = a.c.appendSummary(separate(a.c.out, n), s, asked)
		n++
		if !a.flush() {
			return false
		}
	}
	return true
}

func (c *call) appendSummary(b []byte, s *placement.ProviderSummary, asked []string) []byte {
	b = appendUUID(b, &s.Provider.UUID)
	b = append(b, `: {"resources": {`...)
	n := 0
	for i := range s.Resources {
		r := &s.Resources[i]
		if asked != nil && !slices.Contains(asked, r.Class) {
			continue
		}
		b = appendString(separate(b, n), r.Class)
		n++
		b = append(b, `: {"capacity": `...)
		b = appendInt(b, r.Capacity)
		b = append(b, `, "used": `...)
		b = append(appendInt(b, r.Used), '}')
	}
	b = append(b, '}')
	if c.at(17) {
		b = appendStrings(append(b, `, "traits": `...), s.Traits)
	}
	if c.at(29) {
		b = appendParent(append(b, `, "parent_provider_uuid": `...), &s.Provider.Parent)
		b = appendUUID(append(b, `, "root_provider_uuid": `...), &s.Provider.Root)
	}
	return append(b, '}')
}
