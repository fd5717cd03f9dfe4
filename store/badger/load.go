package badger

import (
	"context"
	"errors"
	"fmt"
	"iter"

	badgerdb "github.com/dgraph-io/badger/v4"

	"github.com/kilonova-cloud/kilonova/store"
)

// chunkRecords is how many records the reader of a checkpoint hands over at
// once. They share memory.
const chunkRecords = 256

// sieveAhead is how many steps the sieve makes for each chunk.
const sieveAhead = 4 * chunkRecords / lookAhead

// view is the records at one revision: a checkpoint and what the log changes.
type view struct {
	revision uint64
	base     *base
	db       *badgerdb.DB // nil: the checkpoint is empty
	changes  *changes
}

// view holds a checkpoint open until its base is released.
func (s *Store) view() (*view, error) {
	s.files.RLock()
	defer s.files.RUnlock()
	if s.queue.isClosed() {
		return nil, store.ErrClosed
	}
	v := &view{revision: s.feed.Last(), base: s.base}
	var err error
	if v.changes, err = readChanges(s.wal.list(), v.base.Revision, v.revision); err != nil {
		return nil, damage(err)
	}
	v.db, err = v.base.acquire()
	return v, err
}

// damage adds store.ErrDamaged to err when it says that the log, which was
// whole when the store was opened, is not any more.
func damage(err error) error {
	if errors.Is(err, errFrameBad) || errors.Is(err, errHeader) {
		return fmt.Errorf("%w: %w", store.ErrDamaged, err)
	}
	return err
}

// Load implements [store.Store]. It reads the checkpoint and the log, not the
// memory of the process, and verifies every byte of them.
func (s *Store) Load(ctx context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		v, err := s.view()
		if err == nil {
			*rev = v.revision
			var stopped bool
			stopped, err = s.loadView(ctx, v, yield)
			err = errors.Join(err, v.base.release())
			if stopped {
				return
			}
		}
		if err != nil {
			yield(store.Record{}, fmt.Errorf("load store %s: %w", s.cfg.Dir, err))
		}
	}
}

// loadView yields the records of v and reports whether yield stopped it. When
// all of them were yielded and the store has no table yet, it gets one.
func (s *Store) loadView(ctx context.Context, v *view, yield func(store.Record, error) bool) (stopped bool, err error) {
	r := newReader(v, s.hasher, s.table.Load() == nil)
	ctx, cancel := context.WithCancel(ctx)
	chunks, wait := s.readChunks(ctx, r)
	for records := range chunks {
		for i := 0; i < len(records) && !stopped; i++ {
			stopped = !yield(records[i], nil)
		}
		if stopped {
			break
		}
	}
	cancel()
	if err := wait(); err != nil || stopped {
		return stopped, err
	}
	// Nothing was committed since v, or there would be a table.
	if r.keep && s.table.CompareAndSwap(nil, r.table) {
		s.checkpointIfDue() // not before, as that would slow the first Load down
	}
	return false, nil
}

// chunk gathers records in one piece of memory each for keys and values.
type chunk struct {
	kinds        []store.Kind
	keys, values []byte
	ends         [][2]int // of each record's key and value
	versions     []uint64
}

func (c *chunk) add(kind store.Kind, id []byte, version uint64, value []byte) {
	c.kinds = append(c.kinds, kind)
	c.keys = append(c.keys, id...)
	c.values = append(c.values, value...)
	c.ends = append(c.ends, [2]int{len(c.keys), len(c.values)})
	c.versions = append(c.versions, version)
}

// records returns what was added and empties the chunk.
func (c *chunk) records() []store.Record {
	if len(c.versions) == 0 {
		return nil
	}
	out := make([]store.Record, len(c.versions))
	keys, values := string(c.keys), append([]byte(nil), c.values...)
	key, value := 0, 0
	for i, end := range c.ends {
		out[i] = store.Record{
			Key:     store.Key{Kind: c.kinds[i], ID: keys[key:end[0]]},
			Version: c.versions[i],
			Value:   values[value:end[1]:end[1]],
		}
		key, value = end[0], end[1]
	}
	c.kinds, c.keys, c.values, c.ends, c.versions = c.kinds[:0], c.keys[:0], c.values[:0], c.ends[:0], c.versions[:0]
	return out
}

// reader reads the records of a view: kind by kind, and within a kind those
// that the log changes first, oldest first.
type reader struct {
	view   *view
	hasher hasher
	table  *table // of the log's changes
	keep   bool   // table gets the other records too
	newest sieve  // kinds are read when they are through it
	next   int    // the kind whose changes in the log come next
	chunk  chunk
	hashes []keyHash // of the records in chunk, when they are the checkpoint's
	gone   []keyHash // of records that the log deletes
	send   func([]store.Record) error
}

func newReader(v *view, h hasher, keep bool) *reader {
	t := newTable(0)
	if keep {
		t = newTable(v.base.Records)
	}
	return &reader{view: v, hasher: h, table: t, keep: keep, newest: sieve{changes: v.changes, hasher: h, table: t}}
}

// read sends all records in pieces. Then table has no entry of a deleted one.
func (r *reader) read(send func([]store.Record) error) error {
	r.send = send
	err := r.view.base.each(r.view.db, r.readBase)
	if err == nil {
		err = r.readLog(len(r.view.changes.byKind) - 1)
	}
	if err == nil {
		err = r.flush()
	}
	for _, hash := range r.gone {
		r.table.remove(hash)
	}
	return err
}

// readBase sends a record of the checkpoint.
func (r *reader) readBase(key []byte, version uint64, value []byte) error {
	kind, id := store.Kind(key[0]), key[1:]
	if err := r.readLog(int(kind)); err != nil {
		return err
	}
	r.hashes = append(r.hashes, r.hasher.id(kind, id))
	return r.add(kind, id, version, value)
}

// readLog sends what the log changes in records of kinds up to last.
func (r *reader) readLog(last int) error {
	if r.next > last {
		return nil
	}
	if err := r.flush(); err != nil { // a chunk is of the checkpoint or of the log
		return err
	}
	changes := r.view.changes
	for ; r.next <= last; r.next++ {
		for r.newest.kind <= r.next {
			r.newest.step()
		}
		for _, p := range changes.byKind[r.next] {
			found, kind := changes.at(p), store.Kind(r.next)
			if found.version == 0 {
				r.gone = append(r.gone, r.hasher.id(kind, found.id))
				continue
			}
			if err := r.add(kind, found.id, found.version, found.value); err != nil {
				return err
			}
		}
		changes.byKind[r.next] = nil
	}
	return r.flush()
}

func (r *reader) add(kind store.Kind, id []byte, version uint64, value []byte) error {
	r.chunk.add(kind, id, version, value)
	if len(r.chunk.versions) < chunkRecords {
		return nil
	}
	return r.flush()
}

// flush sends what has been gathered.
func (r *reader) flush() error {
	records := r.chunk.records()
	if len(r.hashes) > 0 {
		records = r.unchanged(records)
		r.hashes = r.hashes[:0]
	}
	if len(records) == 0 {
		return nil
	}
	for range sieveAhead { // so that who takes the records need not wait at the next kind
		r.newest.step()
	}
	return r.send(records)
}

// unchanged returns those of the checkpoint's records that the log does not
// change.
func (r *reader) unchanged(records []store.Record) []store.Record {
	r.table.fetch(r.hashes)
	keep := records[:0]
	for i := range records {
		var fresh bool
		if r.keep {
			fresh = r.table.add(r.hashes[i], newEntry(records[i].Version, 0))
		} else {
			fresh = r.table.get(r.hashes[i]) == entry{}
		}
		if fresh {
			keep = append(keep, records[i])
		}
	}
	return keep
}

// fillTable makes the table by a pass over all records.
func (s *Store) fillTable() error {
	if s.table.Load() != nil {
		return nil
	}
	var rev uint64
	for _, err := range s.Load(context.Background(), &rev) {
		if err != nil {
			return err
		}
	}
	return nil
}

// storedValue returns the value that the batch at revision gave the record k.
func (s *Store) storedValue(k store.Key, revision uint64) ([]byte, error) {
	s.files.RLock()
	defer s.files.RUnlock()
	if revision <= s.base.Revision {
		return s.base.get(k)
	}
	for _, seg := range s.wal.list() {
		if revision < seg.first || revision > seg.last {
			continue
		}
		var value []byte
		err := seg.scan(revision, func(f frame) error {
			if f.revision != revision {
				return nil
			}
			ev, err := f.event()
			if err == nil {
				value, err = valueIn(ev.Puts, k)
			}
			return err
		})
		return append([]byte(nil), value...), damage(err)
	}
	return nil, fmt.Errorf("no log file has revision %d: %w", revision, store.ErrDamaged)
}
