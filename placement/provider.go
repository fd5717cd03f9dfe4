package placement

import "time"

// Provider is a resource provider as readers see it.
type Provider struct {
	UUID       UUID
	Name       string // unique, 1 to 200 characters
	Parent     UUID   // zero: the provider is a root
	Root       UUID   // of the provider's tree; its own UUID when it is a root
	Generation int64  // as the Placement API counts it
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// Generation is what a caller expects a provider's or consumer's generation
// to be.
type Generation int64

const (
	// AnyGeneration expects nothing: the write applies to the present state.
	AnyGeneration Generation = -1
	// NewConsumer expects that the consumer does not exist.
	NewConsumer Generation = -2
)

// ProviderUpdate changes a provider's name or place. It does not touch the
// generation, as in Placement.
type ProviderUpdate struct {
	Name   *string // nil: unchanged
	Parent *UUID   // nil: unchanged; zero UUID: becomes a root
	// AllowReparenting permits a change from one parent to another or to
	// none (Placement 1.37). Without it only a root can be given a parent.
	AllowReparenting bool
}

// ProviderFilter selects providers; every condition that is set must hold.
//
// Source: placement, objects/resource_provider.py, get_all_by_filters.
type ProviderFilter struct {
	Name                string
	UUID                UUID
	InTree              UUID       // any member of the tree
	MemberOf            [][]UUID   // every list has one of the provider's aggregates
	ForbiddenAggregates []UUID     // none of the provider's aggregates
	Required            [][]string // every list has one of the provider's traits
	Forbidden           []string   // none of the provider's traits
	Resources           []Resource // the provider alone has room for each
}

// Resource is an amount of a resource class.
type Resource struct {
	Class  string
	Amount int64 // in units of the class, at least 1
}
