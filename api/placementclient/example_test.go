package placementclient_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/api/placementclient"
	"github.com/kilonova-cloud/kilonova/placement"
)

func Example() {
	ctx := context.Background()
	engine, _ := placement.Open(ctx, placement.Config{Now: time.Now})
	handler, _ := placementapi.New(placementapi.Config{Engine: engine, Now: time.Now})
	server := httptest.NewServer(handler)
	defer server.Close()

	c, _ := placementclient.New(placementclient.Config{URL: server.URL, Token: placementclient.StaticToken("admin")})
	host, _ := c.CreateProvider(ctx, placement.Provider{UUID: placement.MustUUID("11111111-1111-1111-1111-111111111111"), Name: "host"})
	_, _ = c.SetInventories(ctx, host.UUID, map[string]placement.Inventory{"VCPU": placement.NewInventory(8)}, placement.AnyGeneration)

	request := placement.CandidateRequest{Groups: []placement.RequestGroup{{Resources: []placement.Resource{{Class: "VCPU", Amount: 2}}}}}
	for candidate, err := range c.Candidates(ctx, request) {
		fmt.Println(candidate.Allocations, err)
	}
	// Output:
	// [{11111111-1111-1111-1111-111111111111 VCPU 2}] <nil>
}
