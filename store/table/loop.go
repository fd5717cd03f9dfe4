package table

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// longestWait bounds the wait before the store is tried again.
const longestWait = 250 * time.Millisecond

// start begins to follow the store, until Close or the end of ctx.
func (db *DB) start(ctx context.Context) {
	ctx, db.stop = context.WithCancel(ctx)
	db.loops.Go(func() { db.followLoop(ctx) })
}

// followLoop applies every committed batch in order. When the feed ends it
// follows again from there, or from a new snapshot when the history since then
// is gone, until the database is closed or the store is of no more use.
func (db *DB) followLoop(ctx context.Context) {
	for wait := time.Millisecond; ; wait = min(2*wait, longestWait) {
		from := db.at()
		err := db.follow(ctx, from)
		if errors.Is(err, store.ErrCompacted) {
			var w *world
			if w, err = db.load(ctx); err == nil {
				err = db.reopen(w)
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case final(err):
			db.cfg.Logger.ErrorContext(ctx, "database stops: its store's feed failed", slog.Any("error", err))
			db.fail(fmt.Errorf("%w: follow the store: %w", ErrClosed, err))
			return
		case err != nil:
			db.cfg.Logger.WarnContext(ctx, "feed of the store ended, following it again", slog.Any("error", err))
		}
		if db.at() > from {
			wait = time.Millisecond
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// final reports whether trying again is no use.
func final(err error) bool {
	for _, e := range []error{store.ErrClosed, store.ErrDamaged, store.ErrNewerFormat, errMalformed, ErrOtherSchema} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (db *DB) reopen(w *world) error {
	if err := db.cfg.Schema.mayOpen(w.schema, w.rows); err != nil {
		return err
	}
	db.adopt(w)
	return nil
}

// follow applies what was committed after a revision, until the feed ends.
func (db *DB) follow(ctx context.Context, after uint64) error {
	for ev, err := range db.cfg.Store.Follow(ctx, after) {
		if err != nil {
			return err
		}
		if ev.ID == (store.BatchID{}) {
			db.progress(ev.Revision)
			continue
		}
		if err := db.apply(&ev); err != nil {
			return fmt.Errorf("apply revision %d: %w", ev.Revision, err)
		}
	}
	return errors.New("the feed ended without a reason")
}

// commit sends a batch, again while its outcome is unknown, and waits until a
// committed one is visible. It returns errConflict when it lost a race.
func (db *DB) commit(ctx context.Context, b store.Batch) (uint64, error) {
	unsettled := false
	for wait := time.Millisecond; ; wait = min(2*wait, longestWait) {
		res, err := db.cfg.Store.Commit(ctx, b)
		revision, settled := outcome(res, err, unsettled)
		if settled != nil {
			return 0, settled
		}
		if revision > 0 {
			_ = db.reach(ctx, revision) // it is committed, whether or not that is seen here in time
			return revision, nil
		}
		unsettled = true
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", ErrOutcomeUnknown, ctx.Err())
		}
	}
}

// pause waits before a change that lost a race is planned again: for news
// after the revision that it was planned at, and longer each time.
func (db *DB) pause(ctx context.Context, seen uint64, tries int) error {
	timer := time.NewTimer(min(time.Duration(tries)*time.Millisecond, 50*time.Millisecond))
	defer timer.Stop()
	for {
		moved := db.moved.wait()
		if db.at() > seen || db.Err() != nil {
			return ctx.Err()
		}
		select {
		case <-moved:
		case <-timer.C:
			return ctx.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
