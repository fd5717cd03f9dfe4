// Package api is what the HTTP APIs of Kilonova have in common: microversions,
// error documents, request identifiers, query strings, content negotiation,
// authentication and CORS. It knows no resource of any API.
//
// [Service.Negotiate] finds the [Version] of a request, an [Error] is what a
// handler returns when it refuses one, an [Authenticator] says who asks, and
// [ErrorTable] maps the errors of an engine to statuses and stable codes.
//
//	service := api.Service{Type: "placement", Min: api.Version{1, 0}, Max: api.Version{1, 39}}
//	version, problem := service.Negotiate(request.Header)
//	if problem != nil {
//		...
//	}
//
// Everything here is safe for concurrent use. Goroutines are in loop.go only.
package api
