// Package storetest holds what every store must pass.
//
// [Run] is the conformance suite of the store port. [Faulty] is a decorator
// that makes a store misbehave in every way the port allows, for tests of
// those who use stores; the suite passes on it too. [CommitRetry] is, in its
// simplest form, the loop that any user of a store needs around Commit.
//
// A test of a store is three lines:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) store.Store { return mem.New(mem.Config{History: 1024}) })
//	}
//
// A store given to Run must be empty and keep a history of at least 1024
// batches; keep it below 2048 to see ErrCompacted tested.
package storetest
