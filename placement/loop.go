package placement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
)

// start runs the goroutines of an engine with a store: a few commit the open
// batch, one applies what the store says is committed, and where a write may
// be larger than a batch one cleans up after engines that died.
func (e *Engine) start(revision uint64) {
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	for range e.inFlight {
		e.stopped.Go(func() { e.commitLoop(ctx) })
	}
	e.stopped.Go(func() { e.followLoop(ctx, revision) })
	if intents, ok := e.cfg.Store.(*intent.Store); ok {
		e.stopped.Go(func() { e.reapLoop(ctx, intents) })
	}
}

// reapLoop settles the intents of engines that died, also when nobody writes
// (INV-12).
func (e *Engine) reapLoop(ctx context.Context, intents *intent.Store) {
	tick := time.NewTicker(intent.DefaultLease)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		switch n, err := intents.Reap(ctx); {
		case err != nil && ctx.Err() == nil:
			e.cfg.Logger.WarnContext(ctx, "unfinished intents remain", slog.Any("error", err))
		case n > 0:
			e.cfg.Logger.InfoContext(ctx, "settled intents of writers that died", slog.Int("intents", n))
		}
	}
}

// commitLoop sends one batch at a time; others send theirs, and the next one
// gathers meanwhile.
func (e *Engine) commitLoop(ctx context.Context) {
	for {
		select {
		case <-e.work:
		case <-ctx.Done():
			return
		}
		for {
			b, records := e.seal()
			if b == nil {
				break
			}
			e.send(ctx, b, records)
			select {
			case <-b.done:
			case <-ctx.Done():
				return
			}
		}
	}
}

// seal closes the open batch for further writes, if it is time to.
func (e *Engine) seal() (*batch, store.Batch) {
	e.plan.Lock()
	defer e.plan.Unlock()
	b := e.open
	if e.failed != nil || !e.due() {
		return nil, store.Batch{}
	}
	e.open, e.flying = nil, append(e.flying, b)
	e.mu.RLock()
	defer e.mu.RUnlock()
	return b, e.records(b)
}

// send commits b, again and again while the outcome is unknown, or while it
// may have overtaken a batch that it builds on. A batch that took effect is
// settled by the follow loop.
func (e *Engine) send(ctx context.Context, b *batch, records store.Batch) {
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second) {
		res, err := e.cfg.Store.Commit(ctx, records)
		switch {
		case err != nil:
			e.settle(b, fmt.Errorf("commit: %w", err))
			return
		case res.Outcome == store.Committed:
			return
		case res.Outcome == store.Conflict:
			earlier := e.earlier(b)
			if earlier == nil {
				e.settle(b, errConflict)
				return
			}
			select {
			case <-earlier.done:
				continue
			case <-ctx.Done():
				return
			}
		}
		e.cfg.Logger.WarnContext(ctx, "outcome of a commit is unknown, sending it again", slog.Any("cause", res.Cause))
		select {
		case <-time.After(wait):
		case <-b.done:
			return
		case <-ctx.Done():
			return
		}
	}
}

// settle ends a batch that was not applied, and with it the open one, which
// may be planned on top of it. Batches under way that are built on it conflict
// by themselves.
func (e *Engine) settle(b *batch, err error) {
	e.plan.Lock()
	defer e.plan.Unlock()
	if slices.Contains(e.flying, b) && !b.settled { // or else it was applied after all
		e.land(b, err)
	}
}

// followLoop applies every committed batch in order.
func (e *Engine) followLoop(ctx context.Context, revision uint64) {
	for ev, err := range e.cfg.Store.Follow(ctx, revision) {
		if err == nil {
			err = e.applyEvent(&ev)
		}
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				e.cfg.Logger.ErrorContext(ctx, "engine stops: its store's feed failed", slog.Any("error", err))
				e.fail(fmt.Errorf("%w: follow the store: %w", ErrClosed, err))
			}
			return
		}
	}
}

// applyEvent makes one committed batch visible.
func (e *Engine) applyEvent(ev *store.Event) error {
	if ev.ID == (store.BatchID{}) {
		return nil
	}
	e.plan.Lock()
	defer e.plan.Unlock()
	e.mu.Lock()
	e.stamp = max(e.stamp, ev.Version)
	if b := e.inAir(ev.ID); b != nil {
		for k, t := range b.txs {
			if k%16 == 15 { // let readers in
				e.mu.Unlock()
				e.mu.Lock()
			}
			e.world.apply(t, b.stamp, e.feed)
		}
		e.world.keep(b.kept, b.stamp)
		e.mu.Unlock()
		e.land(b, nil)
		return nil
	}
	defer e.mu.Unlock()
	e.dropOpen() // its plans name rows that may be another's after this
	return e.applyForeign(ev)
}

// pause waits before a write that lost a race is planned again: longer each
// time, up to 50 ms.
func (e *Engine) pause(ctx context.Context, tries int) error {
	select {
	case <-time.After(min(time.Duration(tries)*time.Millisecond, 50*time.Millisecond)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
