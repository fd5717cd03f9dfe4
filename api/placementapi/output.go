package placementapi

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/kilonova-cloud/kilonova/placement"
)

// appendString appends s as JSON.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, err := json.Marshal(s)
			if err != nil {
				return append(b, `""`...) // does not happen to a string
			}
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendUUID appends u as a JSON string. UUIDs are most of a long answer.
func appendUUID(b []byte, u *placement.UUID) []byte {
	n, to := len(b), binary.BigEndian
	b = append(b, `"00000000-0000-0000-0000-000000000000"`...)
	text := b[n : n+38]
	to.PutUint64(text[1:], hexDigits(to.Uint32(u[0:])))
	middle := hexDigits(to.Uint32(u[4:]))
	to.PutUint32(text[10:], uint32(middle>>32))
	to.PutUint32(text[15:], uint32(middle))
	middle = hexDigits(to.Uint32(u[8:]))
	to.PutUint32(text[20:], uint32(middle>>32))
	to.PutUint32(text[25:], uint32(middle))
	to.PutUint64(text[29:], hexDigits(to.Uint32(u[12:])))
	return b
}

// hexDigits returns the eight digits of v as text, the first one in the
// highest byte. It works on all of them at once: each gets a byte, and those
// above 9 get the distance from '9'+1 to 'a' added.
func hexDigits(v uint32) uint64 {
	const ones = 0x0101010101010101
	x := uint64(v)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & (0x0f * ones)
	letters := (x + 6*ones) >> 4 & ones
	return x + '0'*ones + letters*('a'-'9'-1)
}

// appendParent appends u as a JSON string, the zero UUID as null.
func appendParent(b []byte, u *placement.UUID) []byte {
	if u.IsZero() {
		return append(b, "null"...)
	}
	return appendUUID(b, u)
}

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }

// appendFloat appends f so that a reader sees a number with a fraction, as
// Python writes it.
func appendFloat(b []byte, f float64) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1e16 {
		return strconv.AppendFloat(b, f, 'f', 1, 64)
	}
	return strconv.AppendFloat(b, f, 'g', -1, 64)
}

// appendStrings appends a list of strings as JSON.
func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// separate appends a comma unless it is the first item.
func separate(b []byte, i int) []byte {
	if i > 0 {
		return append(b, ", "...)
	}
	return b
}

// classOrder sorts names of classes: standard ones in their order, then
// custom ones by name.
type classOrder map[string]int

func newClassOrder() classOrder {
	o := classOrder{}
	for i, name := range placement.StandardClasses() {
		o[name] = i
	}
	return o
}

func (o classOrder) compare(a, b string) int {
	x, standardX := o[a]
	y, standardY := o[b]
	switch {
	case standardX && standardY:
		return x - y
	case standardX:
		return -1
	case standardY:
		return 1
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// sorted returns the keys of m in order.
func sorted[V any](o classOrder, m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.SortFunc(names, o.compare)
	return names
}

// appendAmounts appends an object of amounts by class.
func (o classOrder) appendAmounts(b []byte, used map[string]int64) []byte {
	b = append(b, '{')
	for i, name := range sorted(o, used) {
		b = separate(b, i)
		b = appendString(b, name)
		b = append(b, ": "...)
		b = appendInt(b, used[name])
	}
	return append(b, '}')
}
