package scheduler

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// ParseFloat reads a number as Python's float() does: blanks around it, a
// sign, an exponent, underscores between digits, digits of any script, inf
// and nan.
func ParseFloat(s string) (float64, bool) {
	s, ok := number(s)
	if !ok {
		return 0, false
	}
	switch strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(s, "-"), "+")) {
	case "nan": // Go knows it without a sign only
		return math.NaN(), !strings.HasPrefix(s, "-+")
	case "inf", "infinity":
		n, err := strconv.ParseFloat(s, 64)
		return n, err == nil
	}
	if strings.Trim(s, "0123456789+-.eE") != "" { // neither hexadecimal nor anything else that Go knows
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	if err != nil && !math.IsInf(n, 0) {
		return 0, false
	}
	return n, true // an overflow is an infinity in Python
}

// ParseInt reads a number as Python's int() does: blanks around it, a sign,
// underscores between digits, digits of any script. Numbers that need more
// than 64 bits become the nearest that does not.
func ParseInt(s string) (int64, bool) {
	s, ok := number(s)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && n != math.MaxInt64 && n != math.MinInt64 {
		return 0, false
	}
	return n, true
}

// number strips blanks, drops underscores between digits and makes every
// digit an ASCII one.
func number(s string) (string, bool) {
	s = strings.TrimFunc(s, unicode.IsSpace) // not the separators that IsPythonSpace knows
	plain := true
	for i := range len(s) {
		plain = plain && s[i] != '_' && s[i] < 0x80
	}
	if plain {
		return s, s != ""
	}
	var b strings.Builder
	digit, under := false, false // of what came before
	for _, r := range s {
		d, isDigit := digitOf(r)
		switch {
		case r == '_' && !digit, under && !isDigit:
			return "", false
		case r == '_':
		case isDigit:
			b.WriteByte('0' + d)
		case r >= 0x80:
			return "", false
		default:
			b.WriteRune(r)
		}
		digit, under = isDigit, r == '_'
	}
	return b.String(), !under && b.Len() > 0
}

// digitOf returns the value of a decimal digit of any script. Unicode keeps
// the ten digits of a script together, in order.
func digitOf(r rune) (byte, bool) {
	if r < 0x80 {
		return byte(r - '0'), '0' <= r && r <= '9'
	}
	if !unicode.Is(unicode.Nd, r) {
		return 0, false
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

// IsPythonSpace reports whether Python's str.strip and str.split take r for
// white space: what Unicode says, and the four separators of ASCII.
func IsPythonSpace(r rune) bool {
	return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f
}
