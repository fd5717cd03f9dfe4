package pyvalue

import (
	"math/big"
	"strconv"
)

// Kind is the type of a [Value].
type Kind uint8

// The kinds. The zero value is None.
const (
	KindNone Kind = iota
	KindBool
	KindInt
	KindFloat
	KindText
	KindList
	KindDict
	// KindObject is any other object: it is only equal to itself and has no
	// order.
	KindObject
)

// Value is one Python value. The zero Value is None.
type Value struct {
	kind Kind
	num  int64   // a bool as 0 or 1; an int when ref is nil; whether an object is true
	flt  float64 // of a float
	text string  // of a text; what str() says of an object
	ref  any     // *big.Int of an int that is too large, []Value, *Dict
}

// Dict is a dictionary that keeps the order in which keys came first.
type Dict struct {
	keys   []string
	values map[string]Value
}

// Set adds a key or replaces its value. It is only for building the Dict.
func (d *Dict) Set(key string, v Value) {
	if d.values == nil {
		d.values = map[string]Value{}
	}
	if _, has := d.values[key]; !has {
		d.keys = append(d.keys, key)
	}
	d.values[key] = v
}

// OfBool returns True or False.
func OfBool(b bool) Value {
	if b {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// OfInt returns an int.
func OfInt(n int64) Value { return Value{kind: KindInt, num: n} }

// OfFloat returns a float.
func OfFloat(f float64) Value { return Value{kind: KindFloat, flt: f} }

// OfText returns a str.
func OfText(s string) Value { return Value{kind: KindText, text: s} }

// OfList returns a list, which keeps items.
func OfList(items []Value) Value { return Value{kind: KindList, ref: items} }

// OfDict returns a dict, which keeps d.
func OfDict(d *Dict) Value { return Value{kind: KindDict, ref: d} }

// OfObject returns an object of which str() says text.
func OfObject(text string, truth bool) Value {
	v := OfBool(truth)
	v.kind, v.text = KindObject, text
	return v
}

func ofDigits(s string) Value {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return OfInt(n)
	}
	n, _ := new(big.Int).SetString(s, 10)
	return Value{kind: KindInt, ref: n}
}

// Kind returns the type.
func (v Value) Kind() Kind { return v.kind }

// IsNone reports whether v is None.
func (v Value) IsNone() bool { return v.kind == KindNone }

// Text returns the text of a str, and whether v is one.
func (v Value) Text() (string, bool) { return v.text, v.kind == KindText }

// Int returns the value of an int that has 64 bits, and whether v is one.
func (v Value) Int() (int64, bool) { return v.num, v.kind == KindInt && v.ref == nil }

// List returns the items of a list, nil for anything else.
func (v Value) List() []Value {
	items, _ := v.ref.([]Value)
	return items
}

// Get returns the value of a key of a dict, None when there is none.
func (v Value) Get(key string) Value {
	if d, ok := v.ref.(*Dict); ok {
		return d.values[key]
	}
	return Value{}
}

// True reports whether v counts as true.
func (v Value) True() bool {
	switch v.kind {
	case KindNone:
		return false
	case KindFloat:
		return v.flt != 0
	case KindText:
		return v.text != ""
	case KindList:
		return len(v.List()) > 0
	case KindDict:
		return len(v.ref.(*Dict).keys) > 0
	default:
		return v.num != 0 || v.ref != nil
	}
}

// String returns what str() says of v.
func (v Value) String() string {
	switch v.kind {
	case KindText, KindObject:
		return v.text
	default:
		return string(v.appendRepr(nil))
	}
}

func (v Value) appendRepr(b []byte) []byte {
	switch v.kind {
	case KindNone:
		return append(b, "None"...)
	case KindBool:
		if v.num == 0 {
			return append(b, "False"...)
		}
		return append(b, "True"...)
	case KindInt:
		if n, ok := v.ref.(*big.Int); ok {
			return n.Append(b, 10)
		}
		return strconv.AppendInt(b, v.num, 10)
	case KindFloat:
		return append(b, FormatFloat(v.flt)...)
	case KindText:
		return appendQuoted(b, v.text)
	case KindList:
		b = append(b, '[')
		for i, item := range v.List() {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = item.appendRepr(b)
		}
		return append(b, ']')
	case KindDict:
		return v.ref.(*Dict).appendRepr(b)
	default:
		return append(b, v.text...)
	}
}

func (d *Dict) appendRepr(b []byte) []byte {
	b = append(b, '{')
	for i, key := range d.keys {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(appendQuoted(b, key), ": "...)
		b = d.values[key].appendRepr(b)
	}
	return append(b, '}')
}
