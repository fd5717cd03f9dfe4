package moving

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
)

// each calls do with the members of list from some goroutines, until one
// fails or ctx ends, and returns the first error. It tells progress of every
// one that is done.
func each[T any](ctx context.Context, workers int, list []T, progress func(), do func(context.Context, T) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(max(1, workers), len(list)) {
		wg.Go(func() {
			for ctx.Err() == nil {
				k := int(next.Add(1)) - 1
				if k >= len(list) {
					return
				}
				if err := do(ctx, list[k]); err != nil {
					stop(err)
					return
				}
				progress()
			}
		})
	}
	wg.Wait()
	if ctx.Err() == nil {
		return nil
	}
	return errors.Join(context.Cause(ctx))
}
