// Package copying copies all records of one store into another, of whatever
// kind the two are. A target whose copy was cut off carries a mark: [Check]
// refuses it, and a second [Copy] empties it and begins anew.
//
// Records keep keys and values; versions are chosen anew, since a batch has one
// version and a store may not go back. What intents hold in the source is
// copied as its readers see it, so nothing unfinished is taken along.
//
//	res, err := copying.Copy(ctx, from, to, copying.Config{From: "badger:///var/lib/kilonova"})
package copying

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
)

// kindMark is of the one record that marks a target. Engines must not use it,
// and refuse a store that has it.
const kindMark store.Kind = 210

const (
	batchRecords = 1000    // of a batch, unless the store allows less
	batchBytes   = 1 << 20 // of a batch, unless the store allows less or one record has more
)

// The errors that callers branch on.
var (
	// ErrUnfinished: the store holds a part of another one.
	ErrUnfinished = errors.New("a copy into it is unfinished")
	// ErrNotEmpty: the target holds records that no copy has written.
	ErrNotEmpty = errors.New("the target is not empty")
	// ErrDiffers: source and target are not equal after the copy.
	ErrDiffers = errors.New("source and target differ")
	// ErrOvertaken: another copy into the same target has begun.
	ErrOvertaken = errors.New("another copy into the target is under way")
)

// Config says what to tell; its zero value is ready to use.
type Config struct {
	From     string                       // the source's name, kept in the mark
	Progress func(step string, count int) // after every batch: records so far; calls do not overlap
}

// Result is what a copy has done.
type Result struct {
	Records int   // of the source
	Bytes   int64 // of their keys and values
	Removed int   // records that an unfinished copy had left in the target
}

func markKey() store.Key { return store.Key{Kind: kindMark} }

// Check returns [ErrUnfinished], with the source's name, when s is the target
// of a copy that did not end. It reads nothing but the mark.
func Check(ctx context.Context, s store.Store) error {
	res, err := s.Commit(ctx, store.Batch{ID: newID(), Version: 1, Expect: []store.Expectation{{Key: markKey()}}})
	if err == nil && res.Outcome == store.Conflict {
		return fmt.Errorf("copy from %q: %w", res.Conflicts[0].Value, ErrUnfinished)
	}
	return nil // what else is wrong, who opens the store will find out
}

func newID() (id store.BatchID) {
	_, _ = rand.Read(id[:]) // does not fail
	return id
}

// Copy makes to, which must be empty or the target of a copy that was cut off,
// hold what from holds, and compares both in the end. Nobody may write to
// either meanwhile; [ErrDiffers] says that somebody did.
func Copy(ctx context.Context, from, to store.Store, cfg Config) (Result, error) {
	if cfg.Progress == nil {
		cfg.Progress = func(string, int) {}
	}
	c := &copier{from: intent.Wrap(from, intent.Config{}), to: to, cfg: cfg}
	left, err := c.begin(ctx)
	if err != nil {
		return c.res, err
	}
	if err := c.wipe(ctx, left); err != nil {
		return c.res, fmt.Errorf("empty the target: %w", err)
	}
	if err := c.write(ctx); err != nil {
		return c.res, fmt.Errorf("copy: %w", err)
	}
	if err := c.compare(ctx); err != nil {
		return c.res, fmt.Errorf("compare: %w", err)
	}
	end := c.batch()
	end.Deletes = []store.Key{markKey()}
	return c.res, c.commit(ctx, end)
}

// copier is one Copy.
type copier struct {
	from, to store.Store
	cfg      Config
	res      Result
	mark     uint64 // version of the mark
	version  uint64 // the last one used
}

// batch is one that takes effect only as long as the mark is ours.
func (c *copier) batch() store.Batch {
	c.version++
	return store.Batch{ID: newID(), Version: c.version, Expect: []store.Expectation{{Key: markKey(), Version: c.mark}}}
}

// begin marks the target and returns what is left in it of an earlier copy.
func (c *copier) begin(ctx context.Context) (left []store.Key, err error) {
	var revision uint64
	for r, err := range c.to.Load(ctx, &revision) {
		if err != nil {
			return nil, fmt.Errorf("read the target: %w", err)
		}
		c.version = max(c.version, r.Version)
		if r.Key == markKey() {
			c.mark = r.Version
			continue
		}
		left = append(left, r.Key)
	}
	if c.mark == 0 && len(left) > 0 {
		return nil, fmt.Errorf("%w: it holds %d records", ErrNotEmpty, len(left))
	}
	c.version = max(c.version, revision) // versions of what was deleted do not come back
	b := c.batch()
	b.Puts = []store.Put{{Key: markKey(), Value: []byte(c.cfg.From)}}
	c.mark = b.Version
	return left, c.commit(ctx, b)
}

func (c *copier) wipe(ctx context.Context, left []store.Key) error {
	return c.inFlight(ctx, func(ctx context.Context, send func(store.Batch)) error {
		for len(left) > 0 && ctx.Err() == nil {
			n := min(len(left), c.records())
			b := c.batch()
			b.Deletes, left = left[:n], left[n:]
			send(b)
			c.res.Removed += n
			c.cfg.Progress("emptying", c.res.Removed)
		}
		return ctx.Err()
	})
}

// records is how many a batch may hold.
func (c *copier) records() int {
	if n := c.to.Limits().Records; n > 0 {
		return min(n, batchRecords)
	}
	return batchRecords
}

// write sends what the source holds.
func (c *copier) write(ctx context.Context) error {
	return c.inFlight(ctx, func(ctx context.Context, send func(store.Batch)) error {
		b, size := c.batch(), 0
		for r, err := range c.source(ctx) {
			if err != nil {
				return err
			}
			n := len(r.Key.ID) + len(r.Value)
			if limit := c.to.Limits().Bytes; limit > 0 && n > limit {
				return fmt.Errorf("record %v has %d bytes, allowed are %d: %w", r.Key, n, limit, store.ErrTooLarge)
			}
			if len(b.Puts) == c.records() || len(b.Puts) > 0 && size+n > c.bytes() {
				send(b)
				c.cfg.Progress("copying", c.res.Records)
				b, size = c.batch(), 0
			}
			b.Puts = append(b.Puts, store.Put{Key: r.Key, Value: r.Value})
			size += n
			c.res.Records++
			c.res.Bytes += int64(n)
		}
		send(b)
		c.cfg.Progress("copying", c.res.Records)
		return nil
	})
}

func (c *copier) bytes() int {
	if n := c.to.Limits().Bytes; n > 0 {
		return min(n, batchBytes)
	}
	return batchBytes
}

// source yields the source's records.
func (c *copier) source(ctx context.Context) func(func(store.Record, error) bool) {
	return func(yield func(store.Record, error) bool) {
		var revision uint64
		for r, err := range c.from.Load(ctx, &revision) {
			if err == nil && r.Key == markKey() {
				err = fmt.Errorf("the source, copy from %q: %w", r.Value, ErrUnfinished)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// compare reads both sides again.
func (c *copier) compare(ctx context.Context) error {
	want := make(map[store.Key][sha256.Size]byte, c.res.Records)
	for r, err := range c.source(ctx) {
		if err != nil {
			return err
		}
		want[r.Key] = sha256.Sum256(r.Value)
	}
	differ, seen, first := 0, 0, store.Key{}
	var revision uint64
	for r, err := range c.to.Load(ctx, &revision) {
		if err != nil {
			return fmt.Errorf("read the target: %w", err)
		}
		if r.Key == markKey() {
			continue
		}
		if sum, ok := want[r.Key]; !ok || sum != sha256.Sum256(r.Value) {
			differ, first = differ+1, r.Key
		}
		delete(want, r.Key)
		if seen++; seen%batchRecords == 0 {
			c.cfg.Progress("comparing", seen)
		}
	}
	for k := range want {
		differ, first = differ+1, k
	}
	if differ > 0 {
		return fmt.Errorf("%w in %d records, such as %v; did somebody write to them?", ErrDiffers, differ, first)
	}
	return nil
}
