package intent

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

const (
	// someRecords is how many records go into one batch of a store without a
	// limit on them.
	someRecords = 4096
	// fullTries is how often an inner batch that found the medium full is
	// sent again before the error counts.
	fullTries = 4
)

// records is how many records, all of them expected, one batch of the store
// below holds.
func (s *Store) records() int {
	n := someRecords
	if s.limits.Records > 0 {
		n = s.limits.Records
	}
	if s.limits.Weight > 0 {
		n = min(n, s.limits.Weight/2)
	}
	return n
}

// send commits an inner batch until its outcome is known or ctx ends; then it
// returns an [*unknownError].
func (s *Store) send(ctx context.Context, b store.Batch) (store.Result, error) {
	full := 0
	for tries := 0; ; tries++ {
		res, err := s.inner.Commit(ctx, b)
		switch {
		case errors.Is(err, store.ErrNoSpace) && full < fullTries:
			full++
		case err != nil:
			return store.Result{}, fmt.Errorf("inner batch %x: %w", b.ID, err)
		case res.Outcome != store.Unknown:
			s.note(0, res.Revision)
			return res, nil
		}
		if ended := pause(ctx, tries); ended != nil {
			if err != nil {
				return store.Result{}, fmt.Errorf("inner batch %x: %w", b.ID, err)
			}
			return store.Result{}, &unknownError{errors.Join(ended, res.Cause)}
		}
	}
}

// sight is what a look shows of one record.
type sight struct {
	record store.Record // as the store below has it
	held   *envelope    // nil: no intent holds it
	by     intent       // that holds it
}

func sightOf(r store.Record, d directory) sight {
	if e, ok := parseEnvelope(r.Key, r.Value); ok {
		if x, listed := d.find(e.id); listed && x.version == r.Version {
			return sight{record: r, held: e, by: x}
		}
	}
	return sight{record: r}
}

// logical returns the record as others see it; Version 0 means absent.
func (g sight) logical() store.Record {
	switch {
	case g.held == nil:
		return g.record
	case g.by.phase != phaseDone:
		return g.held.old
	case g.held.delete:
		return store.Record{Key: g.record.Key}
	default:
		return store.Record{Key: g.record.Key, Version: g.by.version, Value: g.held.value}
	}
}

// view is what a look shows.
type view struct {
	dir      directory
	records  map[store.Key]sight
	at       uint64 // a revision at which dir was the directory, or 0
	revision uint64 // not 0: the batch that asked had been committed, nothing else is known
}

// look reads the directory and the records keys: it sends batches that expect
// what cannot be, and the store answers what is. Each of them is one moment.
// They carry the ID of the batch that asks, so a batch that has taken effect
// hears of it.
func (s *Store) look(ctx context.Context, id store.BatchID, keys []store.Key) (*view, error) {
	v := &view{records: make(map[store.Key]sight, len(keys))}
	for first := true; first || len(keys) > 0; first = false {
		part := keys[:min(len(keys), max(1, s.records()-1))]
		keys = keys[len(part):]
		expect := []store.Expectation{{Key: directoryKey(), Version: math.MaxUint64}}
		for _, k := range part {
			expect = append(expect, store.Expectation{Key: k, Version: math.MaxUint64})
		}
		res, err := s.send(ctx, store.Batch{ID: id, Version: 1, Expect: expect})
		if err != nil {
			return nil, fmt.Errorf("read %d records: %w", len(part), err)
		}
		if res.Outcome == store.Committed {
			return &view{revision: res.Revision}, nil
		}
		if err := s.show(v, res.Conflicts, len(part)); err != nil {
			return nil, err
		}
		v.at = res.Revision
	}
	return v, nil
}

// show adds the answer to one reading batch of n records to v.
func (s *Store) show(v *view, present []store.Record, n int) error {
	d, told, err := s.learn(present)
	if err != nil {
		return err
	}
	if !told || len(present) != n+1 {
		return fmt.Errorf("a conflict lists %d of %d records: %w", len(present), n+1, store.ErrInvalid)
	}
	v.dir = d
	for _, r := range present {
		if r.Key == directoryKey() {
			continue
		}
		v.records[r.Key] = sightOf(r, d)
		s.note(r.Version, 0)
	}
	return nil
}

// learn takes the directory from the records that a conflict lists, when it
// is among them.
func (s *Store) learn(conflicts []store.Record) (d directory, told bool, err error) {
	i := slices.IndexFunc(conflicts, func(r store.Record) bool { return r.Key == directoryKey() })
	if i < 0 {
		return directory{}, false, nil
	}
	if d, err = decodeDirectory(conflicts[i].Version, conflicts[i].Value); err != nil {
		return directory{}, false, err
	}
	s.adopt(d)
	return d, true, nil
}

// distinct returns the keys that b names, each once, in order.
func distinct(b *store.Batch) []store.Key {
	keys := slices.SortedFunc(keysOf(b), compareKeys)
	return slices.Compact(keys)
}

func compareKeys(a, b store.Key) int {
	if a.Kind != b.Kind {
		return int(a.Kind) - int(b.Kind)
	}
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}

// verdict is what a look means for a batch.
type verdict struct {
	again     bool           // something was settled: look again
	conflicts []store.Record // expectations that do not hold, or that rest on an unfinished intent
	at        uint64         // where the epoch is what is wrong: a revision at which it was, or 0
}

// judge compares what b expects with what v shows. Records that b itself holds
// as an intent have been judged before. It returns an [*unknownError] of
// [ErrHeld] when b may do nothing but wait.
func (s *Store) judge(ctx context.Context, b *store.Batch, v *view) (verdict, error) {
	var out verdict
	expected := make(map[store.Key]struct{}, len(b.Expect))
	for _, x := range b.Expect {
		g := v.records[x.Key]
		if g.held != nil && g.by.id == b.ID {
			continue
		}
		expected[x.Key] = struct{}{}
		if g.held != nil || g.record.Version != x.Version {
			out.conflicts = append(out.conflicts, g.logical())
		}
	}
	waits := false
	for _, k := range distinct(b) {
		g := v.records[k]
		if g.held == nil || g.by.id == b.ID {
			continue
		}
		settled, err := s.help(ctx, g.by)
		if err != nil || settled {
			return verdict{again: true}, err
		}
		_, told := expected[k]
		waits = waits || !told
	}
	if waits && len(out.conflicts) == 0 {
		return verdict{}, &unknownError{ErrHeld}
	}
	return out, nil
}
