package badger

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
)

// wal is the write-ahead log. One goroutine appends; any may read segments.
type wal struct {
	dir          string
	segmentBytes int64
	noSync       bool
	room         func(n int64) error // says whether n bytes may be taken for a segment
	file         *os.File            // the last segment's; nil while there is none
	limit        int64               // of that file's size, unless one group needs more

	mu       sync.Mutex
	segments []segment // oldest first; the last one is written to
}

// openLog opens the log in dir and hands every frame after revision base to
// visit. The log must reach the high-water mark; what follows it and is not
// whole is cut off.
func openLog(dir string, base, high uint64, visit func(frame) error) (*wal, error) {
	w := &wal{dir: dir, segmentBytes: DefaultSegmentBytes}
	all, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	last := base
	for i, s := range all {
		newest := i == len(all)-1
		if !newest && all[i+1].first <= base+1 {
			if err := os.Remove(s.path); err != nil { // a crash came between checkpoint and removal
				return nil, fmt.Errorf("remove log file %s below checkpoint %d: %w", s.path, base, err)
			}
			continue
		}
		if s.first > last+1 {
			return nil, fmt.Errorf("log file %s follows revision %d: revisions between them are missing: %w", s.path, last, store.ErrDamaged)
		}
		err := s.scan(0, func(f frame) error {
			if f.revision <= base {
				return nil
			}
			return visit(f)
		})
		if err := tolerable(err, &s, newest, high); err != nil {
			return nil, err
		}
		if s.end == 0 {
			if err := os.Remove(s.path); err != nil {
				return nil, fmt.Errorf("remove unfinished log file %s: %w", s.path, err)
			}
			continue
		}
		last = max(last, s.last)
		w.segments = append(w.segments, s)
	}
	if last < high {
		return nil, fmt.Errorf("log %s ends at revision %d but revision %d was acknowledged: %w", dir, last, high, store.ErrDamaged)
	}
	return w, w.reopen(last)
}

// tolerable returns nil when what scan found at the end of s is what a crash
// leaves: a torn frame or header in the newest segment, beyond revision high.
func tolerable(err error, s *segment, newest bool, high uint64) error {
	switch {
	case err == nil || errors.Is(err, store.ErrDamaged):
		return err
	case !errors.Is(err, errHeader) && !errors.Is(err, errFrameBad):
		return err
	case newest && s.last >= high:
		return nil
	}
	return fmt.Errorf("%w (acknowledged up to revision %d): %w", err, high, store.ErrDamaged)
}

// reopen makes the newest segment ready for the frame after revision last.
func (w *wal) reopen(last uint64) error {
	n := len(w.segments)
	if n == 0 || w.segments[n-1].last != last { // all of it is in the checkpoint
		return nil
	}
	s := w.segments[n-1]
	file, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open log file %s: %w", s.path, err)
	}
	w.file = file
	size := int64(0)
	if info, err := file.Stat(); err == nil {
		size = info.Size()
	}
	w.limit = max(size, s.end)
	if err := w.cut(s.end); err != nil {
		return err
	}
	_ = preallocate(file, w.limit) // only for speed
	return nil
}

// append writes frames of the revisions first to last and makes them durable.
// An error says that they are not in the log and never will be, unless doubt
// is true: then that is not known, and the log must not be written again.
func (w *wal) append(frames []byte, first, last uint64) (doubt bool, err error) {
	s := w.newest()
	full := s.last >= s.first && s.end+int64(len(frames)) > w.limit
	if w.file == nil || full {
		if err := w.roll(first, int64(len(frames))); err != nil {
			return false, err
		}
		s = w.newest()
	}
	if _, err := w.file.WriteAt(frames, s.end); err != nil {
		err = fmt.Errorf("write revisions %d to %d to log file %s: %w", first, last, s.path, noSpace(err))
		undone := w.cut(s.end)
		return undone != nil, errors.Join(err, undone)
	}
	if !w.noSync {
		if err := dataSync(w.file); err != nil {
			return true, fmt.Errorf("sync revisions %d to %d in log file %s: %w", first, last, s.path, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	newest := &w.segments[len(w.segments)-1]
	newest.last, newest.end = last, newest.end+int64(len(frames))
	return false, nil
}

// cut durably drops everything after offset end of the newest segment.
func (w *wal) cut(end int64) error {
	if err := errors.Join(w.file.Truncate(end), w.file.Sync()); err != nil {
		return fmt.Errorf("cut log file %s at offset %d: %w", w.file.Name(), end, err)
	}
	return nil
}

// roll starts a segment with room for a group of n bytes from revision first.
// It leaves the log as it was when it fails.
func (w *wal) roll(first uint64, n int64) (err error) {
	size := w.nextSize(segmentHeader + n)
	if err := w.room(size); err != nil {
		return err
	}
	path := segmentPath(w.dir, first)
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("create log file %s: %w", path, noSpace(err))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, file.Close(), os.Remove(path))
		}
	}()
	limit := reserve(file, size, segmentHeader+n)
	if _, err := file.WriteAt(appendSegmentHeader(nil, first), 0); err != nil {
		return fmt.Errorf("write log file %s: %w", path, noSpace(err))
	}
	if !w.noSync {
		if err := errors.Join(file.Sync(), syncDir(w.dir)); err != nil {
			return fmt.Errorf("sync log file %s: %w", path, noSpace(err))
		}
	}
	if w.file != nil {
		// Gives back what was reserved and not used; a failure only costs space.
		_ = errors.Join(w.file.Truncate(w.newest().end), w.file.Close())
	}
	w.file, w.limit = file, limit
	w.mu.Lock()
	defer w.mu.Unlock()
	w.segments = append(w.segments, segment{path: path, first: first, last: first - 1, end: segmentHeader})
	return nil
}

// nextSize is how large the next segment is made: less than configured when
// the disk is small or nearly full, but never less than least.
func (w *wal) nextSize(least int64) int64 {
	size := w.segmentBytes
	if _, free, err := space(w.dir); err == nil {
		size = min(size, max(free/16, minSegmentBytes))
	}
	return max(size, least)
}

// reserve preallocates size bytes for file, or as much as there is from least
// on, or nothing when the file system cannot. It returns how large the file
// may grow.
func reserve(file *os.File, size, least int64) int64 {
	for try := size; try >= least; try /= 2 {
		if preallocate(file, try) == nil {
			return try
		}
	}
	return size
}

// newest returns the last segment, or none.
func (w *wal) newest() segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.segments) == 0 {
		return segment{}
	}
	return w.segments[len(w.segments)-1]
}

// list returns all segments, oldest first.
func (w *wal) list() []segment {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]segment(nil), w.segments...)
}

// sealed returns the segments that are written to no more.
func (w *wal) sealed() []segment {
	all := w.list()
	return all[:max(len(all)-1, 0)]
}

// drop removes the sealed segments that end at or below revision base.
func (w *wal) drop(base uint64) error {
	var gone []segment
	w.mu.Lock()
	for len(w.segments) > 1 && w.segments[0].last <= base {
		gone = append(gone, w.segments[0])
		w.segments = w.segments[1:]
	}
	w.mu.Unlock()
	var errs error
	for _, s := range gone {
		errs = errors.Join(errs, os.Remove(s.path))
	}
	return errs
}

// filled is how many bytes segments hold.
func filled(segments []segment) (n int64) {
	for _, s := range segments {
		n += s.end
	}
	return n
}

// close syncs and closes the log.
func (w *wal) close() error {
	if w.file == nil {
		return nil
	}
	if err := errors.Join(w.file.Sync(), w.file.Close()); err != nil {
		return fmt.Errorf("close the log %s: %w", w.dir, err)
	}
	return nil
}
