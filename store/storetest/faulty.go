package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/store"
)

// ErrInjected is the cause of the Unknown outcomes that Faulty makes up.
var ErrInjected = errors.New("injected fault")

// maxDelay bounds how many later commits a late application waits for.
const maxDelay = 8

// memory is how many batches Faulty remembers at least as sent before.
const memory = 1 << 16

// Faults says what goes wrong, and how often: each P is the probability, from
// 0 to 1, that one commit meets that fault. At most one of PConflict,
// PUnknownApplied, PUnknownNotApplied, PLate and PNoSpace hits a commit, so
// their sum is at most 1. The zero value injects nothing.
type Faults struct {
	Seed int64

	// ForeignWrite returns a batch that another writer commits just before
	// next, or nil for none. It must choose a fresh ID and a version as the
	// port demands. Nil means that nobody else writes.
	ForeignWrite func(rng *rand.Rand, next store.Batch) *store.Batch

	PForeign           float64 // ForeignWrite is asked, then the commit goes on
	PConflict          float64 // ForeignWrite is asked; without a batch from it, a spurious Conflict is answered
	PUnknownApplied    float64 // the batch is sent and the answer lost
	PUnknownNotApplied float64 // the batch itself is lost
	PLate              float64 // Unknown now, sent after up to 8 later commits unless it was sent again before
	PNoSpace           float64 // ErrNoSpace, never for a batch that was sent before

	// Each feed meets PCompacted once, when it starts after revision 1 or
	// later, and each of its events and marks meets PFeed,
	// as does each question for the latest revision.
	PCompacted float64 // ErrCompacted
	PFeed      float64 // ErrInjected instead, which ends the feed
}

// Faulty returns a store that keeps its records in inner and misbehaves as f
// says, without ever breaking the port. A batch is refused with a made-up
// Conflict or ErrNoSpace only when none of its tries can have taken effect. A
// spurious Conflict lists what the batch expects, with the present versions
// and values. The same seed and the same order of commits give the same faults.
func Faulty(inner store.Store, f Faults) store.Store {
	return &faulty{
		inner: inner, faults: f, rng: rand.New(rand.NewPCG(uint64(f.Seed), 0)),
		sent: map[store.BatchID]struct{}{},
	}
}

type faulty struct {
	inner  store.Store
	faults Faults

	mu     sync.Mutex
	rng    *rand.Rand
	late   []lateBatch
	probes uint64

	sent, sentBefore map[store.BatchID]struct{} // tried before: may be applied
}

type lateBatch struct {
	batch   store.Batch
	commits int // still to come before it is sent
}

type fault int

const (
	none fault = iota
	conflict
	unknownApplied
	unknownNotApplied
	late
	noSpace
)

// Limits implements [store.Store].
func (s *faulty) Limits() store.Limits { return s.inner.Limits() }

// Load implements [store.Store].
func (s *faulty) Load(ctx context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return s.inner.Load(ctx, rev)
}

// Follow implements [store.Store].
func (s *faulty) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	return func(yield func(store.Event, error) bool) {
		if after > 0 && s.hits(s.faults.PCompacted) {
			yield(store.Event{}, fmt.Errorf("follow after revision %d: %w: %w", after, store.ErrCompacted, ErrInjected))
			return
		}
		for ev, err := range s.inner.Follow(ctx, after) {
			if err == nil && s.hits(s.faults.PFeed) {
				ev, err = store.Event{}, ErrInjected
			}
			if !yield(ev, err) || err != nil {
				return
			}
		}
	}
}

// hits draws whether a fault of probability p strikes. Faults of commits do
// not depend on those of feeds that have none.
func (s *faulty) hits(p float64) bool {
	if p == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.Float64() < p
}

// Close implements [store.Store]. Late batches are lost.
func (s *faulty) Close() error { return s.inner.Close() }

// Latest implements [store.Shared], if the store below does.
func (s *faulty) Latest(ctx context.Context) (uint64, error) {
	shared, able := s.inner.(store.Shared)
	if !able {
		return 0, errors.New("the store below is not shared")
	}
	if s.hits(s.faults.PFeed) {
		return 0, ErrInjected
	}
	return shared.Latest(ctx)
}

// Commit implements [store.Store].
func (s *faulty) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	if err := b.Validate(s.inner.Limits()); err != nil {
		return store.Result{}, fmt.Errorf("commit batch %x: %w", b.ID, err)
	}
	hit, res, err := s.prepare(ctx, b)
	switch hit {
	case conflict:
		return res, err
	case unknownNotApplied, late:
		return store.Result{Outcome: store.Unknown, Cause: ErrInjected}, nil
	case noSpace:
		return store.Result{}, fmt.Errorf("commit batch %x: %w: %w", b.ID, store.ErrNoSpace, ErrInjected)
	case none, unknownApplied:
	}
	res, err = s.inner.Commit(ctx, b)
	if hit == unknownApplied && err == nil {
		return store.Result{Outcome: store.Unknown, Cause: ErrInjected}, nil
	}
	return res, err
}

// prepare chooses the fault that meets b and sends what comes before b: late
// batches and a foreign one. When the fault is conflict it also returns the
// answer. All of it happens under the lock: no late batch may overtake its own
// next try, and no other try of b may fall between a made-up conflict and the
// state that it lists.
func (s *faulty) prepare(ctx context.Context, b store.Batch) (fault, store.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hit, before := s.draw(b), s.due(b.ID)
	foreign := s.faults.ForeignWrite
	if foreign != nil && (hit == conflict || s.rng.Float64() < s.faults.PForeign) {
		if other := foreign(s.rng, b); other != nil {
			before = append(before, *other)
			if hit == conflict {
				hit = none // the store itself answers what is true now
			}
		}
	}
	for _, other := range before {
		// What comes of another writer's batch is not this caller's concern.
		_, _ = s.inner.Commit(context.WithoutCancel(ctx), other)
	}
	switch hit {
	case conflict:
		res, err := s.conflict(ctx, b)
		return hit, res, err
	case noSpace:
		return hit, store.Result{}, nil
	case late:
		s.late = append(s.late, lateBatch{cloneBatch(b), 1 + s.rng.IntN(maxDelay)})
	case none, unknownApplied, unknownNotApplied:
	}
	s.remember(b.ID)
	return hit, store.Result{}, nil
}

// remember notes that batch id has been sent. It forgets the oldest ones.
func (s *faulty) remember(id store.BatchID) {
	if len(s.sent) >= memory {
		s.sentBefore, s.sent = s.sent, map[store.BatchID]struct{}{}
	}
	s.sent[id] = struct{}{}
}

func (s *faulty) wasSent(id store.BatchID) bool {
	_, now := s.sent[id]
	_, before := s.sentBefore[id]
	return now || before
}

// due takes the late batches whose time has come, and forgets batch id: its
// new try settles it.
func (s *faulty) due(id store.BatchID) []store.Batch {
	var due []store.Batch
	s.late = slices.DeleteFunc(s.late, func(l lateBatch) bool { return l.batch.ID == id })
	for i := range s.late {
		s.late[i].commits--
		if s.late[i].commits <= 0 {
			due = append(due, s.late[i].batch)
		}
	}
	s.late = slices.DeleteFunc(s.late, func(l lateBatch) bool { return l.commits <= 0 })
	return due
}

// draw chooses the fault of one commit. It always draws once, so that the
// faults of one batch do not depend on the history of another.
func (s *faulty) draw(b store.Batch) fault {
	x, f := s.rng.Float64(), s.faults
	again := s.wasSent(b.ID)
	hit := none
	for _, c := range []struct {
		p     float64
		fault fault
	}{
		{f.PConflict, conflict},
		{f.PUnknownApplied, unknownApplied},
		{f.PUnknownNotApplied, unknownNotApplied},
		{f.PLate, late},
		{f.PNoSpace, noSpace},
	} {
		if x < c.p {
			hit = c.fault
			break
		}
		x -= c.p
	}
	untrue := (hit == conflict && len(b.Expect) == 0) || (again && (hit == conflict || hit == noSpace))
	if untrue {
		return none
	}
	return hit
}

// conflict answers Conflict with the present state of what b expects. It
// learns that state from the store's own answer to a batch that cannot hold.
func (s *faulty) conflict(ctx context.Context, b store.Batch) (store.Result, error) {
	probe := store.Batch{ID: s.probeID(), Version: b.Version}
	for _, x := range b.Expect {
		probe.Expect = append(probe.Expect, store.Expectation{Key: x.Key, Version: math.MaxUint64})
	}
	res, err := s.inner.Commit(ctx, probe)
	if err != nil {
		return store.Result{}, fmt.Errorf("probe for a spurious conflict of batch %x: %w", b.ID, err)
	}
	return res, nil
}

func (s *faulty) probeID() store.BatchID {
	s.probes++
	id := store.BatchID{'p', 'r', 'o', 'b', 'e'}
	for i := range 8 {
		id[8+i] = byte(s.probes >> (8 * i))
	}
	return id
}

func cloneBatch(b store.Batch) store.Batch {
	b.Expect, b.Puts, b.Deletes = slices.Clone(b.Expect), slices.Clone(b.Puts), slices.Clone(b.Deletes)
	return b
}

// Noise returns faults of every sort at rates that a busy test survives, with
// foreign writes of kind ForeignKind only.
func Noise(seed int64) Faults {
	return Faults{
		Seed: seed, ForeignWrite: foreignNoise,
		PForeign: 0.05, PConflict: 0.05, PUnknownApplied: 0.1, PUnknownNotApplied: 0.1, PLate: 0.1, PNoSpace: 0.05,
	}
}

// foreignNoise writes a record that nobody expects anything of, half the time.
func foreignNoise(rng *rand.Rand, next store.Batch) *store.Batch {
	if rng.IntN(2) == 0 {
		return nil
	}
	id := store.BatchID{'n', 'o', 'i', 's', 'e'}
	for i := range 8 {
		id[8+i] = byte(rng.IntN(256))
	}
	k := store.Key{Kind: ForeignKind, ID: fmt.Sprint(rng.IntN(16))}
	return &store.Batch{ID: id, Version: next.Version, Puts: []store.Put{{Key: k, Value: id[8:]}}}
}
