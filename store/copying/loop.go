package copying

import (
	"context"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// maxWait is between two tries of a batch whose outcome is unknown.
const maxWait = time.Second

// inFlight runs do, which sends batches that do not build on each other, and
// returns its error or the first one of a batch when all have ended.
func (c *copier) inFlight(ctx context.Context, do func(ctx context.Context, send func(store.Batch)) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sent sync.WaitGroup
	slots := make(chan struct{}, max(1, c.to.Limits().InFlight))
	err := do(ctx, func(b store.Batch) {
		slots <- struct{}{}
		sent.Go(func() {
			if err := c.commit(ctx, b); err != nil {
				cancel(err)
			}
			<-slots
		})
	})
	sent.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// commit sends b until its outcome is known.
func (c *copier) commit(ctx context.Context, b store.Batch) error {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, maxWait) {
		res, err := c.to.Commit(ctx, b)
		switch {
		case err != nil:
			return err
		case res.Outcome == store.Committed:
			return nil
		case res.Outcome == store.Conflict:
			return ErrOvertaken
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
