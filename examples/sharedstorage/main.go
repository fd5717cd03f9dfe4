// Command sharedstorage has two hosts without disks, and a storage pool that
// serves both through an aggregate.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/kilonova-cloud/kilonova/placement"
)

func main() {
	ctx := context.Background()
	engine, err := placement.Open(ctx, placement.Config{})
	check(err)
	add(engine, uuid(1), "host1", map[string]placement.Inventory{"VCPU": placement.NewInventory(8)})
	add(engine, uuid(2), "host2", map[string]placement.Inventory{"VCPU": placement.NewInventory(8)})
	pool := add(engine, uuid(3), "pool", map[string]placement.Inventory{"DISK_GB": placement.NewInventory(10_000)})
	_, err = engine.SetTraits(ctx, pool, []string{"MISC_SHARES_VIA_AGGREGATE"}, placement.AnyGeneration)
	check(err)

	request := placement.CandidateRequest{Groups: []placement.RequestGroup{
		{Resources: []placement.Resource{{Class: "VCPU", Amount: 2}, {Class: "DISK_GB", Amount: 100}}},
	}}
	for candidate, err := range engine.Candidates(ctx, request) {
		check(err)
		fmt.Println("candidate:")
		for _, a := range candidate.Allocations {
			provider, err := engine.Provider(a.Provider)
			check(err)
			fmt.Printf("  %d %s from %s\n", a.Amount, a.Class, provider.Name)
		}
	}
	check(engine.Close())
}

// add makes a provider in the rack's aggregate.
func add(engine *placement.Engine, id placement.UUID, name string, inv map[string]placement.Inventory) placement.UUID {
	ctx := context.Background()
	_, err := engine.CreateProvider(ctx, placement.Provider{UUID: id, Name: name})
	check(err)
	_, err = engine.SetInventories(ctx, id, inv, placement.AnyGeneration)
	check(err)
	_, err = engine.SetAggregates(ctx, id, []placement.UUID{uuid(99)}, placement.AnyGeneration)
	check(err)
	return id
}

func uuid(n int) placement.UUID {
	return placement.MustUUID(fmt.Sprintf("70000000-0000-4000-8000-%012d", n))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
