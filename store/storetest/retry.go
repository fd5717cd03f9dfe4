package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// CommitRetry sends batch b again until its outcome is known. It also sends it
// again when the medium was full, and after a conflict in which every record
// listed is as b expects it. When ctx ends first the outcome is Unknown.
func CommitRetry(ctx context.Context, s store.Store, b store.Batch) (store.Result, error) {
	for {
		res, err := s.Commit(ctx, b)
		if ctx.Err() != nil {
			return res, err
		}
		switch {
		case errors.Is(err, store.ErrNoSpace):
		case err != nil:
			return res, fmt.Errorf("commit batch %x until known: %w", b.ID, err)
		case res.Outcome == store.Committed:
			return res, nil
		case res.Outcome == store.Conflict && !spurious(b, res.Conflicts):
			return res, nil
		}
	}
}

func spurious(b store.Batch, conflicts []store.Record) bool {
	return !slices.ContainsFunc(conflicts, func(r store.Record) bool {
		return !slices.ContainsFunc(b.Expect, func(x store.Expectation) bool { return x.Key == r.Key && x.Version == r.Version })
	})
}
