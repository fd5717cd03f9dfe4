package placementclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
)

// candidateBody is one allocation request as the API has it.
type candidateBody struct {
	Allocations map[placement.UUID]resourcesBody `json:"allocations"`
	Mappings    map[string][]placement.UUID      `json:"mappings"`
}

// Candidates yields the ways to satisfy req; the answer is read whole before
// the first. Root is not known to the API and stays zero. Order, Random, Representative and SingleProvider
// are the server's affair and are not sent.
func (c *Client) Candidates(ctx context.Context, req placement.CandidateRequest) iter.Seq2[*placement.Candidate, error] {
	return func(yield func(*placement.Candidate, error) bool) {
		if err := c.candidates(ctx, &req, func(cand *placement.Candidate) bool { return yield(cand, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

// errEnough: the caller wants no more.
var errEnough = errors.New("enough")

func (c *Client) candidates(ctx context.Context, req *placement.CandidateRequest, yield func(*placement.Candidate) bool) error {
	answer := candidateReader{req: req, yield: yield}
	err := c.do(ctx, exchange{method: http.MethodGet, path: "/allocation_candidates?" + candidateQuery(req), answer: &answer})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func candidateQuery(req *placement.CandidateRequest) string {
	q := url.Values{}
	suffixed := 0
	for i := range req.Groups {
		addGroup(q, &req.Groups[i])
		if req.Groups[i].Suffix != "" {
			suffixed++
		}
	}
	switch {
	case req.Policy == placement.PolicyIsolate:
		q.Set("group_policy", "isolate")
	case suffixed > 1:
		q.Set("group_policy", "none")
	}
	root := append([]string{}, req.RootRequired...)
	for _, trait := range req.RootForbidden {
		root = append(root, "!"+trait)
	}
	if len(root) > 0 {
		q.Set("root_required", strings.Join(root, ","))
	}
	for _, suffixes := range req.SameSubtree {
		q.Add("same_subtree", strings.Join(suffixes, ","))
	}
	if req.Limit > 0 {
		q.Set("limit", strconv.Itoa(req.Limit))
	}
	return q.Encode()
}

// candidateReader reads an answer's list of candidates.
type candidateReader struct {
	req   *placement.CandidateRequest
	yield func(*placement.Candidate) bool
}

// UnmarshalJSON yields the candidates of an answer.
func (r *candidateReader) UnmarshalJSON(text []byte) error {
	var body struct {
		Requests []candidateBody `json:"allocation_requests"`
	}
	if err := json.Unmarshal(text, &body); err != nil {
		return fmt.Errorf("allocation candidates: %w", err)
	}
	for i := range body.Requests {
		if !r.yield(r.candidate(&body.Requests[i])) {
			return errEnough
		}
	}
	return nil
}

func (r *candidateReader) candidate(b *candidateBody) *placement.Candidate {
	cand := new(placement.Candidate)
	for provider, given := range b.Allocations {
		for class, amount := range given.Resources {
			cand.Allocations = append(cand.Allocations, placement.Allocation{Provider: provider, Class: class, Amount: amount})
		}
	}
	for i := range r.req.Groups {
		suffix := r.req.Groups[i].Suffix
		cand.Mappings = append(cand.Mappings, placement.Mapping{Suffix: suffix, Providers: b.Mappings[suffix]})
	}
	return cand
}
