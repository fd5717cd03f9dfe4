// Package live chooses hosts and claims their resources in one atomic act, on
// a placement.Engine and records of hosts that change all the time.
//
// [Hosts] holds what is known of hosts besides their allocations. A
// [Scheduler] follows it and the engine by their change feeds, keeps for each
// shape of request the hosts that can take it ordered by score, and places a
// [Request] on the best: [Scheduler.Schedule] returns when the claim is
// durable.
//
//	s, err := live.New(live.Config{Engine: engine, Hosts: hosts, Filters: filters, Weighers: weighers, Now: time.Now})
//	chosen, err := s.Schedule(ctx, &live.Request{Spec: spec, Where: live.Where(&spec.Flavor)})
//	chosen[0].Host // holds the instance's resources
//
// # Promises
//
// All instances of a request are placed or none, and no claim exceeds a
// capacity. The rules of a server group hold at every moment for members that
// were placed here, however many schedulers share the engine: its membership
// is an attachment of the engine, its guard a part of each claim. So are the
// NUMA cells and devices that a [Pinner] gives away. Whoever loses a race
// chooses again, in memory.
//
// # Scores
//
// A host's score is the sum over the weighers of multiplier times raw score,
// in units of an absolute scale (see [Config.Scales]), not normalised over
// the hosts of one request as Nova does. So a change of one host changes one
// score, and a decision costs the logarithm of the number of hosts.
//
// # Explanations
//
// A request that finds no host gets a [*scheduler.NoValidHostError] that tells
// what each step left of the hosts. [Request.Why] asks the same of one that is
// placed, and [Config.Reports] keeps both.
//
// # Concurrency
//
// Hosts and Scheduler are safe for concurrent use. Records given to Hosts are
// not written to any more.
package live
