package table

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// The functions here turn values into strings that sort as the values do.
// None of them returns a prefix of what it returns for another value, so that
// such strings can be joined and still sort column by column.

// Text returns the ordered form of a string: bytewise.
func Text(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\x00\xff")
	}
	return s + "\x00\x01"
}

// Int returns the ordered form of a number.
func Int(n int64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)^1<<63)
	return string(b[:])
}

// Bool returns the ordered form of a truth value: false first.
func Bool(v bool) string {
	if v {
		return "\x01"
	}
	return "\x00"
}

// Time returns the ordered form of a moment.
func Time(t time.Time) string {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:], uint64(t.Unix())^1<<63)
	binary.BigEndian.PutUint32(b[8:], uint32(t.Nanosecond()))
	return string(b[:])
}

// reversed returns the form that sorts the other way round.
func reversed(s string) string {
	b := []byte(s)
	for i := range b {
		b[i] = ^b[i]
	}
	return string(b)
}

// past returns the least string greater than everything that begins with s;
// "" when there is none.
func past(s string) string {
	b := []byte(s)
	for i, last := range slices.Backward(b) {
		if last != 0xff {
			b[i]++
			return string(b[:i+1])
		}
	}
	return ""
}
