package intent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// DefaultLease is how long an intent stays its writer's without a sign of life.
const DefaultLease = 10 * time.Second

// maxOpen is how many intents the directory lists at most; more wait.
const maxOpen = 16

// ErrHeld is the cause of an Unknown outcome: the batch writes, expecting
// nothing, what an unfinished larger batch holds, or too many of those are
// under way. Nothing was applied; sent again later, it will be.
var ErrHeld = errors.New("held by an unfinished larger batch")

// Config says who writes; its zero value is ready to use.
type Config struct {
	// Owner tells this store's intents from those of others. No two stores
	// that are open at once may have the same; "": drawn at random. A process
	// that comes back under its old name settles what it left without waiting.
	Owner string
	// Lease is how long an intent without a sign of life is left alone; 0:
	// DefaultLease. Clocks that differ by more cost retries, not records.
	Lease time.Duration
	// Now is the clock for leases; nil: it stands still, so only writers that
	// are known to be gone lose theirs.
	Now func() time.Time
}

// DirectoryWeight and one record are the share that intents take of what the
// store below allows for the expectations of a batch.
const DirectoryWeight = 2

// Store is a [store.Store] without limits around one that has them.
type Store struct {
	inner  store.Store
	cfg    Config
	limits store.Limits // of inner
	eager  int          // batches with so many changes are intents even when they fit; 0: none

	mu       sync.Mutex
	dir      directory // the newest one seen
	turn     Turn      // the newest one that Load and Follow have yielded
	clock    uint64    // the greatest version seen
	revision uint64    // the greatest revision seen
	busy     map[store.BatchID]chan struct{}
	loads    []snapshot
}

var _ store.Store = (*Store)(nil)

// Wrap returns a store without limits that keeps its records in inner, which
// it closes with itself. A record's old and new value together must fit one
// batch of inner, which must hold at least 3 records and 4 KiB.
func Wrap(inner store.Store, cfg Config) *Store {
	if cfg.Owner == "" {
		cfg.Owner = rand.Text()
	}
	if cfg.Lease <= 0 {
		cfg.Lease = DefaultLease
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Unix(0, 0) }
	}
	return &Store{inner: inner, cfg: cfg, limits: inner.Limits(), busy: map[store.BatchID]chan struct{}{}}
}

// Limits implements [store.Store]: those of the store below, without a limit
// on records and bytes.
func (s *Store) Limits() store.Limits {
	l := s.limits
	l.Records, l.Weight, l.Bytes = 0, 0, 0
	return l
}

// Close implements [store.Store].
func (s *Store) Close() error { return s.inner.Close() }

// Commit implements [store.Store]. A batch that the store below cannot hold
// must put or delete every key that it expects anything of, or it is
// [store.ErrInvalid]; a record in it that does not fit one batch of the store
// below is [store.ErrTooLarge]. The directory takes one expectation of every
// batch's share.
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	return s.submit(ctx, planned{Batch: b})
}

func (s *Store) submit(ctx context.Context, b planned) (store.Result, error) {
	if err := s.check(&b.Batch); err != nil {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, err)
	}
	release, err := s.begin(ctx, b.ID)
	if err != nil {
		return store.Result{Outcome: store.Unknown, Cause: err}, nil
	}
	defer release()
	s.note(b.Version, 0)
	res, err := s.commit(ctx, b)
	var lost *unknownError
	if errors.As(err, &lost) {
		return store.Result{Outcome: store.Unknown, Cause: lost.cause}, nil
	}
	if err != nil {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, err)
	}
	return res, nil
}

func (s *Store) commit(ctx context.Context, b planned) (store.Result, error) {
	if !s.straight(&b.Batch) {
		return s.commitLarge(ctx, b)
	}
	return s.commitSmall(ctx, b)
}

// check reports the first rule that b breaks, or nil.
func (s *Store) check(b *store.Batch) error {
	if err := b.Validate(s.Limits()); err != nil {
		return err
	}
	for k := range keysOf(b) {
		if k.Kind == kindDirectory || k.Kind == kindChunk {
			return fmt.Errorf("key %v: kinds %d and %d are taken by intents: %w", k, kindDirectory, kindChunk, store.ErrInvalid)
		}
	}
	if !s.fits(b) && !splittable(b) {
		return fmt.Errorf("%d expectations and %d changes do not fit one batch, and not every expected key is changed: %w",
			len(b.Expect), len(b.Puts)+len(b.Deletes), store.ErrInvalid)
	}
	return nil
}

// fits reports whether the store below can hold b and an expectation of the
// directory.
func (s *Store) fits(b *store.Batch) bool {
	if n := s.limits.Records; n > 0 && max(len(b.Expect)+1, len(b.Puts)+len(b.Deletes)) > n {
		return false
	}
	if n := s.limits.Weight; n > 0 && b.Weight()+DirectoryWeight > n {
		return false
	}
	return s.limits.Bytes == 0 || sizeOf(b) <= s.limits.Bytes
}

// straight reports whether b need not become an intent.
func (s *Store) straight(b *store.Batch) bool {
	if s.eager > 0 && len(b.Puts)+len(b.Deletes) >= s.eager && splittable(b) {
		return false
	}
	return s.fits(b)
}

// splittable reports whether b changes every key that it expects anything of:
// then no part of it depends on a record that it does not hold.
func splittable(b *store.Batch) bool {
	if len(b.Expect) == 0 {
		return true
	}
	changed := make(map[store.Key]struct{}, len(b.Puts)+len(b.Deletes))
	for i := range b.Puts {
		changed[b.Puts[i].Key] = struct{}{}
	}
	for _, k := range b.Deletes {
		changed[k] = struct{}{}
	}
	return !slices.ContainsFunc(b.Expect, func(x store.Expectation) bool {
		_, ok := changed[x.Key]
		return !ok
	})
}

func sizeOf(b *store.Batch) int {
	size := 0
	for i := range b.Puts {
		size += len(b.Puts[i].Key.ID) + len(b.Puts[i].Value)
	}
	for _, k := range b.Deletes {
		size += len(k.ID)
	}
	return size
}

// begin makes this call the only one at work on batch id: two tries of one
// batch that are answered apart could be answered differently.
func (s *Store) begin(ctx context.Context, id store.BatchID) (release func(), err error) {
	mine := make(chan struct{})
	for {
		s.mu.Lock()
		other, taken := s.busy[id]
		if !taken {
			s.busy[id] = mine
		}
		s.mu.Unlock()
		if !taken {
			return func() { s.end(id, mine) }, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (s *Store) end(id store.BatchID, mine chan struct{}) {
	s.mu.Lock()
	delete(s.busy, id)
	s.mu.Unlock()
	close(mine)
}

// note keeps the clocks ahead of everything seen.
func (s *Store) note(version, revision uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock, s.revision = max(s.clock, version), max(s.revision, revision)
}

// tick returns a version greater than x and than every version seen.
func (s *Store) tick(x uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = max(s.clock, x) + 1
	return s.clock
}

// adopt keeps d when it is newer than the directory known.
func (s *Store) adopt(d directory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d.version > s.dir.version {
		s.dir = d
	}
}

func (s *Store) known() directory {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dir
}

// dead reports whether nobody works on intent x any more: its lease has ended,
// or it is this store's own and left behind.
func (s *Store) dead(x intent) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.busy[x.id]; x.owner == s.cfg.Owner && !busy {
		return true
	}
	return s.cfg.Now().UnixNano() >= x.expiry
}

func newID() (id store.BatchID) {
	_, _ = rand.Read(id[:]) // never fails
	return id
}

// unknownError says that ctx ended, or that another batch is in the way,
// before the outcome was known.
type unknownError struct{ cause error }

func (e *unknownError) Error() string { return "outcome is unknown: " + e.cause.Error() }

func (e *unknownError) Unwrap() error { return e.cause }
