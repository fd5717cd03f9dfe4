package jsonschema

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// reprLimit bounds how much of a value a message shows, in bytes.
const reprLimit = 500

// Repr writes v as Python would: 'text', True, None, {'key': [1, 2]}. Long
// values are cut.
func Repr(v *Value) string {
	var b strings.Builder
	repr(&b, v)
	return b.String()
}

func repr(b *strings.Builder, v *Value) {
	if b.Len() > reprLimit {
		return
	}
	switch v.Kind {
	case Null:
		b.WriteString("None")
	case Boolean:
		if v.Truth {
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case Number:
		b.WriteString(number(v))
	case String:
		reprString(b, v.Text)
	case Array:
		reprItems(b, v, '[', ']')
	case Object:
		reprItems(b, v, '{', '}')
	}
}

func number(v *Value) string {
	if !strings.ContainsAny(v.Text, ".eE") {
		return cut(v.Text)
	}
	return pyFloat(v.Float())
}

func pyFloat(f float64) string {
	if f == math.Trunc(f) && math.Abs(f) < 1e16 {
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func cut(s string) string {
	if len(s) > reprLimit {
		return s[:reprLimit] + "..."
	}
	return s
}

func reprItems(b *strings.Builder, v *Value, open, closing byte) {
	b.WriteByte(open)
	for i := range v.Items {
		if i > 0 {
			b.WriteString(", ")
		}
		if b.Len() > reprLimit {
			b.WriteString("...")
			break
		}
		if v.Kind == Object {
			reprString(b, v.Keys[i])
			b.WriteString(": ")
		}
		repr(b, &v.Items[i])
	}
	b.WriteByte(closing)
}

// ReprString writes s as Python would: in single quotes, or in double quotes
// when it holds single ones only.
func ReprString(s string) string {
	var b strings.Builder
	reprString(&b, s)
	return b.String()
}

func reprString(b *strings.Builder, s string) {
	quote := '\''
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b.WriteRune(quote)
	for _, r := range s {
		if b.Len() > reprLimit {
			b.WriteString("...")
			break
		}
		switch {
		case r == quote || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case !unicode.IsPrint(r):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteRune(quote)
}
