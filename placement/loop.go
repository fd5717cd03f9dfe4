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
	run := e.stopped.Go
	if e.cfg.Tasks != nil {
		run = e.cfg.Tasks.Go
	}
	for range e.inFlight {
		run(func() { e.commitLoop(ctx) })
	}
	run(func() { e.followLoop(ctx, revision) })
	run(func() { e.spaceLoop(ctx) })
	if e.Shared() {
		run(func() { e.freshLoop(ctx) })
	}
	if intents, ok := e.cfg.Store.(*intent.Store); ok {
		run(func() { e.reapLoop(ctx, intents) })
	}
	if e.intents != nil {
		run(func() { e.turnLoop(ctx) })
	}
}

// wait returns when it could receive from one of two channels, which may be
// nil, and which of them it was, or timeIsUp after a time above 0, or
// [stopWaiting] when ctx ends.
func (e *Engine) wait(ctx context.Context, d time.Duration, one, two <-chan struct{}) int {
	if e.cfg.Tasks != nil {
		return e.cfg.Tasks.Wait(ctx, d, one, two)
	}
	var up <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		up = timer.C
	}
	select {
	case <-one:
		return 0
	case <-two:
		return 1
	case <-up:
		return timeIsUp
	case <-ctx.Done():
		return stopWaiting
	}
}

const timeIsUp, stopWaiting = -1, -2

// reapLoop settles the intents of engines that died, also when nobody writes
// (INV-12).
func (e *Engine) reapLoop(ctx context.Context, intents *intent.Store) {
	for e.wait(ctx, intent.DefaultLease, nil, nil) != stopWaiting {
		switch n, err := intents.Reap(ctx); {
		case err != nil && ctx.Err() == nil:
			e.cfg.Logger.WarnContext(ctx, "unfinished intents remain", slog.Any("error", err))
		case n > 0:
			e.cfg.Logger.InfoContext(ctx, "settled intents of writers that died", slog.Int("intents", n))
		}
	}
}

// probeTime is how long a full store is left alone before it is tried again.
const probeTime = time.Second

// spaceLoop tries a full store again and again, as nobody may be sent here
// while it is known to be full.
func (e *Engine) spaceLoop(ctx context.Context) {
	for e.wait(ctx, 0, e.fill, nil) != stopWaiting {
		for more := true; more; more = e.probe() {
			if e.wait(ctx, probeTime, nil, nil) == stopWaiting {
				return
			}
		}
	}
}

// longestWait bounds the wait before the store is tried again: a batch whose
// outcome is unknown, a feed that ended.
const longestWait = 250 * time.Millisecond

// askTime bounds one question for the latest revision; a member of the store
// that hangs is not asked for longer.
const askTime = time.Second

// freshLoop asks the store for its latest revision: when readers wait, one
// question for all who came during the one before, and now and then to know
// how old the world is.
func (e *Engine) freshLoop(ctx context.Context) {
	for wait := time.Millisecond; ; {
		r, at := e.fresh.begin(), e.cfg.Now()
		revision, err := e.latest(ctx)
		e.fresh.answer(r, asked{at, revision}, err)
		again, kick := max(time.Millisecond, e.cfg.StaleAfter/4), e.fresh.kick
		if err == nil {
			wait = time.Millisecond
		} else {
			again, kick, wait = wait, nil, min(2*wait, 100*time.Millisecond)
		}
		if e.wait(ctx, again, kick, nil) == stopWaiting {
			return
		}
	}
}

// latest asks the store. Who brings tasks of his own sees to the time himself.
func (e *Engine) latest(ctx context.Context) (uint64, error) {
	if e.cfg.Tasks == nil {
		var cancel func()
		ctx, cancel = context.WithTimeout(ctx, askTime)
		defer cancel()
	}
	return e.fresh.shared.Latest(ctx)
}

// turnLoop takes the turn when it is due.
func (e *Engine) turnLoop(ctx context.Context) {
	for e.wait(ctx, lonely/4, nil, nil) != stopWaiting {
		if !e.turnDue() {
			continue
		}
		if _, err := e.TakeTurn(ctx); err != nil && ctx.Err() == nil {
			e.cfg.Logger.WarnContext(ctx, "cannot write alone", slog.Any("error", err))
		}
	}
}

// commitLoop sends one batch at a time; others send theirs, and the next one
// gathers meanwhile.
func (e *Engine) commitLoop(ctx context.Context) {
	for {
		if e.wait(ctx, 0, e.work, nil) == stopWaiting {
			return
		}
		for {
			b := e.next()
			if b == nil {
				break
			}
			e.send(ctx, b)
			if e.wait(ctx, 0, b.done, nil) == stopWaiting {
				return
			}
		}
	}
}

// send commits b, again and again while the outcome is unknown, or while it
// may have overtaken a batch that it builds on. A batch that took effect is
// settled by the follow loop.
func (e *Engine) send(ctx context.Context, b *batch) {
	if e.Shared() && !e.await(ctx, b) {
		e.settle(b, errConflict)
		return
	}
	sure := true // no try may still take effect
	for wait := time.Millisecond; ; wait = min(2*wait, longestWait) {
		prior := e.unanswered(b)
		res, err := e.commit(ctx, b)
		switch {
		case err != nil:
			e.noteSpace(err)
			e.settle(b, fmt.Errorf("commit: %w", err))
			return
		case res.Outcome == store.Committed:
			e.noteSpace(nil)
			e.committed(b, res.Revision)
			return
		case res.Outcome == store.Conflict && prior == nil:
			if e.lose(b, res, sure) {
				continue
			}
			e.settle(b, errConflict)
			return
		case res.Outcome == store.Conflict:
			if e.wait(ctx, 0, prior.answered, prior.done) == stopWaiting {
				return
			}
			continue
		}
		sure = false
		e.cfg.Logger.WarnContext(ctx, "outcome of a commit is unknown, sending it again", slog.Any("cause", res.Cause))
		if e.wait(ctx, wait, b.done, nil) != timeIsUp {
			return
		}
	}
}

// await waits until the store has said of every batch that b builds on that it
// took effect, or they have ended. It reports whether b may be sent: not when
// one of them was refused, as what b expects of it may since have been written
// by another engine, with the same version.
func (e *Engine) await(ctx context.Context, b *batch) bool {
	for _, x := range b.builds {
		select {
		case <-x.answered:
		case <-x.done:
			if x.err != nil {
				b.after = max(b.after, x.after)
				return false
			}
		case <-ctx.Done():
		}
	}
	return true
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

// followLoop applies every committed batch in order. When the feed ends it
// follows again from there, or from a new snapshot when the history since then
// is gone, and goes on trying until the store is closed or damaged.
func (e *Engine) followLoop(ctx context.Context, revision uint64) {
	for wait := time.Millisecond; ; wait = min(2*wait, longestWait) {
		from := revision
		err := e.follow(ctx, &revision)
		if errors.Is(err, store.ErrCompacted) {
			e.cfg.Logger.WarnContext(ctx, "history of the store is gone, loading it again", slog.Uint64("after", revision))
			err = e.reload(ctx, &revision)
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && final(err):
			e.cfg.Logger.ErrorContext(ctx, "engine stops: its store's feed failed", slog.Any("error", err))
			e.fail(fmt.Errorf("%w: follow the store: %w", ErrClosed, err))
			return
		case err != nil:
			e.fresh.interrupted(err)
			e.cfg.Logger.WarnContext(ctx, "feed of the store ended, following it again", slog.Uint64("after", revision), slog.Any("error", err))
		}
		if revision > from {
			wait = time.Millisecond
		}
		if e.wait(ctx, wait, nil, nil) == stopWaiting {
			return
		}
	}
}

// final reports whether trying again is no use.
func final(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrNewerFormat) || errors.Is(err, errApply)
}

// errApply: a committed batch makes no sense; the world may have half of it.
var errApply = errors.New("a committed batch cannot be applied")

// follow applies batches committed after a revision, which it advances. It
// returns the error that ended the feed, never nil.
func (e *Engine) follow(ctx context.Context, revision *uint64) error {
	for ev, err := range e.cfg.Store.Follow(ctx, *revision) {
		if err != nil {
			return err
		}
		if err := e.applyEvent(&ev); err != nil {
			return fmt.Errorf("%w: revision %d: %w", errApply, ev.Revision, err)
		}
		*revision = ev.Revision
		e.fresh.advance(ev.Revision)
	}
	return errors.New("the feed ended without a reason")
}

// reload begins a new world with a snapshot and sets the revision to follow.
// Writes under way were planned on the old one: those that are in the snapshot
// are done, and the others' commits go on until the store, asked by their ID,
// has said how they ended.
func (e *Engine) reload(ctx context.Context, revision *uint64) error {
	w, loaded, err := e.load(ctx)
	if err != nil {
		return fmt.Errorf("load placement again: %w", err)
	}
	e.plan.Lock()
	defer e.plan.Unlock()
	e.dropOpen(errDropped, 0)
	e.mu.Lock()
	e.world, e.loaded, *e.ahead = w, loaded, *newAhead()
	if e.intents != nil {
		e.turns.now = e.intents.Turn()
		e.turns.void = e.alone() && len(e.flying) > 0 // what they will have changed is not known here
	}
	e.feed.restart()
	e.mu.Unlock()
	*revision = loaded
	e.fresh.advance(loaded)
	for _, b := range e.flying {
		b.orphan = true
		b.use, b.locks, b.consumers, b.pends = nil, nil, nil, nil // are the old world's
	}
	for _, b := range slices.Clone(e.flying) {
		e.landLoaded(b)
	}
	return nil
}

// applyEvent makes one committed batch visible.
func (e *Engine) applyEvent(ev *store.Event) error {
	e.turnTo()
	if ev.ID == (store.BatchID{}) {
		return nil
	}
	e.plan.Lock()
	defer e.plan.Unlock()
	e.mu.Lock()
	e.stamp = max(e.stamp, ev.Version)
	b := e.inAir(ev.ID)
	if b != nil && !b.orphan {
		for k, t := range b.txs {
			if k%16 == 15 { // let readers in
				e.mu.Unlock()
				e.mu.Lock()
			}
			e.world.apply(t, b.stamp, e.feed)
		}
		e.world.keep(b.kept, b.stamp)
		if b.alone {
			for k := range b.states {
				e.world.meetState(b.states[k].provider, b.states[k].after, e.feed)
			}
		}
		e.mu.Unlock()
		e.land(b, nil)
		return nil
	}
	if b == nil {
		e.turns.heard = e.cfg.Now()
	}
	e.invalidate(ev)
	err := e.applyForeign(ev)
	e.mu.Unlock()
	if b != nil && err == nil {
		e.land(b, nil)
	}
	return err
}

// pause waits before a write that lost a race is planned again: until the feed
// tells what it lost to, which is known at revision after, or else longer each
// time, up to 50 ms.
func (e *Engine) pause(ctx context.Context, tries int, after uint64) error {
	if tries > 1 {
		e.cfg.Logger.DebugContext(ctx, "write conflicts with another engine's, planning it anew", slog.Int("tries", tries))
	}
	if after > 0 {
		return e.reach(ctx, after)
	}
	if tries == 1 {
		return nil
	}
	if e.wait(ctx, min(time.Duration(tries)*time.Millisecond, 50*time.Millisecond), nil, nil) == stopWaiting {
		return ctx.Err()
	}
	return nil
}
