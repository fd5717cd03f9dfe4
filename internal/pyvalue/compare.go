package pyvalue

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"math/big"
)

// ErrType is Python's TypeError: values that have no order.
var ErrType = errors.New("values of these types have no order")

// typeNames are Python's names of the kinds.
var typeNames = [...]string{"NoneType", "bool", "int", "float", "str", "list", "dict", "object"}

// TypeName returns Python's name of the type of v.
func (v Value) TypeName() string { return typeNames[v.kind] }

func (v Value) isNumber() bool { return v.kind == KindBool || v.kind == KindInt || v.kind == KindFloat }

func (v Value) isNaN() bool { return v.kind == KindFloat && math.IsNaN(v.flt) }

// Equal reports whether a == b.
func Equal(a, b Value) bool {
	switch {
	case a.isNumber() && b.isNumber():
		return !a.isNaN() && !b.isNaN() && compareNumbers(a, b) == 0
	case a.kind != b.kind:
		return false
	case a.kind == KindList:
		return equalLists(a.List(), b.List())
	case a.kind == KindDict:
		return equalDicts(a.ref.(*Dict), b.ref.(*Dict))
	default:
		return a.text == b.text
	}
}

// Same reports whether a is b or a == b, as "in" and the comparison of
// containers ask. JSON's NaN is always the same object.
func Same(a, b Value) bool { return a.isNaN() && b.isNaN() || Equal(a, b) }

func equalLists(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !Same(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalDicts(a, b *Dict) bool {
	if len(a.keys) != len(b.keys) {
		return false
	}
	for _, key := range a.keys {
		other, has := b.values[key]
		if !has || !Same(a.values[key], other) {
			return false
		}
	}
	return true
}

// Compare orders a and b: -1, 0 or 1, and false when one of them is nan, of
// which no order holds. It returns [ErrType] when they have no order.
func Compare(a, b Value) (order int, ordered bool, err error) {
	switch {
	case a.isNumber() && b.isNumber():
		if a.isNaN() || b.isNaN() {
			return 0, false, nil
		}
		return compareNumbers(a, b), true, nil
	case a.kind == KindText && b.kind == KindText:
		return cmp.Compare(a.text, b.text), true, nil
	case a.kind == KindList && b.kind == KindList:
		return compareLists(a.List(), b.List())
	default:
		return 0, false, fmt.Errorf("%s and %s: %w", a.TypeName(), b.TypeName(), ErrType)
	}
}

func compareLists(a, b []Value) (order int, ordered bool, err error) {
	for i := range min(len(a), len(b)) {
		if !Same(a[i], b[i]) {
			return Compare(a[i], b[i])
		}
	}
	return cmp.Compare(len(a), len(b)), true, nil
}

// compareNumbers compares numbers that are not nan, exactly.
func compareNumbers(a, b Value) int {
	switch {
	case a.kind == KindFloat && b.kind == KindFloat:
		return cmp.Compare(a.flt, b.flt)
	case a.kind == KindFloat:
		return -compareIntFloat(b.bigInt(), a.flt)
	case b.kind == KindFloat:
		return compareIntFloat(a.bigInt(), b.flt)
	case a.ref == nil && b.ref == nil:
		return cmp.Compare(a.num, b.num)
	default:
		return a.bigInt().Cmp(b.bigInt())
	}
}

func (v Value) bigInt() *big.Int {
	if n, ok := v.ref.(*big.Int); ok {
		return n
	}
	return big.NewInt(v.num)
}
