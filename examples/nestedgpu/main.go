// Command nestedgpu has a host with three GPUs as child providers, and lists
// the ways to place a task with two whole GPUs of one model.
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
	_, err = engine.CreateTrait(ctx, "CUSTOM_GPU_T4")
	check(err)

	host, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid(1), Name: "host"})
	check(err)
	_, err = engine.SetInventories(ctx, host.UUID, map[string]placement.Inventory{"VCPU": placement.NewInventory(16)}, placement.AnyGeneration)
	check(err)
	for i := range 3 {
		gpu, err := engine.CreateProvider(ctx, placement.Provider{UUID: uuid(2 + i), Name: fmt.Sprint("gpu", i), Parent: host.UUID})
		check(err)
		_, err = engine.SetInventories(ctx, gpu.UUID, map[string]placement.Inventory{"PGPU": placement.NewInventory(1)}, placement.AnyGeneration)
		check(err)
		_, err = engine.SetTraits(ctx, gpu.UUID, []string{"CUSTOM_GPU_T4"}, placement.AnyGeneration)
		check(err)
	}

	gpu := func(suffix string) placement.RequestGroup { // each group takes a provider of its own
		return placement.RequestGroup{
			Suffix: suffix, Resources: []placement.Resource{{Class: "PGPU", Amount: 1}}, Required: [][]string{{"CUSTOM_GPU_T4"}},
		}
	}
	request := placement.CandidateRequest{Policy: placement.PolicyIsolate, Groups: []placement.RequestGroup{
		{Resources: []placement.Resource{{Class: "VCPU", Amount: 8}}}, gpu("1"), gpu("2"),
	}}
	show(engine, request)
	request.Representative = true // the GPUs are interchangeable: one way is enough to decide
	show(engine, request)
	check(engine.Close())
}

func show(engine *placement.Engine, request placement.CandidateRequest) {
	ways := 0
	for _, err := range engine.Candidates(context.Background(), request) {
		check(err)
		ways++
	}
	fmt.Println("ways:", ways)
}

func uuid(n int) placement.UUID {
	return placement.MustUUID(fmt.Sprintf("70000000-0000-4000-8000-%012d", n))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
