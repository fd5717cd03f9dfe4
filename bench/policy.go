package bench

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"strings"

	"github.com/kilonova-cloud/kilonova/placement"
)

// Policy chooses among allocation candidates. See the package comment.
type Policy uint8

// The policies.
const (
	FirstFit Policy = iota
	BestFit
	WorstFit
	Random
	FGD
	HostAge
	Lifetime
	FGDPaper
)

// Policies returns the names of all policies.
func Policies() []string {
	return []string{"first-fit", "best-fit", "worst-fit", "random", "fgd", "host-age", "lifetime", "fgd-paper"}
}

// ParsePolicy reads the name of a policy.
func ParsePolicy(s string) (Policy, error) {
	for i, name := range Policies() {
		if s == name {
			return Policy(i), nil
		}
	}
	return 0, fmt.Errorf("policy is %q, allowed are: %s", s, strings.Join(Policies(), ", "))
}

// String returns the policy's name.
func (p Policy) String() string { return Policies()[p] }

// limit is how many candidates the policy looks at, 0 for all.
func (p Policy) limit() int {
	if p == FirstFit {
		return 1
	}
	return 0
}

// score ranks a candidate: by its node, then by its GPUs. What it is made of
// depends on the policy; only WorstFit prefers the highest.
type score struct{ node, inside int64 }

func (s score) less(t score) bool {
	return s.node < t.node || s.node == t.node && s.inside < t.inside
}

// picker takes one of a sequence of candidates.
type picker struct {
	policy Policy
	rng    *rand.Rand // for Random
	rank   func(*placement.Candidate) (score, error)
	best   score
	root   placement.UUID // the tree of the candidate before
	trees  int            // number of trees seen
	taken  []placement.Allocation
}

// pick returns the allocations of the candidate to claim, nil when there is
// none. They are valid until the next call.
func (p *picker) pick(candidates iter.Seq2[*placement.Candidate, error]) ([]placement.Allocation, error) {
	p.trees, p.taken = 0, p.taken[:0]
	for c, err := range candidates {
		if err != nil {
			return nil, fmt.Errorf("candidates: %w", err)
		}
		s, err := p.rank(c)
		if err != nil {
			return nil, err
		}
		if p.better(c, s) {
			p.best = s
			p.taken = append(p.taken[:0], c.Allocations...)
		}
		if p.policy == FirstFit {
			break
		}
	}
	if len(p.taken) == 0 {
		return nil, nil
	}
	return p.taken, nil
}

// better reports whether c, with score s, is to be preferred to p.taken.
func (p *picker) better(c *placement.Candidate, s score) bool {
	newTree := p.trees == 0 || c.Root != p.root
	if newTree {
		p.root = c.Root
		p.trees++
	}
	if len(p.taken) == 0 {
		return true
	}
	switch p.policy {
	case BestFit, FGD, FGDPaper, HostAge, Lifetime:
		return s.less(p.best)
	case WorstFit:
		return p.best.less(s)
	case Random:
		return newTree && p.rng.IntN(p.trees) == 0
	default:
		return false
	}
}
