// Command quickstart has one host, asks where four VCPUs fit, and claims them.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/kilonova-cloud/kilonova/placement"
)

func main() {
	ctx := context.Background()
	engine, err := placement.Open(ctx, placement.Config{}) // in memory
	check(err)
	host, err := engine.CreateProvider(ctx, placement.Provider{UUID: placement.MustUUID("70000000-0000-4000-8000-000000000001"), Name: "host1"})
	check(err)
	_, err = engine.SetInventories(ctx, host.UUID, map[string]placement.Inventory{"VCPU": placement.NewInventory(16)}, placement.AnyGeneration)
	check(err)

	request := placement.CandidateRequest{Limit: 1, Groups: []placement.RequestGroup{
		{Resources: []placement.Resource{{Class: "VCPU", Amount: 4}}},
	}}
	for candidate, err := range engine.Candidates(ctx, request) {
		check(err)
		check(engine.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
			Consumer: placement.MustUUID("c0000000-0000-4000-8000-000000000001"), Project: "demo", User: "demo",
			Generation: placement.NewConsumer, Allocations: candidate.Allocations,
		}}}))
	}

	used, _, err := engine.Usages(host.UUID)
	check(err)
	fmt.Println("used:", used)
	check(engine.Close())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
