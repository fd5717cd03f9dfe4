// Package placementapi serves the OpenStack Placement API, microversions 1.0
// to 1.39, from a placement engine.
//
// [New] makes a [Server], an http.Handler. The table in routes.go has every
// route with the rule that guards it and the microversion that brought it;
// each resource has a file of handlers. Requests are refused with an
// *api.Error, which becomes the error document of OpenStack's guideline.
//
//	engine, err := placement.Open(ctx, placement.Config{Now: time.Now})
//	server, err := placementapi.New(placementapi.Config{Engine: engine, Now: time.Now})
//	err = http.ListenAndServe("127.0.0.1:8778", server)
//
// A Server is safe for concurrent use and keeps no state but what the engine
// keeps. Memory is bounded: bodies are limited to [MaxBody], few large ones
// are read at a time, and long answers are streamed. docs/compat.md says what
// differs from OpenStack's implementation.
package placementapi
