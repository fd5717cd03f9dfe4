// Package scale simulates placement engines that share one store, in virtual
// time, and tells how many claims they make together, how many of their
// batches are refused, and how late each sees what the others did.
//
// [Simulate] plays one case, [Measure] a matrix of them. The store is a model:
// a queue that takes as much time for a batch as a measured cluster of etcd
// takes processor time for it ([Costs]), and delays drawn from those measured.
// An engine is a model too, of what package placement does: claims gather in
// an open batch of so many records, two a claim unless there is one engine only,
// which has the turn to write alone; a few batches are under way at once, and one
// that builds on another waits until that is answered; one that was refused is
// sent again without what it lost, or as it is when one before it had no answer
// yet; what it lost is planned anew when the feed tells of it. The feed brings
// every batch in the order in which it took effect, and with each of another
// engine what the open batch holds of its hosts is planned anew.
//
// Before a case is reported, its claims are counted: each that was acknowledged
// is in the store once, no host holds more than its capacity, and every engine
// has come to see the same.
//
// Everything follows from the seed. Nothing here is safe for concurrent use;
// [Measure] may be called several times at once.
package scale
