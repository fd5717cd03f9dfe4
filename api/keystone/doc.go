// Package keystone tells who makes a request by asking an OpenStack Identity
// service, version 3.
//
// An [Authenticator] validates tokens with an account of its own and remembers
// the answers. While Identity is away, tokens that it has seen go on until
// they expire, others get a 503, and it recovers by itself. A token that has
// expired is accepted from a service that shows its own token with it.
//
//	auth, err := keystone.New(keystone.Config{URL: url, Username: "placement", Password: password, Now: time.Now})
//	who, err := auth.Authenticate(request)
//
// An Authenticator is safe for concurrent use. Tokens are kept as hashes only
// and never logged.
package keystone
