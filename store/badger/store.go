package badger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/internal/feed"
)

// errStopped marks the cause of every Unknown after a sync has failed: what
// the disk holds is not known until the store is opened again.
var errStopped = errors.New("store has stopped until it is opened again")

// Store is a [store.Store] in a directory.
type Store struct {
	cfg    Config
	log    *slog.Logger
	hasher hasher
	lock   *os.File
	mark   *mark
	wal    *wal
	feed   *feed.Ring
	queue  *queue
	table  atomic.Pointer[table] // nil until the first pass over the records

	files sync.RWMutex // held while segments are read, and written while they are removed
	base  *base

	due           chan struct{} // asks for a checkpoint
	closing       chan struct{}
	running       sync.WaitGroup // the committing goroutine
	checkpointing sync.WaitGroup
	requests      sync.Pool

	attempt     attempt // of the checkpointing goroutine
	lastSync    atomic.Int64
	checkpoints atomic.Uint64

	state  sync.Mutex
	failed error // for good
	full   error // until a commit succeeds again
}

var _ store.Store = (*Store)(nil)

// Stats is what a store tells of itself.
type Stats struct {
	Revision           uint64        // newest
	CheckpointRevision uint64        // of the newest checkpoint; 0: none
	LogBytes           int64         // in the log, checkpointed or not
	LastSync           time.Duration // of the last write to the log with its sync
	Checkpoints        uint64        // made since the store was opened
	FreeBytes          int64         // on the file system
}

// Open opens the store in cfg.Dir, or creates one. A checkpoint that is due
// waits for the first Load or Commit. The errors of the port that
// it returns are [store.ErrDamaged], [store.ErrLocked], [store.ErrNewerFormat]
// and [store.ErrNoSpace].
func Open(cfg Config) (*Store, error) {
	cfg, err := cfg.normal()
	if err != nil {
		return nil, fmt.Errorf("open store %q: %w", cfg.Dir, err)
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Dir, noSpace(err))
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: cfg.Logger, hasher: newHasher(), lock: lock, queue: newQueue(),
		due: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Dir, err), unlock(lock))
	}
	s.start()
	return s, nil
}

func (s *Store) open() error {
	if err := checkFormat(s.cfg.Dir); err != nil {
		return err
	}
	m, high, err := openMark(markPath(s.cfg.Dir))
	if err != nil {
		return err
	}
	s.mark = m
	if err := s.openRecords(high); err != nil {
		return errors.Join(err, m.file.Close())
	}
	return nil
}

func (s *Store) openRecords(high uint64) (err error) {
	if s.base, err = openBase(s.cfg.Dir, s.log); err != nil {
		return err
	}
	s.feed = feed.New(s.cfg.History, historyBytes, s.base.Revision)
	s.wal, err = openLog(walDir(s.cfg.Dir), s.base.Revision, high, func(f frame) error {
		f.payload = bytes.Clone(f.payload)
		ev, err := f.event()
		if err == nil {
			s.feed.Append(ev)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.wal.segmentBytes, s.wal.noSync, s.wal.room = s.cfg.SegmentBytes, s.cfg.NoSync, s.roomForSegment
	if last := s.feed.Last(); last > high {
		return s.mark.set(last)
	}
	return nil
}

// Limits implements [store.Store].
func (s *Store) Limits() store.Limits { return limits() }

// Commit implements [store.Store].
func (s *Store) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if err := b.Validate(limits()); err != nil {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, err)
	}
	if err := ctx.Err(); err != nil {
		return store.Result{Outcome: store.Unknown, Cause: err}, nil //nolint:nilerr // so says the port
	}
	r, ok := s.requests.Get().(*request)
	if !ok {
		r = &request{done: make(chan struct{}, 1)}
	}
	r.prepare(b, s.hasher)
	if err := s.queue.put(r); err != nil {
		return store.Result{}, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return store.Result{Outcome: store.Unknown, Cause: ctx.Err()}, nil
	}
	res, err := r.result, r.err
	if cap(r.payload) > groupBytes {
		r.payload = nil
	}
	r.batch, r.result, r.err = store.Batch{}, store.Result{}, nil
	s.requests.Put(r)
	return res, err
}

// Follow implements [store.Store]. It yields a progress mark each time it has
// caught up. After a restart the history goes back to the checkpoint, at most.
func (s *Store) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return s.feed.Follow(ctx, after)
}

// Close implements [store.Store]. A Load under way ends with ErrClosed.
func (s *Store) Close() error {
	if !s.queue.close() {
		return nil
	}
	close(s.closing)
	s.running.Wait()
	s.checkpointing.Wait()
	s.feed.Close()
	if err := errors.Join(s.wal.close(), s.mark.close(), unlock(s.lock)); err != nil {
		return fmt.Errorf("close store %s: %w", s.cfg.Dir, err)
	}
	return nil
}

// Stats returns what the store can tell of itself now.
func (s *Store) Stats() Stats {
	_, free, err := space(s.cfg.Dir)
	if err != nil {
		free = -1
	}
	return Stats{
		Revision: s.feed.Last(), CheckpointRevision: s.currentBase().Revision, LogBytes: filled(s.wal.list()),
		LastSync: time.Duration(s.lastSync.Load()), Checkpoints: s.checkpoints.Load(), FreeBytes: free,
	}
}

// Healthy returns nil when commits can be expected to succeed. Otherwise it
// returns why not: ErrClosed, ErrNoSpace, or the failure that stopped it.
func (s *Store) Healthy() error {
	if s.queue.isClosed() {
		return fmt.Errorf("store %s: %w", s.cfg.Dir, store.ErrClosed)
	}
	s.state.Lock()
	defer s.state.Unlock()
	return errors.Join(s.failed, s.full)
}

func (s *Store) currentBase() *base {
	s.files.RLock()
	defer s.files.RUnlock()
	return s.base
}

func (s *Store) failure() error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.failed
}

// setFailed stops the store because of cause and returns why.
func (s *Store) setFailed(cause error) error {
	s.state.Lock()
	defer s.state.Unlock()
	s.failed = fmt.Errorf("%w: %w", errStopped, cause)
	s.log.Error("store has stopped", slog.String("dir", s.cfg.Dir), slog.String("error", cause.Error()))
	return s.failed
}

// setFull notes how the last write ended. A full disk asks for a checkpoint,
// which may free more than it takes.
func (s *Store) setFull(err error) {
	if !errors.Is(err, store.ErrNoSpace) {
		err = nil
	}
	s.state.Lock()
	s.full = err
	s.state.Unlock()
	if err != nil {
		s.askCheckpoint()
	}
}

// checkpointIfDue asks for a checkpoint when the sealed segments are large
// enough: by the configuration, for the disk, and compared with what must be
// written again.
func (s *Store) checkpointIfDue() {
	due := s.cfg.CheckpointBytes
	if total, _, err := space(s.cfg.Dir); err == nil {
		due = min(due, total/8)
	}
	due = max(due, min(s.currentBase().Bytes/2, maxDue))
	if filled(s.wal.sealed()) >= due {
		s.askCheckpoint()
	}
}

func (s *Store) askCheckpoint() {
	select {
	case s.due <- struct{}{}:
	default:
	}
}
