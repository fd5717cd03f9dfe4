package badger

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/kilonova-cloud/kilonova/store"
)

// committer decides on groups of commits and writes them to the log. One
// goroutine uses it.
type committer struct {
	s        *Store
	table    *table
	last     uint64     // newest revision in the log
	accepted []*request // of this group, in the order of their revisions
	ids      map[store.BatchID]uint64
	frames   []byte
	changes  []undo
	events   []store.Event
}

// commit settles every request of group and answers it.
func (c *committer) commit(group []*request) {
	c.last = c.s.feed.Last()
	c.accepted, c.frames, c.changes = c.accepted[:0], c.frames[:0], c.changes[:0]
	clear(c.ids)
	if err := c.prepare(); err != nil {
		c.fail(group, err)
	} else {
		for _, r := range group {
			c.decide(r)
		}
		c.write(group)
	}
	for _, r := range group {
		r.done <- struct{}{}
	}
	if cap(c.frames) > 2*groupBytes {
		c.frames = nil
	}
}

// prepare makes sure that the table is there: the first Load has made it, or
// it is made now.
func (c *committer) prepare() error {
	if err := c.s.failure(); err != nil {
		return err
	}
	if c.table != nil {
		return nil
	}
	if err := c.s.fillTable(); err != nil {
		return err
	}
	c.table = c.s.table.Load()
	return nil
}

// decide gives r its result as if everything before it were already durable.
func (c *committer) decide(r *request) {
	if rev, twin := c.ids[r.batch.ID]; twin {
		r.result = store.Result{Outcome: store.Committed, Revision: rev}
		return
	}
	if rev, known := c.s.feed.Revision(r.batch.ID); known {
		r.result, r.settled = store.Result{Outcome: store.Committed, Revision: rev}, true
		return
	}
	conflicts, err := c.conflicts(r)
	switch {
	case err != nil:
		r.err = fmt.Errorf("commit batch %x: %w", r.batch.ID, err)
	case len(conflicts) > 0:
		r.result = store.Result{Outcome: store.Conflict, Conflicts: conflicts}
	default:
		c.accept(r)
	}
}

// accept gives r the next revision.
func (c *committer) accept(r *request) {
	rev := c.last + uint64(len(c.accepted)) + 1
	for _, h := range r.putHashes() {
		c.changes = append(c.changes, c.table.set(h, newEntry(r.batch.Version, rev)))
	}
	for _, h := range r.deleteHashes() {
		c.changes = append(c.changes, c.table.set(h, entry{}))
	}
	c.frames = appendFrame(c.frames, rev, c.last, r.payload)
	c.accepted = append(c.accepted, r)
	c.ids[r.batch.ID] = rev
	r.result = store.Result{Outcome: store.Committed, Revision: rev}
}

func (c *committer) conflicts(r *request) ([]store.Record, error) {
	var conflicts []store.Record
	for i, h := range r.expectHashes() {
		want, present := r.batch.Expect[i], c.table.get(h)
		if present.version() == want.Version {
			continue
		}
		value, err := c.value(want.Key, present)
		if err != nil {
			return nil, err
		}
		conflicts = append(conflicts, store.Record{Key: want.Key, Version: present.version(), Value: value})
	}
	return conflicts, nil
}

// value finds the value of the record k, which has entry e: in this group, in
// the recent history, in the log, or in the checkpoint.
func (c *committer) value(k store.Key, e entry) ([]byte, error) {
	revision := e.revision()
	if e.version() == 0 {
		return nil, nil
	}
	if revision > c.last {
		return valueIn(c.accepted[revision-c.last-1].batch.Puts, k)
	}
	if ev, ok := c.s.feed.Event(revision); ok {
		return valueIn(ev.Puts, k)
	}
	return c.s.storedValue(k, revision)
}

func valueIn(puts []store.Put, k store.Key) ([]byte, error) {
	for i := range puts {
		if puts[i].Key == k {
			return puts[i].Value, nil
		}
	}
	return nil, fmt.Errorf("record %v is not where its revision says: %w", k, store.ErrDamaged)
}

// write makes what was accepted durable and publishes it. When that fails,
// whatever rests on it fails too.
func (c *committer) write(group []*request) {
	if len(c.accepted) == 0 {
		return
	}
	last := c.last + uint64(len(c.accepted))
	doubt, err := c.s.appendTimed(c.frames, c.last+1, last)
	if doubt {
		err = c.s.setFailed(err)
	}
	c.s.setFull(err)
	if err != nil {
		c.table.rollback(c.changes)
		c.fail(group, err)
		return
	}
	if err := c.s.mark.set(last); err != nil { // costs protection from damage, not records
		c.s.log.Warn("high-water mark not written", slog.String("error", err.Error()))
	}
	c.events = c.events[:0]
	for i, r := range c.accepted {
		c.events = append(c.events, store.Event{
			Revision: c.last + uint64(i) + 1, ID: r.batch.ID, Version: r.batch.Version,
			Puts: r.batch.Puts, Deletes: r.batch.Deletes,
		})
	}
	c.s.feed.Append(c.events...)
	clear(c.events)
	if c.s.wal.newest().first == c.last+1 { // the one before was sealed just now
		c.s.checkpointIfDue()
	}
}

// fail gives every request of group that is not settled the error err, or the
// outcome Unknown when err has stopped the store.
func (c *committer) fail(group []*request, err error) {
	unknown := errors.Is(err, errStopped)
	for _, r := range group {
		switch {
		case r.settled || r.err != nil:
		case unknown:
			r.result = store.Result{Outcome: store.Unknown, Cause: err}
		default:
			r.result, r.err = store.Result{}, fmt.Errorf("commit batch %x: %w", r.batch.ID, err)
		}
	}
}
