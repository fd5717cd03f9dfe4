// Package mem keeps a store's records in memory: for tests, simulations and
// benchmarks, and as the simplest thing that obeys the port.
//
// [Store] holds a map of records and the last batches for Follow. Nothing
// survives the process. Load yields records in an order that depends only on
// the batches committed, so a simulation repeats exactly. It is safe for
// concurrent use and starts no goroutine.
//
//	s := mem.New(mem.Config{})
//	defer s.Close()
//	res, err := s.Commit(ctx, store.Batch{ID: id, Version: 1, Puts: puts})
package mem
