package router

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind says what a Value is.
type Kind uint8

// What a Value may be. Values of different kinds sort in this order.
const (
	KindNull Kind = iota
	KindBool
	KindInt
	KindTime
	KindText
)

// Value is what rows are sorted by. The zero Value is null.
type Value struct {
	Kind Kind
	num  int64 // truth value, number, or seconds since 1970
	nsec int32
	text string
}

// Text returns the value of a text; texts sort bytewise.
func Text(s string) Value { return Value{Kind: KindText, text: s} }

// Int returns the value of a number.
func Int(n int64) Value { return Value{Kind: KindInt, num: n} }

// Bool returns the value of a truth value; false sorts first.
func Bool(v bool) Value {
	if v {
		return Value{Kind: KindBool, num: 1}
	}
	return Value{Kind: KindBool}
}

// Time returns the value of a moment.
func Time(t time.Time) Value {
	return Value{Kind: KindTime, num: t.Unix(), nsec: int32(t.Nanosecond())} // below 1e9
}

// AsText returns the text of a KindText.
func (v Value) AsText() string { return v.text }

// AsInt returns the number of a KindInt.
func (v Value) AsInt() int64 { return v.num }

// AsBool returns the truth value of a KindBool.
func (v Value) AsBool() bool { return v.num != 0 }

// AsTime returns the moment of a KindTime, in UTC.
func (v Value) AsTime() time.Time { return time.Unix(v.num, int64(v.nsec)).UTC() }

func compare(a, b *Value) int {
	if a.Kind == KindText && b.Kind == KindText {
		return strings.Compare(a.text, b.text)
	}
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.num, b.num), cmp.Compare(a.nsec, b.nsec))
}

// Column is a value of rows that they may be sorted by.
type Column[R any] struct {
	Name string
	Get  func(*R) Value
	// Set makes Get return a value again. Kinds are those that Get returns; a
	// marker with any other is refused. Only Order.Parse needs the two.
	Set   func(*R, Value)
	Kinds []Kind
}

// Sort orders rows by one column.
type Sort struct {
	Column string
	Desc   bool
}

// Columns are what rows of type R may be sorted by. The first of them is the
// key: no two rows of all cells have the same.
type Columns[R any] []Column[R]

// Order is a total order of rows.
type Order[R any] struct {
	sort    []Sort
	columns []*Column[R]
}

// Order returns the order by some columns. Rows that are equal in all of them
// are in the order of their keys, in the direction of the last column. Columns
// after the key, or named twice, order nothing. It returns [ErrUnknownColumn].
func (cs Columns[R]) Order(by ...Sort) (Order[R], error) {
	var o Order[R]
	if len(cs) == 0 {
		return o, fmt.Errorf("there are no columns to sort by: %w", ErrUnknownColumn)
	}
	last := Sort{Column: cs[0].Name}
	if len(by) > 0 {
		last.Desc = by[len(by)-1].Desc
	}
	for _, s := range append(slices.Clip(by), last) {
		i := slices.IndexFunc(cs, func(c Column[R]) bool { return c.Name == s.Column })
		if i < 0 {
			return Order[R]{}, fmt.Errorf("sort key is %q, allowed are %q: %w", s.Column, cs.names(), ErrUnknownColumn)
		}
		if slices.Contains(o.columns, &cs[i]) {
			continue
		}
		o.sort, o.columns = append(o.sort, s), append(o.columns, &cs[i])
		if i == 0 {
			break
		}
	}
	return o, nil
}

func (cs Columns[R]) names() []string {
	names := make([]string, len(cs))
	for i := range cs {
		names[i] = cs[i].Name
	}
	return names
}

// Sort returns the columns of the order. The last one is the key.
func (o Order[R]) Sort() []Sort { return slices.Clone(o.sort) }

// Compare returns whether a comes before b (negative) or after it (positive).
// It is 0 only for rows with the same key.
func (o Order[R]) Compare(a, b *R) int {
	for i, c := range o.columns {
		va, vb := c.Get(a), c.Get(b)
		if n := compare(&va, &vb); n != 0 {
			if o.sort[i].Desc {
				return -n
			}
			return n
		}
	}
	return 0
}

// key returns the key of a row.
func (o Order[R]) key(v *R) Value { return o.columns[len(o.columns)-1].Get(v) }
