package intent

import (
	"encoding/binary"
	"fmt"
	"iter"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// The kinds of records that intents use. Batches of others must not.
const (
	kindDirectory store.Kind = 200 // one record: the intents under way
	kindChunk     store.Kind = 201 // the keys of one chunk of an intent
)

// The formats of records: their first byte.
const (
	recordFormat = 1 // directories and chunks
	turnFormat   = 2 // directories after the first turn: the turn follows
)

// envelopeMark begins every envelope. What makes a value one is that it also
// names an intent that the directory lists.
const envelopeMark = "\x00intent\x01"

func directoryKey() store.Key { return store.Key{Kind: kindDirectory} }

// phase is how far an intent is. The zero phase is none.
type phase uint8

const (
	phaseOpen    phase = iota + 1 // being written; not visible
	phaseDone                     // visible; envelopes are being opened
	phaseAborted                  // never visible; being rolled back
)

// change is what the newest change of the directory did to an intent, or that
// it changed the turn.
type change uint8

const (
	changeOpen change = iota + 1
	changeRenew
	changeDone
	changeAbort
	changeRemove
	changeTurn
)

// intent is one entry of the directory.
type intent struct {
	id      store.BatchID
	version uint64 // of the batch
	phase   phase
	expiry  int64  // end of the lease, nanoseconds since 1970
	since   uint64 // a revision before the first chunk
	owner   string
}

// directory lists the intents under way and says whose turn it is. It is a
// value: nobody changes the list of one that others may hold.
type directory struct {
	version uint64 // of the record; 0: never written
	change  change
	about   store.BatchID // the intent that change is about, if any
	intents []intent
	turn    Turn
}

func (d directory) find(id store.BatchID) (intent, bool) {
	i := slices.IndexFunc(d.intents, func(x intent) bool { return x.id == id })
	if i < 0 {
		return intent{}, false
	}
	return d.intents[i], true
}

// with returns the directory after change c of intent x.
func (d directory) with(c change, x intent) directory {
	next := directory{version: d.version + 1, change: c, about: x.id, turn: d.turn}
	for _, y := range d.intents {
		if y.id != x.id {
			next.intents = append(next.intents, y)
		}
	}
	if c != changeRemove {
		next.intents = append(next.intents, x)
	}
	return next
}

func (d directory) encode() []byte {
	format := byte(recordFormat)
	if d.turn.Epoch > 0 {
		format = turnFormat
	}
	buf := append([]byte{format, byte(d.change)}, d.about[:]...)
	buf = binary.AppendUvarint(buf, uint64(len(d.intents)))
	for _, x := range d.intents {
		buf = append(buf, x.id[:]...)
		buf = append(buf, byte(x.phase))
		buf = binary.AppendUvarint(buf, x.version)
		buf = binary.AppendVarint(buf, x.expiry)
		buf = binary.AppendUvarint(buf, x.since)
		buf = binary.AppendUvarint(buf, uint64(len(x.owner)))
		buf = append(buf, x.owner...)
	}
	if format == turnFormat {
		buf = binary.AppendUvarint(buf, d.turn.Epoch)
		buf = binary.AppendUvarint(buf, uint64(len(d.turn.Holder)))
		buf = append(buf, d.turn.Holder...)
	}
	return buf
}

func decodeDirectory(version uint64, value []byte) (directory, error) {
	d := directory{version: version}
	if version == 0 {
		return d, nil
	}
	r := reader{buf: value}
	format := r.open(turnFormat)
	d.change = change(r.byte())
	copy(d.about[:], r.take(len(d.about)))
	for range r.count() {
		var x intent
		copy(x.id[:], r.take(len(x.id)))
		x.phase, x.version, x.expiry, x.since = phase(r.byte()), r.uint(), r.int(), r.uint()
		x.owner = string(r.take(r.count()))
		d.intents = append(d.intents, x)
	}
	if format == turnFormat {
		d.turn.Epoch = r.uint()
		d.turn.Holder = string(r.take(r.count()))
		if d.turn.Epoch == 0 {
			r.fail()
		}
	}
	if r.err != nil {
		return directory{}, fmt.Errorf("directory of intents: %w", r.err)
	}
	return d, nil
}

// chunkKey names chunk n of intent x. It carries the batch's version, so that
// whoever sees it go can tell opening from rolling back.
func chunkKey(x intent, n int) store.Key {
	buf := make([]byte, 0, len(x.id)+12)
	buf = append(buf, x.id[:]...)
	buf = binary.BigEndian.AppendUint64(buf, x.version)
	buf = binary.BigEndian.AppendUint32(buf, uint32(n))
	return store.Key{Kind: kindChunk, ID: string(buf)}
}

// chunkKeyBytes is the length of a chunk's key.
const chunkKeyBytes = len(store.BatchID{}) + 12

// parseChunkKey returns the batch that chunk k belongs to.
func parseChunkKey(k store.Key) (id store.BatchID, version uint64) {
	if len(k.ID) == chunkKeyBytes {
		copy(id[:], k.ID)
		version = binary.BigEndian.Uint64([]byte(k.ID[len(id):]))
	}
	return id, version
}

func encodeChunk(keys []store.Key) []byte {
	buf := binary.AppendUvarint([]byte{recordFormat}, uint64(len(keys)))
	for _, k := range keys {
		buf = append(buf, byte(k.Kind))
		buf = binary.AppendUvarint(buf, uint64(len(k.ID)))
		buf = append(buf, k.ID...)
	}
	return buf
}

func decodeChunk(value []byte) ([]store.Key, error) {
	r := reader{buf: value}
	r.open(recordFormat)
	var keys []store.Key
	for range r.count() {
		kind := store.Kind(r.byte())
		keys = append(keys, store.Key{Kind: kind, ID: string(r.take(r.count()))})
	}
	if r.err != nil {
		return nil, fmt.Errorf("chunk of an intent: %w", r.err)
	}
	return keys, nil
}

// envelope stands in a record's place while an intent holds it.
type envelope struct {
	id     store.BatchID
	at     int          // place among the batch's puts, or among its deletes
	chunk  int          // the chunk that it came with
	old    store.Record // Version 0: absent
	value  []byte       // what the record will be
	delete bool         // it will be gone
}

func (e *envelope) encode() []byte {
	buf := make([]byte, 0, 64+len(e.old.Value)+len(e.value))
	buf = append(buf, envelopeMark...)
	buf = append(buf, e.id[:]...)
	gone := byte(0)
	if e.delete {
		gone = 1
	}
	buf = append(buf, gone)
	buf = binary.AppendUvarint(buf, uint64(e.at))
	buf = binary.AppendUvarint(buf, uint64(e.chunk))
	buf = binary.AppendUvarint(buf, e.old.Version)
	buf = binary.AppendUvarint(buf, uint64(len(e.old.Value)))
	buf = append(buf, e.old.Value...)
	return append(buf, e.value...)
}

// parseEnvelope reports whether value may be an envelope of record k.
func parseEnvelope(k store.Key, value []byte) (*envelope, bool) {
	if len(value) < len(envelopeMark) || string(value[:len(envelopeMark)]) != envelopeMark {
		return nil, false
	}
	r := reader{buf: value[len(envelopeMark):]}
	e := &envelope{}
	copy(e.id[:], r.take(len(e.id)))
	e.delete = r.byte() == 1
	e.at, e.chunk = int(r.uint()), int(r.uint())
	e.old = store.Record{Key: k, Version: r.uint()}
	e.old.Value = r.take(r.count())
	e.value = slices.Clip(r.buf)
	return e, r.err == nil
}

// reader takes encoded fields off buf; the first error sticks.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail() {
	r.buf = nil
	if r.err == nil {
		r.err = store.ErrDamaged
	}
}

// open takes the format, which may be newest at most.
func (r *reader) open(newest byte) byte {
	format := r.byte()
	if r.err == nil && format > newest {
		r.buf, r.err = nil, fmt.Errorf("format %d, this version reads %d: %w", format, newest, store.ErrNewerFormat)
	}
	return format
}

func (r *reader) take(n int) []byte {
	if n > len(r.buf) {
		r.fail()
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) byte() byte {
	b := r.take(1)
	if b == nil {
		return 0
	}
	return b[0]
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// count reads a number of items or bytes that follow.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.buf)) {
		r.fail()
		return 0
	}
	return int(n)
}

// keysOf yields every key that b names, some of them twice.
func keysOf(b *store.Batch) iter.Seq[store.Key] {
	return func(yield func(store.Key) bool) {
		for i := range b.Expect {
			if !yield(b.Expect[i].Key) {
				return
			}
		}
		for i := range b.Puts {
			if !yield(b.Puts[i].Key) {
				return
			}
		}
		for _, k := range b.Deletes {
			if !yield(k) {
				return
			}
		}
	}
}
