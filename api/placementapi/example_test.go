package placementapi_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/kilonova-cloud/kilonova/api/placementapi"
	"github.com/kilonova-cloud/kilonova/placement"
)

// A Server is an http.Handler: any program can serve the Placement API.
func Example() {
	ctx := context.Background()
	engine, err := placement.Open(ctx, placement.Config{Now: time.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := placementapi.New(placementapi.Config{Engine: engine, Now: time.Now})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequestWithContext(ctx, "PUT", "/resource_classes/CUSTOM_GPU", nil)
	r.Header.Set("X-Auth-Token", "admin")
	r.Header.Set("OpenStack-API-Version", "placement 1.39")
	w := httptest.NewRecorder()
	server.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output:
	// 201 http://example.com/resource_classes/CUSTOM_GPU
}
