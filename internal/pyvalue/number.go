package pyvalue

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

// maxIntDigits is the most digits of an integer that Python converts.
const maxIntDigits = 4300

// ParseFloat reads a number as float() does: blanks around it, a sign, an
// exponent, single underscores between digits, digits of any script, inf and
// nan. Numbers that are too large are infinite. It does not allocate for
// numbers without underscores in ASCII.
//
// Source: CPython, Objects/floatobject.c, PyFloat_FromString.
func ParseFloat(s string) (float64, bool) {
	s, ok := plainNumber(s)
	if !ok {
		return 0, false
	}
	if n, ok := infinite(s); ok {
		return n, true
	}
	if !decimal(s) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil || math.IsInf(n, 0)
}

// ParseInt reads a number as int() does: blanks around it, a sign, single
// underscores between digits, digits of any script. A number that needs more
// than 64 bits becomes the nearest that does not.
//
// Source: CPython, Objects/longobject.c, PyLong_FromUnicodeObject.
func ParseInt(s string) (int64, bool) {
	s, ok := integer(s)
	if !ok {
		return 0, false
	}
	n, _ := strconv.ParseInt(s, 10, 64) // saturates
	return n, true
}

// integer returns s as digits of ASCII behind an optional sign.
func integer(s string) (string, bool) {
	s, ok := plainNumber(s)
	if !ok {
		return "", false
	}
	digits := unsigned(s)
	if digits == "" || len(digits) > maxIntDigits || countDigits(digits) != len(digits) {
		return "", false
	}
	return s, true
}

// plainNumber strips blanks, drops underscores between digits and makes every
// digit one of ASCII.
//
// Source: CPython, Objects/unicodeobject.c,
// _PyUnicode_TransformDecimalAndSpaceToASCII, and Python/pystrtod.c,
// _Py_string_to_number_with_underscores.
func plainNumber(s string) (string, bool) {
	for i := range len(s) {
		if s[i] == '_' || s[i] >= 0x7f {
			return rewriteNumber(s)
		}
	}
	return trimASCII(s), true
}

func rewriteNumber(s string) (string, bool) {
	ascii := make([]byte, 0, len(s))
	for _, r := range s {
		switch d, ok := digitOf(r); {
		case r < 0x7f:
			ascii = append(ascii, byte(r))
		case ok:
			ascii = append(ascii, '0'+d)
		case IsSpace(r):
			ascii = append(ascii, ' ')
		default:
			return "", false
		}
	}
	s = trimASCII(string(ascii))
	out := ascii[:0]
	for i := range len(s) {
		if s[i] != '_' {
			out = append(out, s[i])
		} else if i == 0 || i+1 == len(s) || !isDigit(s[i-1]) || !isDigit(s[i+1]) {
			return "", false
		}
	}
	return string(out), true
}

// trimASCII strips the blanks that C knows.
func trimASCII(s string) string {
	for s != "" && isSpaceASCII(s[0]) {
		s = s[1:]
	}
	for s != "" && isSpaceASCII(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func isSpaceASCII(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func unsigned(s string) string {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		return s[1:]
	}
	return s
}

func countDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

// infinite reads inf, infinity and nan, with a sign, in any case.
func infinite(s string) (float64, bool) {
	word := unsigned(s)
	sign := 1
	if len(word) < len(s) && s[0] == '-' {
		sign = -1
	}
	switch len(word) {
	case 3:
		if foldASCII(word, "nan") {
			return math.NaN(), true
		}
		return math.Inf(sign), foldASCII(word, "inf")
	case 8:
		return math.Inf(sign), foldASCII(word, "infinity")
	default:
		return 0, false
	}
}

// foldASCII compares without case; lower is in lower case.
func foldASCII(s, lower string) bool {
	for i := range len(lower) {
		if s[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// decimal reports whether s is digits with at most one point, and an exponent.
func decimal(s string) bool {
	s = unsigned(s)
	whole := countDigits(s)
	s = s[whole:]
	if s != "" && s[0] == '.' {
		part := countDigits(s[1:])
		whole += part
		s = s[1+part:]
	}
	if whole == 0 || s == "" {
		return whole > 0
	}
	if s[0]|0x20 != 'e' {
		return false
	}
	s = unsigned(s[1:])
	return s != "" && countDigits(s) == len(s)
}

// digitOf returns the value of a decimal digit of any script. Unicode keeps
// the ten digits of a script together, in order.
func digitOf(r rune) (byte, bool) {
	if r < 0x80 {
		return byte(r - '0'), '0' <= r && r <= '9'
	}
	for _, rng := range unicode.Nd.R16 {
		if rune(rng.Lo) <= r && r <= rune(rng.Hi) {
			return byte((r - rune(rng.Lo)) % 10), true
		}
	}
	for _, rng := range unicode.Nd.R32 {
		if rune(rng.Lo) <= r && r <= rune(rng.Hi) {
			return byte((r - rune(rng.Lo)) % 10), true
		}
	}
	return 0, false
}

// FormatFloat prints a number as str() does: 3.0, 1e+16, 1e-05, inf.
//
// Source: CPython, Python/pystrtod.c, format_float_short with 'r'.
func FormatFloat(f float64) string {
	switch {
	case math.IsNaN(f):
		return "nan"
	case math.IsInf(f, 0):
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	sci := strconv.FormatFloat(f, 'e', -1, 64)
	exp, _ := strconv.Atoi(sci[strings.IndexByte(sci, 'e')+1:])
	if exp < -4 || exp >= 16 {
		return sci
	}
	fixed := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(fixed, ".") {
		fixed += ".0"
	}
	return fixed
}

// compareIntFloat compares an integer with a number that is not nan, exactly.
func compareIntFloat(i *big.Int, f float64) int {
	if math.IsInf(f, 0) {
		return -int(math.Copysign(1, f))
	}
	return new(big.Float).SetInt(i).Cmp(big.NewFloat(f))
}
