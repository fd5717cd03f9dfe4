package placement_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

var ctx = context.Background()

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func newExample() *placement.Engine {
	engine, err := placement.Open(ctx, placement.Config{})
	check(err)
	return engine
}

// addProvider makes a provider with units of one class. Its UUID ends in n.
func addProvider(engine *placement.Engine, n int, parent placement.UUID, class string, units int64) placement.UUID {
	uuid := id(0, n)
	_, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid, Name: fmt.Sprint("provider", n), Parent: parent})
	check(err)
	inv := map[string]placement.Inventory{class: placement.NewInventory(units)}
	_, err = engine.SetInventories(ctx, uuid, inv, placement.AnyGeneration)
	check(err)
	return uuid
}

func server(n int, allocations ...placement.Allocation) placement.ConsumerAllocations {
	return placement.ConsumerAllocations{
		Consumer: id('s', n), Project: "demo", User: "ann", Generation: placement.NewConsumer, Allocations: allocations,
	}
}

// nameOf is what examples print of a provider.
func nameOf(engine *placement.Engine, uuid placement.UUID) string {
	p, err := engine.Provider(uuid)
	check(err)
	return p.Name
}

// One host, one claim.
func Example() {
	engine := newExample()
	host := addProvider(engine, 1, placement.UUID{}, "VCPU", 4)
	request := placement.CandidateRequest{
		Groups: []placement.RequestGroup{{Resources: []placement.Resource{{Class: "VCPU", Amount: 3}}}}, Limit: 1,
	}
	for candidate, err := range engine.Candidates(ctx, request) {
		check(err)
		check(engine.SetAllocations(ctx, placement.AllocationWrite{
			Consumers: []placement.ConsumerAllocations{server(1, candidate.Allocations...)},
		}))
	}
	used, _, err := engine.Usages(host)
	check(err)
	fmt.Println("used:", used)

	err = engine.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{
		server(2, placement.Allocation{Provider: host, Class: "VCPU", Amount: 2}),
	}})
	var full *placement.CapacityError
	if errors.As(err, &full) {
		fmt.Printf("refused: %d asked, %d used of %d\n", full.Amount, full.Used, full.Capacity)
	}
	// Output:
	// used: map[VCPU:3]
	// refused: 2 asked, 3 used of 4
}

// A host with three GPUs, and a task that wants two whole ones. Isolated
// groups take a provider each, so the ways differ in which GPU serves which
// group.
func ExampleEngine_Candidates_nested() {
	engine := newExample()
	host := addProvider(engine, 1, placement.UUID{}, "VCPU", 16)
	for n := range 3 {
		addProvider(engine, 2+n, host, "PGPU", 1)
	}
	gpu := []placement.Resource{{Class: "PGPU", Amount: 1}}
	request := placement.CandidateRequest{Policy: placement.PolicyIsolate, Groups: []placement.RequestGroup{
		{Resources: []placement.Resource{{Class: "VCPU", Amount: 8}}},
		{Suffix: "_a", Resources: gpu},
		{Suffix: "_b", Resources: gpu},
	}}
	for _, request.Representative = range []bool{false, true} {
		fmt.Println("representative:", request.Representative)
		for c, err := range engine.Candidates(ctx, request) {
			check(err)
			fmt.Printf("  _a on %s, _b on %s\n", nameOf(engine, c.Mappings[1].Providers[0]), nameOf(engine, c.Mappings[2].Providers[0]))
		}
	}
	// Output:
	// representative: false
	//   _a on provider2, _b on provider3
	//   _a on provider2, _b on provider4
	//   _a on provider3, _b on provider2
	//   _a on provider3, _b on provider4
	//   _a on provider4, _b on provider2
	//   _a on provider4, _b on provider3
	// representative: true
	//   _a on provider2, _b on provider3
}

// A storage pool lends its disk to every host that has an aggregate in common
// with it.
func ExampleEngine_Candidates_shared() {
	engine := newExample()
	pool := addProvider(engine, 1, placement.UUID{}, "DISK_GB", 1000)
	_, err := engine.SetTraits(ctx, pool, []string{placement.SharingTrait}, placement.AnyGeneration)
	check(err)
	near, far := addProvider(engine, 2, placement.UUID{}, "VCPU", 8), addProvider(engine, 3, placement.UUID{}, "VCPU", 8)
	for provider, rack := range map[placement.UUID]int{pool: 1, near: 1, far: 2} {
		_, err := engine.SetAggregates(ctx, provider, []placement.UUID{id('r', rack)}, placement.AnyGeneration)
		check(err)
	}
	request := placement.CandidateRequest{Groups: []placement.RequestGroup{
		{Resources: []placement.Resource{{Class: "VCPU", Amount: 2}, {Class: "DISK_GB", Amount: 100}}},
	}}
	for c, err := range engine.Candidates(ctx, request) {
		check(err)
		for _, a := range c.Allocations {
			fmt.Println(a.Amount, a.Class, "of", nameOf(engine, a.Provider))
		}
	}
	// Output:
	// 2 VCPU of provider2
	// 100 DISK_GB of provider1
}

// Two members of a server group must not meet on a host. What is known of the
// group is an attachment, and one guard makes the group's claims follow one
// another: who decided on an old state of the group decides anew.
func ExampleGuard() {
	engine := newExample()
	hosts := []placement.UUID{
		addProvider(engine, 1, placement.UUID{}, "VCPU", 8),
		addProvider(engine, 2, placement.UUID{}, "VCPU", 8),
	}
	const group = "group/web"
	claim := func(n int, host placement.UUID, version uint64) error {
		members := slices.Concat(engine.Attachment(group), host[:])
		return engine.SetAllocations(ctx, placement.AllocationWrite{
			Consumers:   []placement.ConsumerAllocations{server(n, placement.Allocation{Provider: host, Class: "VCPU", Amount: 1})},
			Guards:      []placement.Guard{{Key: group, Version: version}},
			Attachments: []placement.Attachment{{Key: group, Value: members}},
		})
	}
	read := engine.Guard(group) // two schedulers read the same
	fmt.Println("first: ", claim(1, hosts[0], read))
	err := claim(2, hosts[0], read)
	fmt.Println("second: read again:", errors.Is(err, placement.ErrConcurrentUpdate))
	fmt.Println("second:", claim(2, hosts[1], engine.Guard(group)))
	// Output:
	// first:  <nil>
	// second: read again: true
	// second: <nil>
}

// The feed says what to look at again; reading gives the present state.
func ExampleEngine_Changes() {
	engine := newExample()
	host := addProvider(engine, 1, placement.UUID{}, "VCPU", 8)
	seen := engine.LastChange()
	check(engine.SetAllocations(ctx, placement.AllocationWrite{
		Consumers:   []placement.ConsumerAllocations{server(1, placement.Allocation{Provider: host, Class: "VCPU", Amount: 5})},
		Attachments: []placement.Attachment{{Key: "numa/1", Value: []byte("cell 0")}},
	}))
	check(engine.WaitChange(ctx, seen))
	buf := make([]placement.Change, 16)
	n, err := engine.Changes(seen, buf)
	check(err)
	for _, c := range buf[:n] {
		switch c.Kind {
		case placement.ChangeAllocations, placement.ChangeDefinition:
			used, _, err := engine.Usages(c.Provider)
			check(err)
			fmt.Println(nameOf(engine, c.Provider), "uses", used)
		case placement.ChangeAttachment:
			fmt.Printf("%s is %q\n", c.Key, engine.Attachment(c.Key))
		case placement.ChangeRemoved, placement.ChangeGuard: // not in this example
		}
	}
	// Output:
	// provider1 uses map[VCPU:5]
	// numa/1 is "cell 0"
}
