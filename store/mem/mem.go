package mem

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/internal/feed"
)

// The defaults of Config.
const (
	DefaultHistory  = 65536
	defaultKeyBytes = 1024
	defaultInFlight = 4
)

// Config says how a store behaves; its zero value is ready to use.
type Config struct {
	Limits  store.Limits // KeyBytes 0 means 1024, InFlight 0 means 4
	History int          // batches kept for Follow and for resends; 0 means DefaultHistory
}

// Store is a [store.Store] in memory.
type Store struct {
	limits store.Limits
	feed   *feed.Ring

	mu     sync.RWMutex
	slots  []store.Record // Version 0 marks a free slot
	free   []int
	index  map[store.Key]int // key to slot
	closed bool
}

var (
	_ store.Store  = (*Store)(nil)
	_ store.Shared = (*Store)(nil)
)

// New returns an empty store.
func New(cfg Config) *Store {
	if cfg.Limits.KeyBytes == 0 {
		cfg.Limits.KeyBytes = defaultKeyBytes
	}
	if cfg.Limits.InFlight == 0 {
		cfg.Limits.InFlight = defaultInFlight
	}
	if cfg.History == 0 {
		cfg.History = DefaultHistory
	}
	return &Store{limits: cfg.Limits, feed: feed.New(cfg.History, 0, 0), index: map[store.Key]int{}}
}

// Limits implements [store.Store].
func (s *Store) Limits() store.Limits { return s.limits }

// Load implements [store.Store].
func (s *Store) Load(ctx context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		records, at, err := s.snapshot()
		*rev = at
		for i := range records {
			if i%1024 == 0 {
				err = ctx.Err()
			}
			if err != nil {
				break
			}
			if !yield(records[i], nil) {
				return
			}
		}
		if err != nil {
			yield(store.Record{}, fmt.Errorf("load records at revision %d: %w", at, err))
		}
	}
}

func (s *Store) snapshot() ([]store.Record, uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, 0, store.ErrClosed
	}
	records := make([]store.Record, 0, len(s.index))
	for _, r := range s.slots {
		if r.Version != 0 {
			records = append(records, r)
		}
	}
	return records, s.feed.Last(), nil
}

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if err := b.Validate(s.limits); err != nil {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return store.Result{Outcome: store.Unknown, Cause: err}, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, store.ErrClosed)
	}
	if rev, known := s.feed.Revision(b.ID); known {
		return store.Result{Outcome: store.Committed, Revision: rev}, nil
	}
	conflicts, err := s.conflicts(b.Expect)
	switch {
	case err != nil:
		return store.Result{}, err
	case len(conflicts) > 0:
		return store.Result{Outcome: store.Conflict, Conflicts: conflicts, Revision: s.feed.Last()}, nil
	}
	return store.Result{Outcome: store.Committed, Revision: s.apply(b)}, nil
}

func (s *Store) conflicts(expect []store.Expectation) (conflicts []store.Record, err error) {
	for _, x := range expect {
		present := store.Record{Key: x.Key}
		if slot, ok := s.index[x.Key]; ok {
			present = s.slots[slot]
		}
		switch {
		case present.Version != x.Version:
			conflicts = append(conflicts, present)
		case x.Value != nil && !bytes.Equal(x.Value, present.Value):
			err = fmt.Errorf("record %v does not hold the value that is expected of its version: %w", x.Key, store.ErrInvalid)
		}
	}
	if len(conflicts) > 0 {
		return conflicts, nil
	}
	return nil, err
}

func (s *Store) apply(b store.Batch) uint64 {
	for _, p := range b.Puts {
		s.slots[s.slot(p.Key)] = store.Record{Key: p.Key, Version: b.Version, Value: p.Value}
	}
	for _, k := range b.Deletes {
		if slot, ok := s.index[k]; ok {
			delete(s.index, k)
			s.slots[slot] = store.Record{}
			s.free = append(s.free, slot)
		}
	}
	rev := s.feed.Last() + 1
	s.feed.Append(store.Event{
		Revision: rev, ID: b.ID, Version: b.Version,
		// The values are ours by the port, the lists are still the caller's.
		Puts: slices.Clone(b.Puts), Deletes: slices.Clone(b.Deletes),
	})
	return rev
}

// slot returns the slot of key k, taking a free one when it has none.
func (s *Store) slot(k store.Key) int {
	slot, ok := s.index[k]
	switch n := len(s.free); {
	case ok:
		return slot
	case n > 0:
		slot, s.free = s.free[n-1], s.free[:n-1]
	default:
		slot, s.slots = len(s.slots), append(s.slots, store.Record{})
	}
	s.index[k] = slot
	return slot
}

// Follow implements [store.Store]. It yields a progress mark each time it has
// caught up.
func (s *Store) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return s.feed.Follow(ctx, after)
}

// Latest implements [store.Shared]. A Follow has it without being asked.
func (s *Store) Latest(ctx context.Context) (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return 0, store.ErrClosed
	}
	return s.feed.Last(), ctx.Err()
}

// Close implements [store.Store].
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.feed.Close()
	return nil
}
