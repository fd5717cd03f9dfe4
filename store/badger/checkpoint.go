package badger

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/kilonova-cloud/kilonova/store"
)

const (
	keepFree = 64 << 20 // of free space that the store does not take, less on a small disk
	maxDue   = 1 << 30  // of log that waits for a checkpoint because the last one was large
)

// attempt is what a checkpoint up to a revision needs.
type attempt struct {
	until uint64
	need  int64
}

// asTables is how large a database of n bytes of records is at most.
func asTables(n int64) int64 { return n + n/8 }

// checkpoint folds the sealed segments into a new base and removes them. It
// changes nothing when it fails.
func (s *Store) checkpoint() error {
	sealed := s.wal.sealed()
	old := s.currentBase()
	if len(sealed) == 0 || sealed[len(sealed)-1].last <= old.Revision {
		return nil
	}
	until := sealed[len(sealed)-1].last
	if s.attempt.until == until { // it failed: do not read all of it again for nothing
		if err := s.roomFor(s.attempt.need); err != nil {
			return err
		}
	}
	changes, err := readChanges(sealed, old.Revision, until)
	if err != nil {
		return err
	}
	changes.sort(s.hasher)
	s.attempt = attempt{until, asTables(old.Bytes + changes.bytes())}
	if err := s.roomFor(s.attempt.need); err != nil {
		return err
	}
	dir := generation(s.cfg.Dir, until)
	m, err := build(dir, old, changes, func(n int64) error {
		if s.queue.isClosed() {
			return store.ErrClosed
		}
		return s.roomFor(n)
	})
	if err != nil {
		_ = os.RemoveAll(dir)
		return err
	}
	m.Format, m.Revision = formatVersion, until
	next := &base{manifest: m, dir: dir, logger: old.logger, verified: true}
	if err := s.publish(next); err != nil {
		return err
	}
	return s.retire(old, next)
}

// publish makes next the base that a reopened store starts from.
func (s *Store) publish(next *base) error {
	text, err := json.Marshal(next.manifest)
	if err != nil {
		return fmt.Errorf("encode checkpoint %d: %w", next.Revision, err)
	}
	if err := syncDir(badgerDir(s.cfg.Dir)); err != nil {
		return err
	}
	if err := writeFileSync(checkpointPath(s.cfg.Dir), sealText(string(text))); err != nil {
		_ = os.RemoveAll(next.dir)
		return err
	}
	return syncDir(s.cfg.Dir)
}

// retire switches to next and removes what it replaces.
func (s *Store) retire(old, next *base) error {
	s.files.Lock()
	defer s.files.Unlock()
	s.base = next
	s.checkpoints.Add(1)
	err := s.wal.drop(next.Revision)
	if closing := old.replace(); err == nil {
		err = closing
	}
	return err
}

// roomFor returns nil when n bytes can be taken and enough stays free.
func (s *Store) roomFor(n int64) error {
	total, free, err := space(s.cfg.Dir)
	if err != nil {
		return err
	}
	keep := min(keepFree, total/16)
	if free-n < keep {
		return fmt.Errorf("store %s needs %d bytes and leaves %d free, but there are %d: %w", s.cfg.Dir, n, keep, free, store.ErrNoSpace)
	}
	return nil
}

// roomForSegment returns nil when a log file of n bytes can be made and the
// next checkpoint still finds its place beside it. Else the log could fill the
// disk, and nothing but a checkpoint makes it smaller.
func (s *Store) roomForSegment(n int64) error {
	return s.roomFor(n + asTables(s.currentBase().Bytes+filled(s.wal.list())))
}
