// Package placementclient speaks the OpenStack Placement API, 1.39 where the
// server has it, in the types of package placement.
//
// A [Client] has the calls of placement.Engine, over HTTP. What the server
// refuses comes back as the errors of package placement, so that callers
// branch on them as they do with an engine. A call that names no generation
// reads the present one, and tries again when somebody else was faster.
//
//	c, err := placementclient.New(placementclient.Config{URL: "http://127.0.0.1:8778", Token: placementclient.StaticToken("admin")})
//	for cand, err := range c.Candidates(ctx, request) {
//		...
//	}
//
// Guards and attachments are not part of the API; a write that carries them
// is refused. A Client is safe for concurrent use.
package placementclient
