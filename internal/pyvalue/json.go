package pyvalue

import (
	"errors"
	"math"
	"strconv"
	"unicode/utf8"
)

// ErrJSON is json.JSONDecodeError: a text that is no JSON.
var ErrJSON = errors.New("not JSON")

// maxDepth is how deep lists and dicts may nest; Python's stack ends near it.
const maxDepth = 990

// ParseJSON reads a document as json.loads does: NaN, Infinity and -Infinity
// are numbers, integers have any size, and of equal keys the last one counts.
// It returns [ErrJSON].
//
// Source: CPython, Modules/_json.c and Lib/json/decoder.py.
func ParseJSON(text string) (Value, error) {
	p := parser{text: text}
	p.space()
	v, ok := p.value(0)
	if p.space(); !ok || p.at != len(p.text) {
		return Value{}, ErrJSON
	}
	return v, nil
}

type parser struct {
	text string
	at   int
}

func (p *parser) space() {
	for p.at < len(p.text) {
		switch p.text[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// skip reads word if it comes next.
func (p *parser) skip(word string) bool {
	if len(p.text)-p.at < len(word) || p.text[p.at:p.at+len(word)] != word {
		return false
	}
	p.at += len(word)
	return true
}

func (p *parser) value(depth int) (Value, bool) {
	switch {
	case p.at == len(p.text) || depth > maxDepth:
		return Value{}, false
	case p.skip("{"):
		return p.dict(depth)
	case p.skip("["):
		return p.list(depth)
	case p.skip(`"`):
		s, ok := p.str()
		return OfText(s), ok
	case p.skip("null"):
		return Value{}, true
	case p.skip("true"):
		return OfBool(true), true
	case p.skip("false"):
		return OfBool(false), true
	case p.skip("NaN"):
		return OfFloat(math.NaN()), true
	case p.skip("Infinity"):
		return OfFloat(math.Inf(1)), true
	case p.skip("-Infinity"):
		return OfFloat(math.Inf(-1)), true
	default:
		return p.number()
	}
}

func (p *parser) dict(depth int) (Value, bool) {
	d := &Dict{}
	for p.space(); !p.skip("}"); p.space() {
		if len(d.keys) > 0 {
			if !p.skip(",") {
				return Value{}, false
			}
			p.space()
		}
		if !p.skip(`"`) {
			return Value{}, false
		}
		key, ok := p.str()
		if p.space(); !ok || !p.skip(":") {
			return Value{}, false
		}
		p.space()
		v, ok := p.value(depth + 1)
		if !ok {
			return Value{}, false
		}
		d.Set(key, v)
	}
	return OfDict(d), true
}

func (p *parser) list(depth int) (Value, bool) {
	var items []Value
	for p.space(); !p.skip("]"); p.space() {
		if len(items) > 0 {
			if !p.skip(",") {
				return Value{}, false
			}
			p.space()
		}
		v, ok := p.value(depth + 1)
		if !ok {
			return Value{}, false
		}
		items = append(items, v)
	}
	return OfList(items), true
}

func (p *parser) number() (Value, bool) {
	start := p.at
	p.skip("-")
	whole := p.digits()
	if whole == 0 {
		return Value{}, false
	}
	if p.text[p.at-whole] == '0' {
		p.at -= whole - 1 // what follows a leading zero is not part of the number
	}
	end, float := p.at, false
	if p.skip(".") && p.digits() > 0 {
		end, float = p.at, true
	}
	p.at = end
	if p.skip("e") || p.skip("E") {
		_ = p.skip("-") || p.skip("+")
		if p.digits() > 0 {
			end, float = p.at, true
		}
	}
	p.at = end
	if !float {
		return ofDigits(p.text[start:end]), whole <= maxIntDigits
	}
	f, _ := strconv.ParseFloat(p.text[start:end], 64) // too large is infinite
	return OfFloat(f), true
}

func (p *parser) digits() int {
	n := countDigits(p.text[p.at:])
	p.at += n
	return n
}

// str reads a text behind its opening quote.
func (p *parser) str() (string, bool) {
	start := p.at
	for ; p.at < len(p.text); p.at++ {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[start : p.at-1], true
		case c == '\\':
			return p.escaped([]byte(p.text[start:p.at]))
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// escaped reads the rest of a text that has an escape.
func (p *parser) escaped(b []byte) (string, bool) {
	for p.at < len(p.text) {
		c := p.text[p.at]
		p.at++
		switch {
		case c == '"':
			return string(b), true
		case c < ' ':
			return "", false
		case c != '\\':
			b = append(b, c)
		default:
			r, ok := p.escape()
			if !ok {
				return "", false
			}
			b = appendRune(b, r)
		}
	}
	return "", false
}

func (p *parser) escape() (rune, bool) {
	if p.at == len(p.text) {
		return 0, false
	}
	c := p.text[p.at]
	p.at++
	switch c {
	case '"', '\\', '/':
		return rune(c), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return p.unicode()
	default:
		return 0, false
	}
}

// unicode reads four hexadecimal digits, and a second escape if the two are a
// pair of surrogates.
func (p *parser) unicode() (rune, bool) {
	high, ok := p.hex()
	if !ok || high < 0xd800 || high >= 0xdc00 {
		return high, ok
	}
	behind := p.at
	if p.skip(`\u`) {
		if low, ok := p.hex(); ok && 0xdc00 <= low && low < 0xe000 {
			return 0x10000 + (high-0xd800)<<10 + (low - 0xdc00), true
		}
	}
	p.at = behind
	return high, true
}

func (p *parser) hex() (rune, bool) {
	if len(p.text)-p.at < 4 {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.text[p.at : p.at+4]) {
		switch {
		case isDigit(c):
			r = r<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	p.at += 4
	return r, true
}

// appendRune appends UTF-8, of lone surrogates too.
func appendRune(b []byte, r rune) []byte {
	if 0xd800 <= r && r < 0xe000 {
		return append(b, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(b, r)
}
