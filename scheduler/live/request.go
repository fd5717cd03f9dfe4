package live

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Request asks for a host for each instance of a spec.
type Request struct {
	// ID is what [Config.Reports] keeps the report under; "": the UUID of the
	// first instance.
	ID string
	// Spec is what is asked for. Its project and user own the claim.
	Spec *scheduler.RequestSpec
	// Where is what each instance holds of resources, with the traits and
	// aggregates that it needs. Anchor, Limit and Order are set by the
	// scheduler.
	Where placement.CandidateRequest
	// Existing says that the instances hold allocations already, which the
	// claim replaces; else they must not.
	Existing bool
	// Also is written in the same act, such as what a migration takes over.
	Also []placement.ConsumerAllocations
	// Guards must hold when the claim takes effect: one that moved makes
	// Schedule return [ErrFenced]. [TakeOver] makes one that stops an owner of
	// the request who was thought dead.
	Guards []placement.Guard
	// Alternates is how many further hosts of the same cell to name.
	Alternates int
	// Why is filled in if it is not nil: how the first instance got its host,
	// or why another got none. It takes a look at every host.
	Why *scheduler.Explanation
}

// Selection is the host of one instance.
type Selection struct {
	Instance    string // UUID
	Host        string
	Node        string
	Cell        string // UUID
	UUID        placement.UUID
	Allocations []placement.Allocation // what the instance holds now
	Pins        []byte                 // what the [Pinner] gave it, nil: nothing
	Alternates  []Alternate            // the same for all instances of a cell
}

// Alternate is a host that would have done, on which nothing is claimed.
type Alternate struct {
	Host, Node string
	UUID       placement.UUID
}

// Where returns the resources of a flavor as placement counts them: VCPU,
// MEMORY_MB, DISK_GB. Extra specs are not looked at.
//
// Root, ephemeral and swap make the disk, swap rounded up to GiB.
//
// Source: nova, scheduler/utils.py, ResourceRequest.
func Where(f *scheduler.Flavor) placement.CandidateRequest {
	var g placement.RequestGroup
	for _, r := range []placement.Resource{
		{Class: "VCPU", Amount: f.VCPUs},
		{Class: "MEMORY_MB", Amount: f.MemoryMiB},
		{Class: "DISK_GB", Amount: f.RootGiB + f.EphemeralGB + (f.SwapMiB+1023)/1024},
	} {
		if r.Amount > 0 {
			g.Resources = append(g.Resources, r)
		}
	}
	return placement.CandidateRequest{Groups: []placement.RequestGroup{g}}
}

// instances appends the UUIDs of the instances to list.
func (r *Request) instances(list []placement.UUID) ([]placement.UUID, error) {
	if len(r.Spec.Instances) == 0 {
		return nil, &placement.InputError{Field: "Spec.Instances", Value: "[]", Allowed: "one or more instances"}
	}
	for k, text := range r.Spec.Instances {
		uuid, err := placement.ParseUUID(text)
		if err != nil {
			return nil, fmt.Errorf("instance %d: %w", k, err)
		}
		list = append(list, uuid)
	}
	return list, nil
}
