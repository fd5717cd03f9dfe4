package placementapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
)

const (
	chunk        = 64 << 10        // bytes of an answer that are kept back
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
	a := newCandidateAnswer(c)
	c.out = append(c.out, `{"allocation_requests": [`...)
	n := 0
	ctx, cancel := context.WithTimeout(c.r.Context(), searchTimeout)
	defer cancel()
	for cand, err := range c.s.engine.Candidates(ctx, req) {
		if err != nil {
			return a.cut(candidatesError(err))
		}
		a.candidate(cand, n)
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
	*candidateScratch
	c     *call
	begun bool // the header is out
}

// candidateScratch is what answers use one after the other.
type candidateScratch struct {
	used  providerSet
	text  candidateText
	kinds [8]summaryText // by position in a tree
}

func newCandidateAnswer(c *call) candidateAnswer {
	if c.candidates == nil {
		c.candidates = new(candidateScratch)
	}
	c.candidates.used.reset()
	c.candidates.text.dict, c.candidates.text.mappings = c.at(12), c.at(34)
	return candidateAnswer{candidateScratch: c.candidates, c: c}
}

// release forgets the request and reports whether so much memory was needed
// that it is not to be kept.
func (s *candidateScratch) release() (drop bool) {
	s.text.forget()
	n := 16*cap(s.used.list) + 4*cap(s.used.slots) + cap(s.text.text)
	for i := range s.kinds {
		n += cap(s.kinds[i].list)
	}
	return n > 4*keepBuffer
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

// candidate appends allocation request number n.
func (a *candidateAnswer) candidate(cand *placement.Candidate, n int) {
	for i := range cand.Allocations {
		a.used.add(&cand.Allocations[i].Provider)
	}
	a.c.out = a.text.append(separate(a.c.out, n), cand)
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
	n, position := 0, 0
	for s := range a.c.s.engine.EachSummary(a.used.list) {
		position++
		if s.Provider.Parent.IsZero() {
			position = 0
		}
		if !a.c.at(29) && !a.used.has(&s.Provider.UUID) {
			continue
		}
		a.c.out = a.c.appendSummary(separate(a.c.out, n), s, &a.kinds[position%len(a.kinds)], asked)
		n++
		if !a.flush() {
			return false
		}
	}
	return true
}

func (c *call) appendSummary(b []byte, s *placement.ProviderSummary, text *summaryText, asked []string) []byte {
	b = appendUUID(b, &s.Provider.UUID)
	b = append(b, `: {"resources": {`...)
	b = append(text.appendResources(b, s, asked), '}')
	if c.at(17) {
		b = text.appendTraits(append(b, `, "traits": `...), s)
	}
	if c.at(29) {
		b = appendParent(append(b, `, "parent_provider_uuid": `...), &s.Provider.Parent)
		b = appendUUID(append(b, `, "root_provider_uuid": `...), &s.Provider.Root)
	}
	return append(b, '}')
}
