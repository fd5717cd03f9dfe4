// Package placement is an inventory of what a cloud has and of who holds how
// much of it: resource providers in trees, their inventories, traits and
// aggregates, the allocations of consumers, and the search for allocation
// candidates. It is the model of OpenStack Placement 1.39, in memory, indexed
// for its queries, and durable through a [store.Store]. It knows nothing of
// HTTP, hosts or virtual machines.
//
// [Engine] is the inventory. A [CandidateRequest] asks it where something
// fits; an [AllocationWrite] takes or gives back, several consumers and
// providers in one atomic act, with the [Guard]s and [Attachment]s that a
// scheduler makes part of it. A [Snapshot] is the whole world at one moment,
// and the change feed ([Engine.Changes]) says what to look at again.
//
//	engine, err := placement.Open(ctx, placement.Config{Store: store, Now: time.Now})
//	req := placement.CandidateRequest{Groups: []placement.RequestGroup{{Resources: flavor}}, Limit: 1}
//	for c, err := range engine.Candidates(ctx, req) { // and check err
//		server.Allocations = c.Allocations
//		err = engine.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{server}})
//	}
//
// # Promises
//
// A write that returns nil is durable and visible; one that returns an error
// other than [ErrUnknownOutcome] has changed nothing, whatever it consisted
// of. Two claims never share the last unit. Readers see what is committed,
// and never wait for the store.
//
// What is used may exceed the capacity: an inventory may shrink below its
// usage, and a write that does not make it fuller is accepted then. The
// invariants that always hold have names, INV-1 to INV-9; [Verify] and
// [Engine.Verify] check them and ARCHITECTURE.md lists them.
//
// # Versions
//
// Generations of providers and consumers move write by write as the Placement
// API counts them. The version of a guard moves with every write that carries
// it, unless it says Keep, and with every write of allocations on the tree that it is bound to by
// somebody who does not. Versions are compared for being equal only: they
// grow, but not one by one.
//
// # Units
//
// Amounts are integers in units of their resource class, which Placement's
// names tell: VCPU counts, MEMORY_MB is in MiB, DISK_GB in GiB. A capacity is
// (total - reserved) * allocation_ratio, cut to an integer; products saturate.
// Times have the resolution of Config.Now, which is the only clock.
//
// # Concurrency
//
// An Engine is safe for concurrent use. A Snapshot, and one iteration over
// candidates, belong to one goroutine; the body of the loop may write to the
// engine. A [Candidate] is valid until the next step, unless cloned. Byte
// slices that reads return must not be changed; other results are the
// caller's own.
package placement
