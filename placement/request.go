package placement

// RequestGroup is one group of a request for candidates.
//
// The group with an empty suffix may spread its classes over the members of a
// tree and sharing providers; together they have the required traits. A group
// with a suffix takes all its resources from one provider.
type RequestGroup struct {
	Suffix              string
	Resources           []Resource // a class at most once; empty only for a suffix named in SameSubtree
	Required            [][]string // traits: every list has at least one
	Forbidden           []string   // traits that no provider used may have
	MemberOf            [][]UUID   // aggregates: every list has at least one
	ForbiddenAggregates []UUID
	InTree              UUID // any member of the one tree to look in
}

// GroupPolicy says whether groups with a suffix may share a provider.
type GroupPolicy uint8

const (
	// PolicyNone lets groups share a provider.
	PolicyNone GroupPolicy = iota
	// PolicyIsolate gives each group with a suffix a provider of its own.
	PolicyIsolate
)

// Order is the order of candidates over trees.
type Order uint8

const (
	// DepthFirst yields all candidates of a tree before the next tree.
	DepthFirst Order = iota
	// BreadthFirst yields one candidate of each tree in turn.
	BreadthFirst
)

// CandidateRequest is what GET /allocation_candidates asks.
//
// Source: placement, lib.py, RequestGroup and RequestWideParams (1.39).
type CandidateRequest struct {
	Groups        []RequestGroup
	Policy        GroupPolicy
	RootRequired  []string   // traits that the anchor root has
	RootForbidden []string   // traits that the anchor root lacks
	SameSubtree   [][]string // suffixes whose providers lie under one of them
	// Anchor, when not zero, is the root of the only tree to look at, with the
	// sharing providers that serve it. The API cannot ask this.
	Anchor UUID
	Limit  int // candidates at most; 0: all
	Order  Order
	// Random starts at a place drawn from Seed instead of the first tree.
	Random bool
	Seed   uint64
	// Representative yields one candidate per class of interchangeable
	// siblings: enough to decide, and never more than there are kinds.
	Representative bool
	// SingleProvider drops candidates that use two providers of one tree,
	// which microversions below 1.29 cannot express.
	SingleProvider bool
}

// Candidate is one way to satisfy a request.
type Candidate struct {
	Root        UUID         // the anchor: root of the tree that the candidate belongs to
	Allocations []Allocation // a provider and class at most once; groups summed up
	Mappings    []Mapping    // one per group, in the order of the request
}

// Mapping says which providers satisfy a group. A group with a suffix has
// exactly one.
type Mapping struct {
	Suffix    string
	Providers []UUID
}

// ProviderSummary describes one provider of a tree that candidates use.
type ProviderSummary struct {
	Provider  Provider
	Resources []ResourceSummary // ordered by class number
	Traits    []string          // ordered by trait number
}

// ResourceSummary is the state of one inventory.
type ResourceSummary struct {
	Class    string
	Capacity int64
	Used     int64
	MaxUnit  int64
}
