package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/store"
)

// errInjected is the cause of outcomes that the simulation makes up.
var errInjected = errors.New("simulated fault")

// disk is a store as processes reach it.
type disk struct {
	store store.Store
	late  []*commit // ended Unknown, may still take effect
	sent  map[store.BatchID]bool
	probe uint64

	followers []*follower
	seen      uint64 // revision that they have been told of
	compacted uint64 // the history up to this revision is gone
}

// commit is a batch on its way, and what came of it.
type commit struct {
	batch  store.Batch
	fault  FaultKind
	hit    bool
	luck   uint64
	result store.Result
	err    error
}

type load struct {
	latest   bool // only the revision
	records  []store.Record
	revision uint64
}

// disk returns the one disk of a store.
func (s *Sim) disk(inner store.Store) *disk {
	for _, p := range s.processes {
		if p.disk != nil && p.disk.store == inner {
			return p.disk
		}
	}
	s.stores = append(s.stores, inner)
	return &disk{store: inner, sent: map[store.BatchID]bool{}}
}

// send sends a batch to the disk. The bytes of the batch are the store's
// from now on, its lists are copied.
func (s *Sim) send(p *process, b store.Batch) (*item, *commit) {
	p.commits++
	c := &commit{batch: b}
	c.fault, c.hit, c.luck = s.chance.draw(ofCommit, p, p.commits)
	c.batch.Expect, c.batch.Puts, c.batch.Deletes = slices.Clone(c.batch.Expect), slices.Clone(c.batch.Puts), slices.Clone(c.batch.Deletes)
	it := s.queue.add(s.now + latency(c.luck))
	it.kind, it.process, it.boot, it.commit = itemApply, p, p.boot, c
	return it, c
}

// load reads the disk.
func (s *Sim) load(p *process, token uint64) {
	it := s.queue.add(s.now + latency(0))
	it.kind, it.process, it.boot, it.token = itemApply, p, p.boot, token
	it.load = new(load)
}

// apply has the disk answer, and reports whether its records may have changed.
func (s *Sim) apply(it *item) bool {
	it.kind, it.event = itemEvent, machine.Loaded
	if it.load != nil {
		s.read(it.process.disk, it.load)
	} else {
		it.event = machine.Committed
		s.settle(it.process, it.commit)
	}
	s.queue.put(s.now+latency(mix(uint64(s.now))), it)
	return it.commit != nil
}

// settle decides how a commit ends, as the port of stores allows: a batch is
// refused with a made-up Conflict or for want of space only if no earlier try
// of it can have taken effect, and a batch that is sent again is no longer late.
func (s *Sim) settle(p *process, c *commit) {
	d := p.disk
	d.late = slices.DeleteFunc(d.late, func(l *commit) bool { return l.batch.ID == c.batch.ID })
	refused := c.fault == Full || c.fault == Conflicted && len(c.batch.Expect) > 0
	if c.fault == Conflicted && !refused || refused && d.sent[c.batch.ID] {
		c.hit = false
	}
	if c.hit {
		s.trace.commit(s, p, c)
	}
	switch {
	case c.hit && c.fault == Full:
		c.err = fmt.Errorf("%w: %w", store.ErrNoSpace, errInjected)
		return
	case c.hit && c.fault == Conflicted:
		c.result, c.err = d.conflict(c.batch)
		return
	}
	d.sent[c.batch.ID] = true
	unknown := store.Result{Outcome: store.Unknown, Cause: errInjected}
	switch {
	case c.hit && c.fault == UnknownLate:
		late := &commit{batch: c.batch}
		d.late = append(d.late, late)
		it := s.queue.add(s.now + within(c.luck, longDelay))
		it.kind, it.process, it.commit = itemLate, p, late
		c.result = unknown
		return
	case c.hit && c.fault == UnknownLost:
		c.result = unknown
		return
	}
	c.result, c.err = d.store.Commit(context.Background(), c.batch)
	s.news(d, c.result)
	if c.hit && c.fault == UnknownApplied && c.err == nil {
		c.result = unknown
	}
}

// applyLate has a batch take effect that its sender heard nothing of.
func (s *Sim) applyLate(it *item) bool {
	d := it.process.disk
	at := slices.Index(d.late, it.commit)
	if at < 0 {
		return false // it was sent again meanwhile
	}
	d.late = slices.Delete(d.late, at, at+1)
	res, err := d.store.Commit(context.Background(), it.commit.batch)
	s.news(d, res)
	s.trace.late(s, it.process, res, err)
	return true
}

// news tells those who follow a disk when a batch has changed it.
func (s *Sim) news(d *disk, res store.Result) {
	if res.Outcome == store.Committed && res.Revision > d.seen {
		d.seen = res.Revision
		s.changed(d)
	}
}

// compact drops the history: who has not followed so far has to load again.
func (d *disk) compact() { d.compacted = max(d.compacted, d.seen) }

// conflict answers with the present state of what a batch expects, which the
// store itself tells when it is asked for what cannot hold.
func (d *disk) conflict(b store.Batch) (store.Result, error) {
	d.probe++
	ask := store.Batch{ID: store.BatchID{'p', 'r', 'o', 'b', 'e'}, Version: b.Version}
	for k := range 8 {
		ask.ID[8+k] = byte(d.probe >> (8 * k))
	}
	for _, x := range b.Expect {
		ask.Expect = append(ask.Expect, store.Expectation{Key: x.Key, Version: 1<<64 - 1})
	}
	return d.store.Commit(context.Background(), ask)
}

func (s *Sim) read(d *disk, l *load) {
	if shared, able := d.store.(store.Shared); able && l.latest {
		l.revision, _ = shared.Latest(context.Background()) // in memory, it never fails
		return
	}
	for r, err := range d.store.Load(context.Background(), &l.revision) {
		if err != nil {
			break // a store in memory is always readable
		}
		l.records = append(l.records, r)
	}
}
