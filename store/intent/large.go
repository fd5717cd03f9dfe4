package intent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// errLost: an intent under way must be looked at anew: a record changed under
// it, or somebody took its writer for dead.
var errLost = errors.New("intent is lost")

// item is one change of a large batch.
type item struct {
	key      store.Key
	at       int // place among the batch's puts or deletes
	value    []byte
	delete   bool
	expected bool
	expect   uint64
	present  store.Record // as last seen
}

// writer writes one large batch as an intent.
type writer struct {
	s     *Store
	b     planned
	keys  []store.Key
	all   []item // by key, so that two large batches cannot hold each other up
	items []item // of all, those that are not written yet
}

func (s *Store) commitLarge(ctx context.Context, b planned) (store.Result, error) {
	w := &writer{s: s, b: b, keys: distinct(&b.Batch)}
	expect := make(map[store.Key]uint64, len(b.Expect))
	for _, x := range b.Expect {
		expect[x.Key] = x.Version
	}
	for i, p := range b.Puts {
		w.all = append(w.all, item{key: p.Key, at: i, value: p.Value})
	}
	for i, k := range b.Deletes {
		w.all = append(w.all, item{key: k, at: i, delete: true})
	}
	for i := range w.all {
		w.all[i].expect, w.all[i].expected = expect[w.all[i].key]
	}
	slices.SortFunc(w.all, func(a, b item) int { return compareKeys(a.key, b.key) })
	for {
		res, err := w.attempt(ctx)
		if !errors.Is(err, errLost) {
			return res, err
		}
	}
}

// attempt begins or resumes the intent and brings it to its end. It returns
// errLost when that has to be tried again.
func (w *writer) attempt(ctx context.Context) (store.Result, error) {
	v, x, err := w.begin(ctx)
	if err != nil {
		return store.Result{}, err
	}
	if v.revision > 0 {
		return store.Result{Outcome: store.Committed, Revision: v.revision}, nil
	}
	begun := x.phase != 0
	if w.b.misses(v.dir) {
		return w.refuse(ctx, begun, verdict{at: v.at}, nil)
	}
	judged, err := w.s.judge(ctx, &w.b.Batch, v)
	if err != nil || judged.again || len(judged.conflicts) > 0 {
		return w.refuse(ctx, begun, judged, err)
	}
	chunk, err := w.survey(v)
	if err == nil && !begun {
		v.dir, x, err = w.open(ctx, v.dir)
	}
	if err != nil {
		return w.refuse(ctx, begun, judged, err)
	}
	rev, err := w.write(ctx, v.dir, x, chunk)
	if err != nil {
		return w.refuse(ctx, true, verdict{again: errors.Is(err, errLost)}, err)
	}
	// The batch has taken effect. What is left to do, others can do as well.
	_ = w.s.finish(ctx, w.b.ID)
	return store.Result{Outcome: store.Committed, Revision: rev}, nil
}

// refuse rolls back what has been written of the batch and answers why. A
// batch of unknown outcome stays, so that it can be resumed.
func (w *writer) refuse(ctx context.Context, begun bool, why verdict, err error) (store.Result, error) {
	var lost *unknownError
	unknown := errors.As(err, &lost) && !errors.Is(err, ErrHeld)
	if begun && !unknown {
		if undone := w.s.abort(ctx, w.b.ID); undone != nil && (err == nil || errors.Is(err, errLost)) {
			return store.Result{}, undone
		}
	}
	switch {
	case err != nil:
		return store.Result{}, err
	case why.again:
		return store.Result{}, errLost
	}
	return store.Result{Outcome: store.Conflict, Revision: why.at, Conflicts: why.conflicts}, nil
}

// begin looks at the records of the batch and finds what an earlier try has
// left: an intent to resume, or the zero intent.
func (w *writer) begin(ctx context.Context) (*view, intent, error) {
	v, err := w.s.look(ctx, w.b.ID, w.keys)
	if err != nil || v.revision > 0 {
		return v, intent{}, err
	}
	x, begun := v.dir.find(w.b.ID)
	if !begun {
		buried, err := w.s.bury(ctx, v.dir)
		if err == nil && buried > 0 {
			err = errLost
		}
		return v, intent{}, err
	}
	if x.phase != phaseOpen {
		if err := w.s.finish(ctx, x.id); err != nil {
			return nil, intent{}, err
		}
		return nil, intent{}, errLost
	}
	// Renewing fences off what the earlier try may still have on its way.
	if _, x, err = w.renew(ctx, v.dir, x); err != nil {
		return nil, intent{}, err
	}
	v, err = w.s.look(ctx, w.b.ID, w.keys)
	return v, x, err
}

// survey notes what is there now, drops the items that an earlier try has
// written, and returns the number of the next chunk.
func (w *writer) survey(v *view) (chunk int, err error) {
	w.items = w.items[:0:0]
	for _, it := range w.all {
		g := v.records[it.key]
		if g.held != nil {
			chunk = max(chunk, g.held.chunk+1)
			continue
		}
		it.present = g.record
		if n := w.size(chunk, &it); w.s.limits.Bytes > 0 && n+chunkOverhead > w.s.limits.Bytes {
			return 0, fmt.Errorf("record %v needs %d bytes with its old value, allowed are %d: %w",
				it.key, n+chunkOverhead, w.s.limits.Bytes, store.ErrTooLarge)
		}
		w.items = append(w.items, it)
	}
	return chunk, nil
}

func (w *writer) expiry() int64 { return w.s.cfg.Now().Add(w.s.cfg.Lease).UnixNano() }

// open enters the intent into the directory.
func (w *writer) open(ctx context.Context, d directory) (directory, intent, error) {
	w.s.mu.Lock()
	since := w.s.revision
	w.s.mu.Unlock()
	x := intent{id: w.b.ID, version: w.b.Version, phase: phaseOpen, since: since, owner: w.s.cfg.Owner}
	d, rev, err := w.s.swap(ctx, d, newID(), func(d directory) (directory, error) {
		if _, taken := d.find(x.id); taken {
			return d, errLost
		}
		if w.b.misses(d) {
			return d, errLost // attempt finds out whether an earlier try took effect
		}
		if len(d.intents) >= maxOpen {
			return d, &unknownError{ErrHeld}
		}
		x.expiry = w.expiry()
		return d.with(changeOpen, x), nil
	})
	x.since = max(x.since, rev)
	return d, x, err
}

// renew extends the lease of the intent.
func (w *writer) renew(ctx context.Context, d directory, x intent) (directory, intent, error) {
	since := x.since
	d, _, err := w.s.swap(ctx, d, newID(), func(d directory) (directory, error) {
		y, listed := d.find(w.b.ID)
		if !listed || y.phase != phaseOpen {
			return d, errLost
		}
		x = y
		x.owner, x.expiry, x.since = w.s.cfg.Owner, w.expiry(), max(since, y.since)
		return d.with(changeRenew, x), nil
	})
	return d, x, err
}

// write commits the chunks from number chunk on and then the final change. It
// returns the revision of that.
func (w *writer) write(ctx context.Context, d directory, x intent, chunk int) (rev uint64, err error) {
	for ; len(w.items) > 0; chunk++ {
		if x.expiry-w.s.cfg.Now().UnixNano() < int64(w.s.cfg.Lease/2) {
			if d, x, err = w.renew(ctx, d, x); err != nil {
				return 0, err
			}
		}
		if d, err = w.writeChunk(ctx, d, chunk); err != nil {
			return 0, fmt.Errorf("chunk %d: %w", chunk, err)
		}
	}
	_, rev, err = w.s.swap(ctx, d, w.b.ID, func(d directory) (directory, error) {
		y, listed := d.find(w.b.ID)
		if !listed || y.phase != phaseOpen {
			return d, errLost
		}
		y.phase, y.since = phaseDone, max(x.since, y.since)
		return d.with(changeDone, y), nil
	})
	return rev, err
}

// writeChunk commits the next chunk. It returns the directory as it then was.
func (w *writer) writeChunk(ctx context.Context, d directory, chunk int) (directory, error) {
	for {
		n := w.cut(chunk)
		if n == 0 {
			return d, fmt.Errorf("record %v with its old value: %w", w.items[0].key, store.ErrTooLarge)
		}
		res, err := w.s.send(ctx, w.chunk(d, chunk, n))
		if err != nil {
			return d, err
		}
		if res.Outcome == store.Committed {
			w.items = w.items[n:]
			return d, nil
		}
		fresh, told, err := w.s.learn(res.Conflicts)
		if err != nil {
			return d, err
		}
		if told {
			d = fresh
		}
		if x, listed := d.find(w.b.ID); !listed || x.phase != phaseOpen {
			return d, errLost
		}
		if err := w.revise(d, res.Conflicts); err != nil {
			return d, err
		}
	}
}

// revise takes note of the records that a refused chunk met.
func (w *writer) revise(d directory, conflicts []store.Record) error {
	for _, r := range conflicts {
		i, found := slices.BinarySearchFunc(w.items, r.Key, func(it item, k store.Key) int { return compareKeys(it.key, k) })
		if !found {
			continue
		}
		if g := sightOf(r, d); g.held != nil || w.items[i].expected && r.Version != w.items[i].expect {
			return fmt.Errorf("record %v has version %d: %w", r.Key, r.Version, errLost)
		}
		w.items[i].present = r
		w.s.note(r.Version, 0)
	}
	return nil
}

func (w *writer) envelope(chunk int, it *item) *envelope {
	return &envelope{id: w.b.ID, at: it.at, chunk: chunk, old: it.present, value: it.value, delete: it.delete}
}

// chunkOverhead is what a chunk takes besides its items.
const chunkOverhead = chunkKeyBytes + 16

// size is how much of a chunk an item takes: its key, its envelope, and its
// place in the chunk record.
func (w *writer) size(chunk int, it *item) int {
	const lengths = 8 // of a kind and a varint
	e := envelope{id: w.b.ID, at: it.at, chunk: chunk, old: store.Record{Version: it.present.Version}}
	return 2*len(it.key.ID) + lengths + len(e.encode()) + lengths + len(it.present.Value) + len(it.value)
}

// cut returns how many items the next chunk takes. Settling it takes one
// expectation more than writing it.
func (w *writer) cut(chunk int) int {
	n, size := 0, chunkOverhead
	for n < len(w.items) && n < max(1, w.s.records()-2) {
		size += w.size(chunk, &w.items[n])
		if limit := w.s.limits.Bytes; limit > 0 && size > limit {
			break
		}
		n++
	}
	return n
}

func (w *writer) chunk(d directory, chunk, n int) store.Batch {
	out := store.Batch{
		ID: newID(), Version: w.b.Version,
		Expect: []store.Expectation{{Key: directoryKey(), Version: d.version}},
	}
	keys := make([]store.Key, 0, n)
	for i := range n {
		it := &w.items[i]
		keys = append(keys, it.key)
		out.Expect = append(out.Expect, store.Expectation{Key: it.key, Version: it.present.Version})
		out.Puts = append(out.Puts, store.Put{Key: it.key, Value: w.envelope(chunk, it).encode()})
	}
	x := intent{id: w.b.ID, version: w.b.Version}
	out.Puts = append(out.Puts, store.Put{Key: chunkKey(x, chunk), Value: encodeChunk(keys)})
	return out
}

// swap replaces the directory, of which d is the newest known, by what change
// makes of it. It returns the new one and its revision, or change's error.
func (s *Store) swap(ctx context.Context, d directory, id store.BatchID, change func(directory) (directory, error)) (directory, uint64, error) {
	for {
		next, err := change(d)
		if err != nil {
			return d, 0, err
		}
		res, err := s.send(ctx, store.Batch{
			ID: id, Version: next.version,
			Expect: []store.Expectation{{Key: directoryKey(), Version: d.version}},
			Puts:   []store.Put{{Key: directoryKey(), Value: next.encode()}},
		})
		if err != nil {
			return d, 0, fmt.Errorf("directory of intents: %w", err)
		}
		if res.Outcome == store.Committed {
			s.adopt(next)
			return next, res.Revision, nil
		}
		if d, _, err = s.learn(res.Conflicts); err != nil {
			return d, 0, err
		}
	}
}
