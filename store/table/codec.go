package table

import (
	"encoding/binary"
	"fmt"
	"time"
)

// Encoder appends the fields of a row to a value. Fields have no names: a
// later version of a row appends fields and never removes or reorders them.
type Encoder struct{ buf []byte }

// Bytes returns what was encoded; the encoder must not be used after it.
func (e *Encoder) Bytes() []byte { return e.buf }

// Text appends a string.
func (e *Encoder) Text(s string) {
	e.buf = binary.AppendUvarint(e.buf, uint64(len(s)))
	e.buf = append(e.buf, s...)
}

// Int appends a number.
func (e *Encoder) Int(n int64) { e.buf = binary.AppendVarint(e.buf, n) }

// Bool appends a truth value.
func (e *Encoder) Bool(b bool) {
	n := byte(0)
	if b {
		n = 1
	}
	e.buf = append(e.buf, n)
}

// Time appends a moment with nanoseconds; the zero time stays zero.
func (e *Encoder) Time(t time.Time) {
	e.Bool(!t.IsZero())
	if !t.IsZero() {
		e.Int(t.Unix())
		e.Int(int64(t.Nanosecond()))
	}
}

// Rest appends what [Decoder.Rest] returned: the fields of a newer version,
// which so survive a program that does not know them.
func (e *Encoder) Rest(b []byte) { e.buf = append(e.buf, b...) }

// Decoder reads fields in the order in which they were encoded. Fields that
// the writer did not know yet are zero. The first malformed field makes every
// later one zero, and Err says so.
type Decoder struct {
	buf   []byte
	err   error
	key   string            // of the row; what reads the same is this string
	names map[string]string // by itself, what Name has returned
}

// manyNames is how many of them are remembered.
const manyNames = 1 << 16

// NewDecoder returns a decoder of b, which it does not change.
func NewDecoder(b []byte) *Decoder { return &Decoder{buf: b} }

// Err returns what was malformed, or nil.
func (d *Decoder) Err() error { return d.err }

// Text reads a string.
func (d *Decoder) Text() string {
	b := d.text()
	if string(b) == d.key {
		return d.key
	}
	return string(b)
}

// Name reads a string that many rows have, such as a project: a table keeps
// one copy of it.
func (d *Decoder) Name() string {
	b := d.text()
	if name, known := d.names[string(b)]; known {
		return name
	}
	name := string(b)
	if len(d.names) >= manyNames {
		d.names = nil
	}
	if d.names == nil {
		d.names = map[string]string{}
	}
	d.names[name] = name
	return name
}

// text returns the bytes of a string.
func (d *Decoder) text() []byte {
	if len(d.buf) == 0 {
		return nil
	}
	n, size := binary.Uvarint(d.buf)
	if size <= 0 || n > uint64(len(d.buf)-size) {
		d.fail("text")
		return nil
	}
	b := d.buf[size : size+int(n)]
	d.buf = d.buf[size+int(n):]
	return b
}

// Int reads a number.
func (d *Decoder) Int() int64 {
	if len(d.buf) == 0 {
		return 0
	}
	n, size := binary.Varint(d.buf)
	if size <= 0 {
		d.fail("number")
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

// Bool reads a truth value.
func (d *Decoder) Bool() bool {
	if len(d.buf) == 0 {
		return false
	}
	b := d.buf[0]
	if b > 1 {
		d.fail("truth value")
		return false
	}
	d.buf = d.buf[1:]
	return b == 1
}

// Time reads a moment, in UTC.
func (d *Decoder) Time() time.Time {
	if !d.Bool() {
		return time.Time{}
	}
	sec, nsec := d.Int(), d.Int()
	if nsec < 0 || nsec >= 1e9 {
		d.fail("time")
	}
	if d.err != nil {
		return time.Time{}
	}
	return time.Unix(sec, nsec).UTC()
}

// Rest returns what has not been read, nil when there is nothing.
func (d *Decoder) Rest() []byte {
	if len(d.buf) == 0 {
		return nil
	}
	b := d.buf
	d.buf = nil
	return b
}

func (d *Decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%s in the last %d bytes: %w", what, len(d.buf), errMalformed)
	}
	d.buf = nil
}
