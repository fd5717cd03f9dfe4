package jsonschema

import (
	"math"
	"strconv"
	"strings"
)

// Kind is the type of a value.
type Kind uint8

// The types of JSON.
const (
	Null Kind = iota
	Boolean
	Number
	String
	Array
	Object
)

// Value is a JSON document or a part of one.
type Value struct {
	Kind  Kind
	Truth bool     // of a Boolean
	Text  string   // of a String; of a Number as it was written
	Keys  []string // of an Object, in the order of the document
	Items []Value  // of an Array, or of the members of an Object
}

// Get returns the member key of an object, or nil.
func (v *Value) Get(key string) *Value {
	if v == nil || v.Kind != Object {
		return nil
	}
	for i, k := range v.Keys {
		if k == key {
			return &v.Items[i]
		}
	}
	return nil
}

// IsInteger reports whether v is a number without a fraction, as JSON schema
// counts: 1.0 is one.
func (v *Value) IsInteger() bool {
	if v == nil || v.Kind != Number {
		return false
	}
	if !strings.ContainsAny(v.Text, ".eE") {
		return true
	}
	f := v.Float()
	return f == math.Trunc(f) && !math.IsInf(f, 0)
}

// Int returns a number as an integer; it saturates, and is 0 for what is not
// a number.
func (v *Value) Int() int64 {
	if v == nil || v.Kind != Number {
		return 0
	}
	if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
		return n
	}
	switch f := v.Float(); {
	case f >= math.MaxInt64:
		return math.MaxInt64
	case f <= math.MinInt64:
		return math.MinInt64
	default:
		return int64(f)
	}
}

// Float returns a number, infinite when it is too large for a float64, and 0
// for what is not a number.
func (v *Value) Float() float64 {
	if v == nil || v.Kind != Number {
		return 0
	}
	f, _ := strconv.ParseFloat(v.Text, 64) // the range error comes with an infinity
	return f
}

// Str returns a string, or "".
func (v *Value) Str() string {
	if v == nil || v.Kind != String {
		return ""
	}
	return v.Text
}

// Strings returns the strings of an array.
func (v *Value) Strings() []string {
	if v == nil {
		return nil
	}
	list := make([]string, 0, len(v.Items))
	for i := range v.Items {
		list = append(list, v.Items[i].Str())
	}
	return list
}
