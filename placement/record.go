package placement

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/kilonova-cloud/kilonova/store"
)

// The kinds of records that an engine keeps in its store. Keys are the 16
// bytes of a UUID for providers, states and consumers, and names otherwise.
const (
	kindClass      store.Kind = 1 // custom resource class
	kindTrait      store.Kind = 2 // custom trait
	kindProvider   store.Kind = 3 // definition: name, parent, inventories, traits, aggregates
	kindState      store.Kind = 4 // generation: what every change of a provider rewrites
	kindConsumer   store.Kind = 5 // with its allocations
	kindGuard      store.Kind = 6
	kindAttachment store.Kind = 7
	kindName       store.Kind = 8 // provider name -> UUID, in shared stores
)

// recordFormat is the first byte of every value but that of a consumer with
// stamps, which versions before them do not read.
const (
	recordFormat  = 1
	stampedFormat = 2
)

var errRecord = errors.New("malformed record")

// missingError: a record refers to a provider that is not there (yet).
type missingError struct{ provider UUID }

func (e *missingError) Error() string { return fmt.Sprintf("provider %s does not exist", e.provider) }

// An encoder appends to buf. Numbers are varints; a class or trait is its
// standard number plus one, or 0 and its name.
type encoder struct{ buf []byte }

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)   { e.buf = binary.AppendVarint(e.buf, v) }
func (e *encoder) uuid(u UUID)   { e.buf = append(e.buf, u[:]...) }
func (e *encoder) text(s string) { e.uint(uint64(len(s))); e.buf = append(e.buf, s...) }
func (e *encoder) float(f float64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(f))
}

func (e *encoder) symbol(t *symtab, id uint32) {
	if id < t.standard {
		e.uint(uint64(id) + 1)
		return
	}
	e.uint(0)
	e.text(t.names[id])
}

// A decoder reads what an encoder wrote; the first error sticks.
type decoder struct {
	buf []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errRecord
	}
	d.buf = nil
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.buf)) {
		d.fail()
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) uuid() (u UUID) {
	copy(u[:], d.bytes(16))
	return u
}

func (d *decoder) text() string { return string(d.bytes(d.uint())) }

func (d *decoder) float() float64 {
	b := d.bytes(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

// count reads a number of items of at least size bytes each.
func (d *decoder) count(size int) int {
	n := d.uint()
	if n > uint64(len(d.buf)/size) {
		d.fail()
		return 0
	}
	return int(n)
}

// symbol reads a class or trait; a custom one must be known already.
func (d *decoder) symbol(t *symtab) uint32 {
	if n := d.uint(); n != 0 {
		if n > uint64(t.standard) {
			d.fail()
			return 0
		}
		return uint32(n - 1)
	}
	id, known := t.ids[d.text()]
	if !known {
		d.fail()
	}
	return id
}

// open checks the format byte.
func (d *decoder) open() { d.openUpTo(recordFormat) }

func (d *decoder) openUpTo(newest byte) {
	if len(d.buf) == 0 || d.buf[0] == 0 {
		d.fail()
		return
	}
	if d.buf[0] > newest {
		d.err = fmt.Errorf("record format %d, this version reads %d: %w", d.buf[0], newest, store.ErrNewerFormat)
		d.buf = nil
		return
	}
	d.buf = d.buf[1:]
}

// key returns the UUID that is a record's key.
func (d *decoder) key(k store.Key) (u UUID) {
	if copy(u[:], k.ID); len(k.ID) != len(u) || u.IsZero() {
		d.fail()
	}
	return u
}

// close demands that everything has been read.
func (d *decoder) close() error {
	if len(d.buf) != 0 {
		d.fail()
	}
	return d.err
}

func (w *world) encodeProvider(r *providerRecord) []byte {
	e := encoder{buf: make([]byte, 0, 96+len(r.name)+24*len(r.inv)+2*len(r.traits)+16*len(r.aggs))}
	e.buf = append(e.buf, recordFormat)
	e.text(r.name)
	e.uuid(r.parent)
	e.int(r.created)
	e.uint(uint64(len(r.inv)))
	for _, ci := range r.inv {
		e.symbol(&w.classes, ci.class)
		for _, v := range [...]int64{ci.inv.Total, ci.inv.Reserved, ci.inv.MinUnit, ci.inv.MaxUnit, ci.inv.StepSize} {
			e.uint(uint64(v))
		}
		e.float(ci.inv.AllocationRatio)
	}
	e.uint(uint64(len(r.traits)))
	for _, t := range r.traits {
		e.symbol(&w.traits, t)
	}
	e.uint(uint64(len(r.aggs)))
	for _, a := range r.aggs {
		e.uuid(a)
	}
	return e.buf
}

func (w *world) decodeProvider(rec store.Record) (*providerRecord, error) {
	r := new(providerRecord)
	return r, w.readProvider(r, rec)
}

// readProvider decodes rec into r and reuses its slices.
func (w *world) readProvider(r *providerRecord, rec store.Record) error {
	*r = providerRecord{version: rec.Version, inv: r.inv[:0], traits: r.traits[:0], aggs: r.aggs[:0]}
	d := decoder{buf: rec.Value}
	d.open()
	r.uuid = d.key(rec.Key)
	if r.name, r.parent, r.created = d.text(), d.uuid(), d.int(); !validName(r.name) {
		d.fail()
	}
	for range d.count(14) {
		ci := classInventory{class: d.symbol(&w.classes)}
		for _, v := range [...]*int64{&ci.inv.Total, &ci.inv.Reserved, &ci.inv.MinUnit, &ci.inv.MaxUnit, &ci.inv.StepSize} {
			*v = int64(d.uint())
		}
		ci.inv.AllocationRatio = d.float()
		if d.err == nil && ci.inv.Validate() != nil {
			d.fail()
		}
		r.inv = append(r.inv, ci)
	}
	for range d.count(1) {
		r.traits = append(r.traits, d.symbol(&w.traits))
	}
	for range d.count(16) {
		r.aggs = append(r.aggs, d.uuid())
	}
	// The order of numbers may be another than when it was written.
	n := len(r.inv) + len(r.traits) + len(r.aggs)
	slices.SortFunc(r.inv, compareClasses)
	slices.Sort(r.traits)
	slices.SortFunc(r.aggs, compareUUIDs)
	r.inv = slices.CompactFunc(r.inv, func(a, b classInventory) bool { return a.class == b.class })
	r.traits, r.aggs = slices.Compact(r.traits), slices.Compact(r.aggs)
	if len(r.inv)+len(r.traits)+len(r.aggs) != n {
		d.fail()
	}
	return d.close()
}

// maxState is how many bytes a state takes at most.
const maxState = 1 + 2*binary.MaxVarintLen64

func encodeState(buf []byte, generation, updated int64) []byte {
	e := encoder{buf: buf}
	e.buf = append(e.buf, recordFormat)
	e.uint(uint64(generation))
	e.int(updated)
	return e.buf
}

func decodeState(value []byte) (generation, updated int64, err error) {
	d := decoder{buf: value}
	d.open()
	if generation, updated = int64(d.uint()), d.int(); generation < 0 {
		d.fail()
	}
	return generation, updated, d.close()
}

// consumerBytes is how many bytes encodeConsumer appends.
func (w *world) consumerBytes(r *consumerRecord) int {
	n := 1 + textBytes(r.project) + textBytes(r.user) + textBytes(r.kind) +
		uintBytes(uint64(r.generation)) + intBytes(r.created) + intBytes(r.updated-r.created) + uintBytes(uint64(len(r.allocs)))
	last := none
	for _, a := range r.allocs {
		if n++; a.provider != last {
			n, last = n+16, a.provider
			if s := r.stamp(a.provider); s != nil {
				n += uintBytes(uint64(s.generation)) + intBytes(s.updated-r.updated)
			}
		}
		if a.class < w.classes.standard {
			n += uintBytes(uint64(a.class) + 1)
		} else {
			n += 1 + textBytes(w.classes.names[a.class])
		}
		n += uintBytes(uint64(a.amount))
	}
	return n
}

func uintBytes(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func intBytes(v int64) int { return uintBytes(uint64(v<<1) ^ uint64(v>>63)) }

func textBytes(s string) int { return uintBytes(uint64(len(s))) + len(s) }

// encodeConsumer appends to buf.
func (w *world) encodeConsumer(buf []byte, r *consumerRecord) []byte {
	e := encoder{buf: buf}
	if len(r.stamps) == 0 {
		e.buf = append(e.buf, recordFormat)
	} else {
		e.buf = append(e.buf, stampedFormat)
	}
	e.text(r.project)
	e.text(r.user)
	e.text(r.kind)
	e.uint(uint64(r.generation))
	e.int(r.created)
	e.int(r.updated - r.created)
	e.uint(uint64(len(r.allocs)))
	last := none
	for _, a := range r.allocs { // 1: same provider as before, 2: another and its stamp
		switch s := r.stamp(a.provider); {
		case a.provider == last:
			e.uint(1)
		case s != nil:
			e.uint(2)
			e.uuid(w.provider(a.provider).uuid)
			e.uint(uint64(s.generation))
			e.int(s.updated - r.updated)
		default:
			e.uint(0)
			e.uuid(w.provider(a.provider).uuid)
		}
		last = a.provider
		e.symbol(&w.classes, a.class)
		e.uint(uint64(a.amount))
	}
	return e.buf
}

func (w *world) decodeConsumer(rec store.Record) (*consumerRecord, error) {
	r := new(consumerRecord)
	return r, w.readConsumer(r, rec)
}

// readConsumer decodes rec into r, with allocations that are new.
func (w *world) readConsumer(r *consumerRecord, rec store.Record) error {
	*r = consumerRecord{version: rec.Version, stamps: r.stamps[:0]}
	d := decoder{buf: rec.Value}
	d.openUpTo(stampedFormat)
	r.uuid = d.key(rec.Key)
	// Projects, users and types are few: share the interned text.
	r.project, r.user, r.kind = d.shared(&w.projects), d.shared(&w.users), d.shared(&w.types)
	generation := d.uint()
	if r.project == "" || r.user == "" || generation < 1 || generation > math.MaxUint32 {
		d.fail()
	}
	r.generation, r.created = uint32(generation), d.int()
	r.updated = r.created + d.int()
	n := d.count(3)
	r.allocs = make([]allocRow, 0, n)
	for range n {
		a := allocRow{provider: none}
		switch same := d.uint(); {
		case same == 0 || same == 2:
			uuid, known := d.uuid(), false
			if a.provider, known = w.findProvider(uuid); !known && d.err == nil {
				return &missingError{uuid}
			}
			if same == 2 {
				r.stamps = append(r.stamps, stamp{a.provider, d.generation(), r.updated + d.int()})
			}
		case same == 1 && len(r.allocs) > 0:
			a.provider = r.allocs[len(r.allocs)-1].provider
		default:
			d.fail()
		}
		a.class, a.amount = d.symbol(&w.classes), int64(d.uint())
		if a.amount < 1 || a.amount > MaxInt || d.err == nil && w.provider(a.provider).row(a.class) == nil {
			d.fail()
		}
		r.allocs = append(r.allocs, a)
	}
	slices.SortFunc(r.stamps, func(a, b stamp) int { return int(int64(a.provider) - int64(b.provider)) })
	stamps := len(r.stamps)
	r.stamps = slices.CompactFunc(r.stamps, func(a, b stamp) bool { return a.provider == b.provider })
	slices.SortFunc(r.allocs, compareRows)
	r.allocs = slices.CompactFunc(r.allocs, func(a, b allocRow) bool { return compareRows(a, b) == 0 })
	if n == 0 || len(r.allocs) != n || len(r.stamps) != stamps {
		d.fail()
	}
	return d.close()
}

// generation reads one that is not that of a new provider.
func (d *decoder) generation() int64 {
	g := int64(d.uint())
	if g < 1 {
		d.fail()
	}
	return g
}

func (d *decoder) shared(t *symtab) string {
	b := d.bytes(d.uint())
	if id, known := t.ids[string(b)]; known {
		return t.names[id]
	}
	return string(b)
}

func encodeGuard(bound UUID) []byte {
	e := encoder{buf: []byte{recordFormat}}
	e.uuid(bound)
	return e.buf
}

func decodeGuard(value []byte) (UUID, error) {
	d := decoder{buf: value}
	d.open()
	u := d.uuid()
	return u, d.close()
}
