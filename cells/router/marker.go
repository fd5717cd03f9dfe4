package router

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// A marker as text is markerPrefix and, in base64 for URLs: the version, the
// number of columns, and for each its name, direction, kind and value. There
// is exactly one text for a place in an order.
const (
	markerPrefix  = "~"
	markerVersion = 1
	maxMarker     = 4096 // bytes of text
)

// Marker returns the place of a row as text, for [Order.Parse].
func (o Order[R]) Marker(row *R) string {
	values := make([]Value, len(o.columns))
	for i, c := range o.columns {
		values[i] = c.Get(row)
	}
	return markerPrefix + base64.RawURLEncoding.EncodeToString(encode(o.sort, values))
}

// Parse returns a row with nothing but the columns of the order, as the marker
// has them. It returns [ErrMarker] when the text is no marker of this order.
func (o Order[R]) Parse(text string) (*R, error) {
	sort, values, err := decodeMarker(text)
	if err != nil {
		return nil, err
	}
	if !slices.Equal(sort, o.sort) {
		return nil, fmt.Errorf("marker is one of the order %v, asked for is %v: %w", sort, o.sort, ErrMarker)
	}
	row := new(R)
	for i, c := range o.columns {
		if !slices.Contains(c.Kinds, values[i].Kind) {
			return nil, fmt.Errorf("kind of %s in the marker is %d, allowed are %d: %w", c.Name, values[i].Kind, c.Kinds, ErrMarker)
		}
		c.Set(row, values[i])
	}
	return row, nil
}

// isMarker reports whether a text is a marker rather than a key.
func isMarker(text string) bool { return strings.HasPrefix(text, markerPrefix) }

func flag(v bool) byte {
	if v {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendValue(b []byte, v Value) []byte {
	b = append(b, byte(v.Kind))
	switch v.Kind {
	case KindNull:
	case KindBool:
		b = append(b, byte(v.num))
	case KindInt:
		b = binary.AppendVarint(b, v.num)
	case KindTime:
		b = binary.AppendUvarint(binary.AppendVarint(b, v.num), uint64(v.nsec))
	case KindText:
		b = appendText(b, v.text)
	}
	return b
}

// decodeMarker is the inverse of Order.Marker.
func decodeMarker(text string) ([]Sort, []Value, error) {
	if len(text) > maxMarker {
		return nil, nil, fmt.Errorf("marker has %d bytes, allowed are %d: %w", len(text), maxMarker, ErrMarker)
	}
	coded, ok := strings.CutPrefix(text, markerPrefix)
	if !ok {
		return nil, nil, fmt.Errorf("marker begins with %.1q, allowed is %q: %w", text, markerPrefix, ErrMarker)
	}
	buf, err := base64.RawURLEncoding.Strict().DecodeString(coded)
	if err == nil && strings.ContainsAny(coded, "\r\n") { // which the decoder passes over
		err = base64.CorruptInputError(strings.IndexAny(coded, "\r\n"))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("marker is not base64 for URLs: %w: %w", err, ErrMarker)
	}
	d := decoder{buf: buf}
	if version := d.byte(); version != markerVersion {
		return nil, nil, fmt.Errorf("version of the marker is %d, allowed is %d: %w", version, markerVersion, ErrMarker)
	}
	var sort []Sort
	var values []Value
	for range d.byte() {
		sort = append(sort, Sort{d.text(), d.flag()})
		values = append(values, d.value())
		if d.bad {
			break
		}
	}
	if d.bad || len(d.buf) > 0 || !slices.Equal(buf, encode(sort, values)) {
		return nil, nil, fmt.Errorf("marker is malformed: %w", ErrMarker)
	}
	return sort, values, nil
}

// encode is what a marker of these columns and values holds.
func encode(sort []Sort, values []Value) []byte {
	b := []byte{markerVersion, byte(len(sort))}
	for i, s := range sort {
		b = append(appendText(b, s.Column), flag(s.Desc))
		b = appendValue(b, values[i])
	}
	return b
}

// decoder reads what the functions above write. Once bad, it reads zeros.
type decoder struct {
	buf []byte
	bad bool
}

func (d *decoder) fail() {
	d.buf, d.bad = nil, true
}

func (d *decoder) byte() byte {
	if len(d.buf) == 0 {
		d.fail()
		return 0
	}
	b := d.buf[0]
	d.buf = d.buf[1:]
	return b
}

func (d *decoder) flag() bool {
	b := d.byte()
	if b > 1 {
		d.fail()
	}
	return b == 1
}

func (d *decoder) uvarint() uint64 {
	n, size := binary.Uvarint(d.buf)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

func (d *decoder) varint() int64 {
	n, size := binary.Varint(d.buf)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.buf = d.buf[size:]
	return n
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.buf)) {
		d.fail()
		return ""
	}
	s := string(d.buf[:n])
	d.buf = d.buf[n:]
	return s
}

func (d *decoder) value() Value {
	v := Value{Kind: Kind(d.byte())}
	switch v.Kind {
	case KindNull:
	case KindBool:
		v.num = int64(flag(d.flag()))
	case KindInt:
		v.num = d.varint()
	case KindTime:
		v.num = d.varint()
		nsec := d.uvarint()
		if nsec >= 1e9 {
			d.fail()
			return Value{}
		}
		v.nsec = int32(nsec)
	case KindText:
		v.text = d.text()
	default:
		d.fail()
	}
	return v
}
