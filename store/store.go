// Package store is the port between Kilonova's engines and what keeps their
// records: memory, Badger, etcd.
//
// A store knows nothing of placement. It holds records (a key of a kind, a
// version and a value), changes them in atomic batches with expectations, and
// feeds every committed batch back in revision order. Three types matter:
// [Store], [Batch] and [Event].
//
// # Versions
//
// The writer chooses the version of every batch before it sends it, so that
// several batches can be in flight, each expecting what the one before it
// writes. Every record of a batch gets the batch's version. A writer must
// choose a version greater than every version that it has observed in the
// feed (a Lamport clock); so a version never comes back on the same key, not
// even after a delete and a create by different writers.
//
// # Outcomes
//
// Commit answers [Committed], [Conflict] or [Unknown]. Unknown is a normal
// answer: the same batch is sent again with the same ID and the same
// expectations, and at most one of the tries takes effect. An error means
// that the batch has not been applied and never will be.
//
// Everything here is safe for concurrent use.
package store

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
)

// Kind names a type of record. The store does not interpret it.
type Kind uint8

// Key names one record. ID is opaque bytes, at most Limits.KeyBytes long.
type Key struct {
	Kind Kind
	ID   string
}

// String renders the key for errors and logs.
func (k Key) String() string { return fmt.Sprintf("%d/%x", k.Kind, k.ID) }

// Record is one record as the store holds it. Version is never 0.
// The store owns a Value that it was given, and lends the ones that it hands
// out: neither side may change the bytes afterwards.
type Record struct {
	Key     Key
	Version uint64
	Value   []byte
}

// Expectation demands that the record Key has Version, or is absent when
// Version is 0, at the moment the batch takes effect. Value is what the record
// holds at that version, or nil when the writer does not know: a store may
// find it cheaper to compare.
type Expectation struct {
	Key     Key
	Version uint64
	Value   []byte
}

// Weight is what the expectation takes of Limits.Weight: 1 where one
// comparison tells whether it holds, otherwise 2.
func (x *Expectation) Weight() int {
	if x.Version == 0 || x.Version == math.MaxUint64 || x.Value != nil {
		return 1
	}
	return 2
}

// Put writes Value to the record Key; its version becomes the batch's.
type Put struct {
	Key   Key
	Value []byte
}

// BatchID makes a batch recognisable when it is sent again. All-zero is
// refused.
type BatchID [16]byte

// Batch is one atomic change. A key may stand at most once in Puts and
// Deletes together. Deleting an absent record is allowed and has no effect.
type Batch struct {
	ID      BatchID
	Version uint64 // of every record in Puts; never 0
	Expect  []Expectation
	Puts    []Put
	Deletes []Key
}

// Outcome is how a commit ended.
type Outcome uint8

// The three outcomes of a commit.
const (
	Unknown   Outcome = iota // may or may not be applied: send the same batch again
	Committed                // applied and durable, exactly once
	Conflict                 // not applied: an expectation did not hold
)

// String returns the outcome's name.
func (o Outcome) String() string {
	switch o {
	case Committed:
		return "committed"
	case Conflict:
		return "conflict"
	default:
		return "unknown"
	}
}

// Result is the answer to a commit. Revision is set when Committed: revisions
// start at 1 and grow by one a batch that took effect, foreign ones included;
// a store may skip numbers but never goes back. Conflicts is set when
// Conflict: every expectation that did not hold, with the record's present
// version (0: absent) and value; Revision is then one at which all of them were
// so, for who wants to see them in the feed, or 0. Cause says why the outcome is Unknown.
type Result struct {
	Outcome   Outcome
	Revision  uint64
	Conflicts []Record
	Cause     error
}

// Event is one committed batch, as Follow yields it. An event with an
// all-zero ID and no changes is a progress mark: everything up to and
// including Revision has been yielded.
type Event struct {
	Revision uint64
	ID       BatchID
	Version  uint64
	Puts     []Put
	Deletes  []Key
}

// Limits says what one batch may hold and who may open the store.
type Limits struct {
	Records  int  // expectations, and puts and deletes together; 0: no limit
	Weight   int  // of all expectations; 0: no limit
	Bytes    int  // of keys and values in a batch; 0: no limit
	KeyBytes int  // of one key's ID
	InFlight int  // how many batches are worth having in flight at once, at least 1
	Shared   bool // several processes may open it at once
}

// Store holds records. Implementations live in the folders below this one and
// pass storetest.Run.
type Store interface {
	// Load yields every record of one consistent snapshot, in no particular
	// order, and returns the snapshot's revision through rev before the first
	// record is yielded. An error ends the sequence. It returns [ErrDamaged]
	// when what is on disk is not what was acknowledged.
	Load(ctx context.Context, rev *uint64) iter.Seq2[Record, error]

	// Commit applies b wholly or not at all. A non-nil error means "this try
	// is not applied, and never will be": [ErrTooLarge], [ErrInvalid],
	// [ErrClosed], [ErrNoSpace] (the medium is full; later commits may
	// succeed). It says nothing of an earlier try that ended Unknown.
	// When ctx ends early the outcome is Unknown with ctx's error as Cause.
	//
	// Concurrent calls take effect in any order: a batch that overtakes the
	// one it builds on gets a Conflict that lists older versions, and is sent
	// again as it is.
	Commit(ctx context.Context, b Batch) (Result, error)

	// Follow yields every batch committed after revision after, exactly once
	// and in revision order, one's own included, and goes on until ctx ends
	// (then it yields ctx's error) or the store is closed ([ErrClosed]).
	// While idle it yields progress marks now and then. It yields
	// [ErrCompacted] when the history that far back is gone: load again.
	Follow(ctx context.Context, after uint64) iter.Seq2[Event, error]

	// Limits is constant while the store is open.
	Limits() Limits

	// Close waits for commits under way and releases the medium.
	Close() error
}

// The errors of the port.
var (
	// ErrClosed: the store has been closed.
	ErrClosed = errors.New("store is closed")
	// ErrCompacted: the history asked for is gone; load a snapshot again.
	ErrCompacted = errors.New("history is compacted")
	// ErrTooLarge: the batch exceeds Limits; write it as an intent.
	ErrTooLarge = errors.New("batch exceeds the store's limits")
	// ErrInvalid: the batch breaks a rule of the port.
	ErrInvalid = errors.New("invalid batch")
	// ErrNoSpace: the medium is full. Nothing was applied; it works again
	// when there is space.
	ErrNoSpace = errors.New("no space left for the store")
	// ErrDamaged: stored bytes are not what was acknowledged. The store
	// refuses to start rather than lose records silently.
	ErrDamaged = errors.New("store is damaged")
	// ErrLocked: another process has the store open.
	ErrLocked = errors.New("store is in use by another process")
	// ErrNewerFormat: the store was written by a newer version.
	ErrNewerFormat = errors.New("store has a newer format")
)

// Weight is what the batch takes of Limits.Weight.
func (b *Batch) Weight() int {
	sum := 0
	for i := range b.Expect {
		sum += b.Expect[i].Weight()
	}
	return sum
}

// Validate reports the first rule of the port that b breaks under limits l,
// or nil. The error wraps [ErrInvalid] or [ErrTooLarge].
func (b *Batch) Validate(l Limits) error {
	if b.ID == (BatchID{}) {
		return fmt.Errorf("batch id is all zero: %w", ErrInvalid)
	}
	if b.Version == 0 {
		return fmt.Errorf("batch version is 0: %w", ErrInvalid)
	}
	if l.Records > 0 && max(len(b.Expect), len(b.Puts)+len(b.Deletes)) > l.Records {
		return fmt.Errorf("batch has %d expectations and %d changes, allowed are %d: %w",
			len(b.Expect), len(b.Puts)+len(b.Deletes), l.Records, ErrTooLarge)
	}
	if w := b.Weight(); l.Weight > 0 && w > l.Weight {
		return fmt.Errorf("expectations of the batch weigh %d, allowed are %d: %w", w, l.Weight, ErrTooLarge)
	}
	return b.validateKeys(l)
}

func (b *Batch) validateKeys(l Limits) error {
	size := 0
	seen := make(map[Key]struct{}, len(b.Puts)+len(b.Deletes))
	check := func(k Key, value int) error {
		if l.KeyBytes > 0 && len(k.ID) > l.KeyBytes {
			return fmt.Errorf("key %v has %d bytes, allowed are %d: %w", k, len(k.ID), l.KeyBytes, ErrInvalid)
		}
		if _, twice := seen[k]; twice {
			return fmt.Errorf("key %v is changed twice in one batch: %w", k, ErrInvalid)
		}
		seen[k] = struct{}{}
		size += len(k.ID) + value
		return nil
	}
	for i := range b.Expect {
		size += len(b.Expect[i].Value)
	}
	for i := range b.Puts {
		if err := check(b.Puts[i].Key, len(b.Puts[i].Value)); err != nil {
			return err
		}
	}
	for _, k := range b.Deletes {
		if err := check(k, 0); err != nil {
			return err
		}
	}
	if l.Bytes > 0 && size > l.Bytes {
		return fmt.Errorf("batch has %d bytes, allowed are %d: %w", size, l.Bytes, ErrTooLarge)
	}
	return nil
}
