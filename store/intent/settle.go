package intent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// Reap settles every intent whose writer is dead: it rolls back those that
// have not taken effect and tidies up after those that have. It returns how
// many there were. It is one pass; call it now and then where nobody writes.
func (s *Store) Reap(ctx context.Context) (int, error) {
	v, err := s.look(ctx, newID(), nil)
	if err != nil {
		return 0, fmt.Errorf("reap intents: %w", err)
	}
	n, err := s.bury(ctx, v.dir)
	if err != nil {
		return n, fmt.Errorf("reap intents: %w", err)
	}
	return n, nil
}

// bury settles the intents of d whose writers are dead.
func (s *Store) bury(ctx context.Context, d directory) (n int, err error) {
	for _, x := range d.intents {
		if !s.dead(x) {
			continue
		}
		if err := s.settle(ctx, d, x); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// help settles intent x when it is decided or its writer is dead. It reports
// whether it did.
func (s *Store) help(ctx context.Context, x intent) (bool, error) {
	if x.phase == phaseOpen && !s.dead(x) {
		return false, nil
	}
	return true, s.settle(ctx, s.known(), x)
}

// settle brings intent x to its end. An open one is rolled back unless its
// writer shows a sign of life.
func (s *Store) settle(ctx context.Context, d directory, x intent) error {
	if x.phase == phaseOpen {
		_, _, err := s.swap(ctx, d, newID(), func(d directory) (directory, error) {
			y, listed := d.find(x.id)
			if !listed || y != x {
				return d, errLost
			}
			y.phase = phaseAborted
			return d.with(changeAbort, y), nil
		})
		if errors.Is(err, errLost) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("roll back batch %x: %w", x.id, err)
		}
	}
	return s.finish(ctx, x.id)
}

// abort rolls back intent id, whoever writes it.
func (s *Store) abort(ctx context.Context, id store.BatchID) error {
	v, err := s.look(ctx, newID(), nil)
	if err != nil {
		return err
	}
	if x, listed := v.dir.find(id); listed {
		return s.settle(ctx, v.dir, x)
	}
	return nil
}

// finish opens the envelopes of intent id, which is decided, and takes it off
// the directory. Any number may do it at once.
func (s *Store) finish(ctx context.Context, id store.BatchID) error {
	v, err := s.look(ctx, newID(), nil)
	if err != nil {
		return fmt.Errorf("finish batch %x: %w", id, err)
	}
	x, listed := v.dir.find(id)
	if !listed || x.phase == phaseOpen {
		return nil
	}
	n, err := s.chunks(ctx, x)
	for n--; n >= 0 && err == nil; n-- { // from the last: what is left has no gap
		err = s.finishChunk(ctx, x, n)
	}
	if err == nil {
		_, _, err = s.swap(ctx, v.dir, newID(), func(d directory) (directory, error) {
			if y, listed := d.find(id); !listed || y.phase != x.phase {
				return d, errLost
			}
			return d.with(changeRemove, x), nil
		})
	}
	if err != nil && !errors.Is(err, errLost) {
		return fmt.Errorf("finish batch %x: %w", id, err)
	}
	return nil
}

// chunks counts the chunks of intent x.
func (s *Store) chunks(ctx context.Context, x intent) (int, error) {
	for n := 0; ; {
		var keys []store.Key
		for range max(1, min(s.records()-1, 64)) {
			keys = append(keys, chunkKey(x, n+len(keys)))
		}
		v, err := s.look(ctx, newID(), keys)
		if err != nil {
			return 0, err
		}
		absent := slices.IndexFunc(keys, func(k store.Key) bool { return v.records[k].record.Version == 0 })
		if absent >= 0 {
			return n + absent, nil
		}
		n += len(keys)
	}
}

// finishChunk opens the envelopes of chunk n of intent x, unless somebody else
// has. It returns errLost when x is no longer as it was.
func (s *Store) finishChunk(ctx context.Context, x intent, n int) error {
	key := chunkKey(x, n)
	for {
		v, err := s.look(ctx, newID(), []store.Key{key})
		if err != nil {
			return err
		}
		chunk := v.records[key].record
		if chunk.Version == 0 {
			return nil
		}
		keys, err := decodeChunk(chunk.Value)
		if err != nil {
			return fmt.Errorf("%d of batch %x: %w", n, x.id, err)
		}
		if v, err = s.look(ctx, newID(), append(keys, key)); err != nil {
			return err
		}
		if y, listed := v.dir.find(x.id); !listed || y.phase != x.phase {
			return errLost
		}
		if now := v.records[key].record; now.Version != chunk.Version || string(now.Value) != string(chunk.Value) {
			continue
		}
		res, err := s.send(ctx, s.openEnvelopes(v, x, key, keys))
		if err != nil {
			return err
		}
		if res.Outcome == store.Committed {
			return nil
		}
		if _, _, err := s.learn(res.Conflicts); err != nil {
			return err
		}
	}
}

// openEnvelopes is the batch that replaces the envelopes of one chunk by what
// intent x has come to.
func (s *Store) openEnvelopes(v *view, x intent, chunk store.Key, keys []store.Key) store.Batch {
	b := store.Batch{
		ID: newID(), Version: x.version,
		Expect:  []store.Expectation{{Key: directoryKey(), Version: v.dir.version}, {Key: chunk, Version: x.version}},
		Deletes: []store.Key{chunk},
	}
	if x.phase == phaseAborted {
		b.Version = s.tick(x.version) // the old versions must not come back
	}
	for _, k := range keys {
		g := v.records[k]
		if g.held == nil || g.by.id != x.id {
			continue
		}
		if r := g.logical(); r.Version == 0 {
			b.Deletes = append(b.Deletes, k)
		} else {
			b.Puts = append(b.Puts, store.Put{Key: k, Value: r.Value})
		}
	}
	return b
}
