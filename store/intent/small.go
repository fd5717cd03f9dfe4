package intent

import (
	"context"
	"errors"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// commitSmall commits a batch that the store below can hold.
func (s *Store) commitSmall(ctx context.Context, b planned) (store.Result, error) {
	for {
		var res store.Result
		var again bool
		var err error
		switch d := s.known(); {
		case b.misses(d):
			res, again, err = s.commitMissed(ctx, b)
		case len(d.intents) == 0:
			res, again, err = s.commitPlain(ctx, b.Batch, d.version)
		default:
			res, again, err = s.commitGuarded(ctx, b)
		}
		if err != nil || !again {
			return res, err
		}
	}
}

// commitPlain sends b as it is, on condition that the directory still has the
// version at which it listed no intent.
func (s *Store) commitPlain(ctx context.Context, b store.Batch, version uint64) (res store.Result, again bool, err error) {
	b.Expect = append(slices.Clip(b.Expect), store.Expectation{Key: directoryKey(), Version: version})
	return s.sendOnce(ctx, b)
}

// sendOnce sends b, which expects the directory. It says again when the
// directory was not as expected.
func (s *Store) sendOnce(ctx context.Context, b store.Batch) (res store.Result, again bool, err error) {
	res, err = s.inner.Commit(ctx, b)
	if err != nil || res.Outcome != store.Conflict {
		s.note(0, res.Revision)
		return res, false, err
	}
	_, again, err = s.learn(res.Conflicts)
	return res, again, err
}

// commitGuarded commits b while intents are under way: it makes sure that none
// of them holds what b touches, and expects every record as it found it.
func (s *Store) commitGuarded(ctx context.Context, b planned) (store.Result, bool, error) {
	v, err := s.look(ctx, b.ID, distinct(&b.Batch))
	switch {
	case err != nil:
		return store.Result{}, false, err
	case v.revision > 0:
		return store.Result{Outcome: store.Committed, Revision: v.revision}, false, nil
	case len(v.dir.intents) == 0 || b.misses(v.dir):
		return store.Result{}, true, nil
	}
	if _, begun := v.dir.find(b.ID); begun {
		res, err := s.commitLarge(ctx, b)
		return res, false, err
	}
	if buried, err := s.bury(ctx, v.dir); err != nil || buried > 0 {
		return store.Result{}, true, err
	}
	judged, err := s.judge(ctx, &b.Batch, v)
	switch {
	case err != nil || judged.again:
		return store.Result{}, true, err
	case len(judged.conflicts) > 0:
		return store.Result{Outcome: store.Conflict, Conflicts: judged.conflicts}, false, nil
	}
	return s.sendGuarded(ctx, b, v)
}

func (s *Store) sendGuarded(ctx context.Context, b planned, v *view) (store.Result, bool, error) {
	guarded := b.Batch
	guarded.Expect = []store.Expectation{{Key: directoryKey(), Version: v.dir.version}}
	for _, k := range distinct(&b.Batch) {
		guarded.Expect = append(guarded.Expect, store.Expectation{Key: k, Version: v.records[k].record.Version})
	}
	if errors.Is(guarded.Validate(s.limits), store.ErrTooLarge) {
		if splittable(&b.Batch) {
			res, err := s.commitLarge(ctx, b)
			return res, false, err
		}
		return store.Result{}, false, &unknownError{ErrHeld}
	}
	res, _, err := s.sendOnce(ctx, guarded)
	return res, res.Outcome == store.Conflict, err
}
