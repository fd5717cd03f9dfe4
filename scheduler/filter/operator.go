package filter

import (
	"cmp"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// match reports whether a value meets the requirement of an extra spec: an
// operator and its words, or else a text that the value has to be. It returns
// an error where Nova raises.
//
// Source: nova, scheduler/filters/extra_specs_ops.py, match.
func match(value pyvalue.Value, requirement string) (bool, error) {
	operator, words := pyvalue.NextWord(requirement)
	switch operator {
	case "=", "==", "!=", ">=", "<=", "<in>", "<all-in>", "<or>", "s==", "s!=", "s<", "s<=", "s>", "s>=":
		return apply(value, operator, words)
	default:
		return value.String() == requirement, nil
	}
}

// apply reports whether a value is in the relation of an operator to words.
func apply(value pyvalue.Value, operator, words string) (bool, error) {
	word, rest := pyvalue.NextWord(words)
	switch {
	case operator == "<or>":
		return oneOf(value.String(), words)
	case word == "":
		return false, nil
	case operator == "<in>":
		return strings.Contains(value.String(), word), nil
	case operator == "<all-in>":
		return allIn(value.String(), word, rest), nil
	case operator[0] == 's':
		return pyvalue.Ordered(operator[1:], cmp.Compare(value.String(), word)), nil
	default:
		return compareNumbers(value, operator, word)
	}
}

func allIn(text, word, rest string) bool {
	for ; word != ""; word, rest = pyvalue.NextWord(rest) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// oneOf compares with the words at odd places, whatever stands between them.
func oneOf(text, words string) (bool, error) {
	word, rest := pyvalue.NextWord(words)
	if word == "" {
		return false, cannot("<or> has no value")
	}
	for word != "" {
		if word == text {
			return true, nil
		}
		_, rest = pyvalue.NextWord(rest)
		word, rest = pyvalue.NextWord(rest)
	}
	return false, nil
}

func compareNumbers(value pyvalue.Value, operator, word string) (bool, error) {
	have, ok := number(value)
	if !ok {
		return false, cannot("%s compares numbers, and %q is none", operator, value.String())
	}
	want, ok := pyvalue.ParseFloat(word)
	if !ok {
		return false, cannot("%s compares numbers, and %q is none", operator, word)
	}
	switch operator {
	case "==":
		return have == want, nil
	case "!=":
		return have != want, nil
	case "<=":
		return have <= want, nil
	default: // = means >=
		return have >= want, nil
	}
}

// number is float(str(v)).
func number(v pyvalue.Value) (float64, bool) {
	if n, ok := v.Int(); ok {
		return float64(n), true
	}
	return pyvalue.ParseFloat(v.String())
}
