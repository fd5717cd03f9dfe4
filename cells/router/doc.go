// Package router sends calls to cells and asks many of them at once, also
// while some of them are away.
//
// A [Cell] says where a cell is. A [Router] keeps a client for each, of any
// type C: it dials, watches, probes and hangs up. [Router.Call] lets a function
// talk with one cell, [Gather] with many, and [List] reads sorted pages over
// many as if they were one.
//
// # Promises
//
//   - What asks several cells ends within Config.Timeout, with the answers
//     that have come and the names of the cells that did not answer.
//   - A cell that does not answer is away: until a probe is answered, whatever
//     asks it is told so at once. A call to another cell never waits for it.
//   - [Router.Set] changes the cells while calls go on. A call sees one set of
//     cells, all of it; one under way keeps its client until it ends, and only
//     then is the client hung up.
//   - A page is in order, holds no row twice, and goes on after a marker
//     whether the row of the marker is still there or not.
//   - A cell is only skipped for a request by a summary that is not too old,
//     and only if no host of it could take the request by that summary.
//
// All types with methods that change them are safe for concurrent use, except
// [Tally].
//
//	r, err := router.New(router.Config[*Client]{Dial: dial, Probe: ping, HangUp: (*Client).Close})
//	err = r.Set(ctx, []router.Cell{{UUID: "...", Name: "east", Database: "etcd://..."}})
//	err = r.Call(ctx, uuid, func(ctx context.Context, c *Client) error { return c.Stop(ctx, instance) })
//	page, err := list.Page(ctx, r, nil, 1000) // page.Missing names cells that are away
package router
