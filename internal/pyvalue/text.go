package pyvalue

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// IsSpace reports whether str.strip and str.split take r for white space: what
// Unicode says, and the four separators of ASCII.
func IsSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// Strip returns s without white space around it, as str.strip does.
func Strip(s string) string { return strings.TrimFunc(s, IsSpace) }

// NextWord returns the first word of s and what follows it, as str.split cuts
// at white space. The word is "" when there is none.
func NextWord(s string) (word, rest string) {
	s = strings.TrimLeftFunc(s, IsSpace)
	if end := strings.IndexFunc(s, IsSpace); end >= 0 {
		return s[:end], s[end:]
	}
	return s, ""
}

// Quote prints a text as repr() does.
//
// Source: CPython, Objects/unicodeobject.c, unicode_repr.
func Quote(s string) string { return string(appendQuoted(nil, s)) }

func appendQuoted(b []byte, s string) []byte {
	quote := byte('\'')
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = '"'
	}
	b = append(b, quote)
	for s != "" {
		r, size := decodeRune(s)
		switch {
		case r == rune(quote) || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case unicode.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r < 0x100:
			b = appendHex(append(b, `\x`...), r, 2)
		case r < 0x10000:
			b = appendHex(append(b, `\u`...), r, 4)
		default:
			b = appendHex(append(b, `\U`...), r, 8)
		}
		s = s[size:]
	}
	return append(b, quote)
}

func appendHex(b []byte, r rune, width int) []byte {
	digits := strconv.FormatInt(int64(r), 16)
	for range width - len(digits) {
		b = append(b, '0')
	}
	return append(b, digits...)
}

// decodeRune is utf8.DecodeRuneInString that knows lone surrogates.
func decodeRune(s string) (rune, int) {
	r, size := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && size == 1 && len(s) >= 3 && s[0] == 0xed && s[1]&0xe0 == 0xa0 && s[2]&0xc0 == 0x80 {
		return 0xd000 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), 3
	}
	return r, size
}

// Bool reads a text as oslo.utils' bool_from_string does without being strict:
// the words for yes are true, everything else is false.
//
// Source: oslo.utils, strutils.py, bool_from_string.
func Bool(s string) bool {
	switch strings.ToLower(Strip(s)) {
	case "1", "t", "true", "on", "y", "yes":
		return true
	default:
		return false
	}
}
