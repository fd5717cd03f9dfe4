package intent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// errPassed: the turn is not as its taker believed, or intents are in its way.
var errPassed = errors.New("turn has passed")

// Turn says who may write: all who share the store, or one of them alone.
type Turn struct {
	Epoch  uint64 // grows with every change
	Holder string // Config.Owner of the one that writes alone; "": nobody does
}

// Owner returns the name under which the store takes turns: Config.Owner, or
// what was drawn in its place.
func (s *Store) Owner() string { return s.cfg.Owner }

// Turn returns the turn as of what Load and Follow have yielded so far: every
// change made in an earlier epoch has been yielded. It is older than what the
// store knows to be so.
func (s *Store) Turn() Turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.turn
}

// tell makes t what Turn returns, unless that is newer.
func (s *Store) tell(t Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Epoch > s.turn.Epoch {
		s.turn = t
	}
}

// turned returns the directory when holder has the turn.
func (d directory) turned(holder string) directory {
	return directory{
		version: d.version + 1, change: changeTurn,
		intents: d.intents, turn: Turn{Epoch: d.turn.Epoch + 1, Holder: holder},
	}
}

// TakeTurn makes s the only writer. It reports false, and changes nothing,
// when the epoch has passed, when somebody has the turn, or while a large batch
// is under way, in whatever phase. After an error the turn may be s's all the
// same: Follow tells, and another call for the same epoch then reports false.
func (s *Store) TakeTurn(ctx context.Context, epoch uint64) (bool, error) {
	v, err := s.look(ctx, newID(), nil)
	if err == nil {
		_, _, err = s.swap(ctx, v.dir, newID(), func(d directory) (directory, error) {
			if d.turn.Epoch != epoch || d.turn.Holder != "" || len(d.intents) > 0 {
				return d, errPassed
			}
			return d.turned(s.cfg.Owner), nil
		})
	}
	switch {
	case errors.Is(err, errPassed):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("take the turn of epoch %d: %w", epoch, err)
	}
	return true, nil
}

// FreeTurn lets all write again, whoever has the turn; nothing is done when the
// epoch has passed or nobody has it. Open intents are rolled back first, as
// they may expect too little of what others will write from then on.
func (s *Store) FreeTurn(ctx context.Context, epoch uint64) error {
	v, err := s.look(ctx, newID(), nil)
	if err != nil {
		return fmt.Errorf("free the turn of epoch %d: %w", epoch, err)
	}
	d, undone := v.dir, []store.BatchID(nil)
	// Each swap rolls back one open intent, for the holder may be opening more.
	// The one that finds none ends the epoch, and the next has nothing to do.
	for err == nil {
		d, _, err = s.swap(ctx, d, newID(), func(d directory) (directory, error) {
			if d.turn.Epoch != epoch || d.turn.Holder == "" {
				return d, errPassed
			}
			i := slices.IndexFunc(d.intents, func(x intent) bool { return x.phase == phaseOpen })
			if i < 0 {
				return d.turned(""), nil
			}
			x := d.intents[i]
			x.phase = phaseAborted
			undone = append(undone, x.id)
			return d.with(changeAbort, x), nil
		})
	}
	if !errors.Is(err, errPassed) {
		return fmt.Errorf("free the turn of epoch %d: %w", epoch, err)
	}
	for _, id := range undone {
		_ = s.finish(ctx, id) // what is left to do, others can do as well
	}
	return nil
}

// CommitIn is Commit for a batch that is right only in one epoch. In another
// one it is a Conflict that lists no record, unless an earlier try of the batch
// has taken effect: then it is Committed, as always. Revision is then one at
// which the epoch was another, or 0. Whose turn it is in that epoch is the
// caller's to heed.
func (s *Store) CommitIn(ctx context.Context, epoch uint64, b store.Batch) (store.Result, error) {
	return s.submit(ctx, planned{Batch: b, epoch: epoch, bound: true})
}

// planned is a batch and the epoch that it is right in.
type planned struct {
	store.Batch
	epoch uint64
	bound bool // false: it is right in every epoch
}

// misses reports whether d is of another epoch. Whoever sends a part of b says
// that the directory is still d, or changes it, so that no part takes effect in
// another epoch.
func (b *planned) misses(d directory) bool { return b.bound && b.epoch != d.turn.Epoch }

// commitMissed answers for b, whose epoch is not that of the directory known.
// It says again when that one was out of date.
func (s *Store) commitMissed(ctx context.Context, b planned) (res store.Result, again bool, err error) {
	v, err := s.look(ctx, b.ID, nil)
	switch {
	case err != nil:
		return store.Result{}, false, err
	case v.revision > 0:
		return store.Result{Outcome: store.Committed, Revision: v.revision}, false, nil
	case b.misses(v.dir):
		return store.Result{Outcome: store.Conflict, Revision: v.at}, false, nil
	}
	return store.Result{}, true, nil
}
