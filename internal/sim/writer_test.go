package sim_test

import (
	"encoding/binary"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/store"
)

// writer keeps a machine's records: it sends a batch again while its outcome
// is unknown, and learns what is there when another was faster.
type writer struct {
	version uint64
	records map[uint64]*record
	trust   bool // the bug ignoredUnknown
}

// record is the record of an instance as it is known to be durable, and the
// batch that is about to change it.
type record struct {
	version uint64 // 0: absent
	value   []byte
	flight  *store.Batch
	unsure  bool // an earlier try of it ended Unknown
	tries   int  // of telling the host
}

func newWriter(planted bug) writer {
	return writer{records: map[uint64]*record{}, trust: planted == ignoredUnknown}
}

// tokens of timers and commits: what, which instance, at which epoch.
const (
	again byte = iota + 1 // tell the host, or decide, again
	retry                 // send the batch again
	beat
	wake
)

func token(what byte, id uint64, epoch uint32) uint64 {
	return uint64(what)<<56 | id<<32 | uint64(epoch)
}

func untoken(t uint64) (what byte, id uint64, epoch uint32) {
	return byte(t >> 56), t >> 32 & 0xffffff, uint32(t)
}

func (w *writer) load(in *machine.Event) {
	for _, r := range in.Records {
		w.records[number(r.Key)] = &record{version: r.Version, value: r.Value}
		w.version = max(w.version, r.Version)
	}
}

func (w *writer) record(id uint64) *record {
	r := w.records[id]
	if r == nil {
		r = new(record)
		w.records[id] = r
	}
	return r
}

// put begins to write a record; there must be no batch under way for it.
func (w *writer) put(in *machine.Event, out *machine.Effects, id uint64, value []byte) {
	r := w.record(id)
	w.version++
	b := store.Batch{
		Version: w.version, Expect: []store.Expectation{{Key: key(id), Version: r.version}},
		Puts: []store.Put{{Key: key(id), Value: value}},
	}
	binary.LittleEndian.PutUint64(b.ID[:], in.Rand.Uint64())
	binary.LittleEndian.PutUint64(b.ID[8:], in.Rand.Uint64()|1)
	r.flight, r.unsure = &b, false
	out.Commit(id, b)
}

// committed takes the answer to a commit. It reports whether the record is
// settled: either as it was written, or as it is now by another's doing.
func (w *writer) committed(in *machine.Event, out *machine.Effects) bool {
	r := w.records[in.Token]
	if r == nil || r.flight == nil {
		return false
	}
	b := r.flight
	switch {
	case in.Err != nil && !r.unsure:
		r.flight = nil // it was not applied
		return true
	case in.Err == nil && in.Result.Outcome == store.Conflict:
		for _, present := range in.Result.Conflicts {
			r.version, r.value = present.Version, present.Value
			w.version = max(w.version, present.Version)
		}
		r.flight = nil
		return true
	case in.Err == nil && (in.Result.Outcome == store.Committed || w.trust):
		r.version, r.value, r.flight = b.Version, b.Puts[0].Value, nil
		return true
	}
	r.unsure = true
	out.Timer(token(retry, in.Token, uint32(b.Version)), 50*time.Millisecond)
	return false
}

// retry sends a batch again that is still under way.
func (w *writer) retry(out *machine.Effects, id uint64, version uint32) {
	if r := w.records[id]; r != nil && r.flight != nil && uint32(r.flight.Version) == version {
		out.Commit(id, *r.flight)
	}
}
