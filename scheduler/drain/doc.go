// Package drain plans which instances to move so that the most hosts become
// empty. It only plans: nothing is moved.
//
// A [Request] names hosts with their instances, what is free, the rules of
// groups, and a budget of moves. [Make] returns a [Plan]: the moves, the hosts
// that they free, and for every other host that is in use why it stays so.
//
//	plan, err := drain.Make(&drain.Request{Hosts: hosts, Budget: 20})
//
// A plan moves instances only off hosts that it frees, each once, to hosts
// that are in use and stay so: the moves can be done in any order. It depends
// on the request only. Amounts are in any unit that hosts and instances agree
// on. Functions are safe for concurrent use.
package drain
