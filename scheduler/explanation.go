package scheduler

import (
	"math"
	"strings"
)

// Explanation says how the first instance of a request got its host, or
// another one found none.
type Explanation struct {
	// Placement is what capacity, traits and aggregates left of all hosts. Its
	// name is "" when placement was asked before.
	Placement FilterResult
	// Demands is what the request itself left of the hosts: ignored, forced
	// and requested ones. Its name is "" when it demands nothing.
	Demands FilterResult
	Filters []FilterResult // in the order in which they ran
	Weights []HostWeight   // of the hosts that are left, best first
}

// FilterResult is what one filter did.
type FilterResult struct {
	Name          string
	Before, After int           // hosts
	Rejected      []Rejection   // in the order of the hosts; with Reasons, the nearest misses of them, nearest first
	Reasons       []ReasonCount // of all that are rejected, most frequent first; nil: nobody counted
}

// Rejection is a host that a filter refused.
type Rejection struct {
	Host, Node string
	Reason     Reason
}

// HostWeight is the weight of a host. Package live has no host's weight depend
// on others: Normalized is there the raw score in units of the weigher's scale.
type HostWeight struct {
	Host, Node string
	Total      float64  // the sum of what is weighted, in the order of the weighers
	Weights    []Weight // by weigher, in their order; none when there was only one host
}

// Weight is what one weigher says of one host.
type Weight struct {
	Weigher    string
	Raw        float64 // not less than the weigher's floor
	Normalized float64 // from 0 to 1, or in units of a scale
	Multiplier float64 // of this host
	Weighted   float64 // Multiplier times Normalized
}

// miss is the part of what is wanted that a host lacks, infinite when the
// reason does not tell.
func (r *Reason) miss() float64 {
	if !strings.Contains(r.Why, "%h") || !strings.Contains(r.Why, "%w") {
		return math.Inf(1)
	}
	return math.Abs(r.Want-r.Have) / max(1, math.Abs(r.Want))
}

// general is the sentence without what is peculiar to a host.
func (r *Reason) general() string {
	general := *r
	general.Why = strings.NewReplacer("%h", "…", "%t", "…").Replace(r.Why)
	return general.String()
}
