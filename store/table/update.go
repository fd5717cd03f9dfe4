package table

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/store"
)

// Update runs plan and commits what it wrote as one batch, if every row that
// it got, put, created or deleted is still as plan saw it; otherwise it runs
// plan again on the rows of now. So plan must do nothing but read and write
// rows. Update returns the revision at which the change took effect, or 0
// when plan wrote nothing.
//
// An error of plan is returned as it is, and nothing has changed. Before it is
// returned, a database that others write to as well is brought up to date and
// plan is run again, so that no refusal rests on what is no longer so.
func (db *DB) Update(ctx context.Context, plan func(tx *Tx) error) (revision uint64, err error) {
	fresh := false
	for tries := 1; ; tries++ {
		tx, seen, err := db.plan(plan)
		switch {
		case err != nil && !fresh && db.shared() != nil && db.Err() == nil:
			if err := db.Fresh(ctx); err != nil {
				return 0, err
			}
			fresh = true
			continue
		case err != nil:
			return 0, err
		case len(tx.order) == 0:
			return 0, nil
		}
		b := tx.batch(db.cfg.NewID(), db.nextVersion())
		revision, err = db.commit(ctx, b)
		if !errors.Is(err, errConflict) {
			return revision, err
		}
		fresh = false
		if err := db.pause(ctx, seen, tries); err != nil {
			return 0, fmt.Errorf("change lost %d races: %w", tries, err)
		}
	}
}

// plan runs one attempt of an Update. The revision is that of what it saw.
func (db *DB) plan(f func(tx *Tx) error) (*Tx, uint64, error) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if db.failed != nil {
		return nil, 0, db.failed
	}
	tx := &Tx{db: db, writes: map[store.Key]*write{}, expect: map[store.Key]uint64{}}
	tx.demand(schemaKey, db.schema.record)
	return tx, db.revision, f(tx)
}

// errConflict: something that was read has changed.
var errConflict = errors.New("conflict")

// outcome says how one try to commit ended: with a revision, with an error
// that settles it, or with neither, and then it is to be tried again.
// Unsettled says that an earlier try may still take effect.
func outcome(res store.Result, err error, unsettled bool) (revision uint64, settled error) {
	switch {
	case err != nil && !unsettled:
		return 0, fmt.Errorf("commit: %w", err)
	case errors.Is(err, store.ErrNoSpace):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("commit: %w: %w", ErrOutcomeUnknown, err)
	case res.Outcome == store.Committed:
		return res.Revision, nil
	case res.Outcome == store.Conflict:
		return 0, errConflict
	}
	return 0, nil
}

func (db *DB) shared() store.Shared {
	if !db.cfg.Store.Limits().Shared {
		return nil
	}
	s, _ := db.cfg.Store.(store.Shared)
	return s
}

// Fresh waits until everything is visible that others had committed before
// the call. On a store that only this process writes to it returns at once.
func (db *DB) Fresh(ctx context.Context) error {
	s := db.shared()
	if s == nil {
		return db.Err()
	}
	latest, err := s.Latest(ctx)
	if err != nil {
		return fmt.Errorf("ask the store for its latest revision: %w", err)
	}
	return db.reach(ctx, latest)
}

func randomID() (id store.BatchID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}
