package jsonschema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The bounds of a document. A value costs some 72 bytes of memory, however
// short its text.
const (
	MaxDepth  = 64
	MaxValues = 1 << 19
)

// Parse reads one JSON document. The error says what is wrong and where.
func Parse(body []byte) (Value, error) {
	p := parser{src: string(body)}
	if !utf8.ValidString(p.src) {
		return Value{}, errors.New("it is not valid UTF-8")
	}
	p.doomed = len(p.src) > MaxValues && p.tooMany()
	var v Value
	if err := p.value(&v, 0); err != nil {
		return Value{}, err
	}
	p.space()
	if p.at < len(p.src) {
		return Value{}, p.fail("extra data")
	}
	return v, nil
}

type parser struct {
	src    string
	at     int
	values int
	doomed bool // there are too many values: none is kept on the way to what is wrong first
}

// tooMany reports whether the commas outside of texts alone make more than
// MaxValues values. It is there so that who sends ten million of them does not
// have half a million kept first.
func (p *parser) tooMany() bool {
	commas, text := 0, false
	for i := 0; i < len(p.src); i++ {
		switch c := p.src[i]; {
		case c == '"':
			text = !text
		case text && c == '\\':
			i++
		case !text && c == ',':
			commas++
		}
	}
	return commas >= MaxValues
}

func (p *parser) fail(what string) error { return fmt.Errorf("%s at byte %d", what, p.at) }

func (p *parser) space() {
	for p.at < len(p.src) {
		switch p.src[p.at] {
		case ' ', '\t', '\n', '\r':
			p.at++
		default:
			return
		}
	}
}

// next skips space and returns the byte there, 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return 0
}

func (p *parser) value(v *Value, depth int) error {
	if p.values++; p.values > MaxValues {
		return p.fail(fmt.Sprintf("more than %d values", MaxValues))
	}
	if depth > MaxDepth {
		return p.fail(fmt.Sprintf("nested deeper than %d levels", MaxDepth))
	}
	switch c := p.next(); {
	case c == '{':
		return p.object(v, depth)
	case c == '[':
		return p.array(v, depth)
	case c == '"':
		v.Kind = String
		var err error
		v.Text, err = p.str()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return p.number(v)
	case p.word("null"):
	case p.word("true"):
		v.Kind, v.Truth = Boolean, true
	case p.word("false"):
		v.Kind = Boolean
	default:
		return p.fail("expecting a value")
	}
	return nil
}

func (p *parser) word(w string) bool {
	if !strings.HasPrefix(p.src[p.at:], w) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *parser) array(v *Value, depth int) error {
	v.Kind = Array
	p.at++
	if p.next() == ']' {
		p.at++
		return nil
	}
	for {
		if p.doomed {
			v.Items = v.Items[:0]
		}
		v.Items = append(v.Items, Value{})
		if err := p.value(&v.Items[len(v.Items)-1], depth+1); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.at++
		case ']':
			p.at++
			return nil
		default:
			return p.fail("expecting ',' or ']'")
		}
	}
}

// fewKeys is how many keys are compared one by one before a map is made.
const fewKeys = 16

func (p *parser) object(v *Value, depth int) error {
	v.Kind = Object
	p.at++
	if p.next() == '}' {
		p.at++
		return nil
	}
	var seen map[string]struct{}
	for {
		if p.next() != '"' {
			return p.fail("expecting a key in double quotes")
		}
		key, err := p.str()
		if err != nil {
			return err
		}
		if seen, err = p.once(v.Keys, seen, key); err != nil {
			return err
		}
		if p.next() != ':' {
			return p.fail("expecting ':'")
		}
		p.at++
		if p.doomed {
			v.Items = v.Items[:0]
		}
		v.Keys, v.Items = append(v.Keys, key), append(v.Items, Value{})
		if err := p.value(&v.Items[len(v.Items)-1], depth+1); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.at++
		case '}':
			p.at++
			return nil
		default:
			return p.fail("expecting ',' or '}'")
		}
	}
}

// once refuses a key that is there already.
func (p *parser) once(keys []string, seen map[string]struct{}, key string) (map[string]struct{}, error) {
	if len(keys) == fewKeys {
		seen = make(map[string]struct{}, 4*fewKeys)
		for _, k := range keys {
			seen[k] = struct{}{}
		}
	}
	twice := false
	if seen != nil {
		_, twice = seen[key]
		seen[key] = struct{}{}
	} else {
		for _, k := range keys {
			twice = twice || k == key
		}
	}
	if twice {
		return seen, p.fail(fmt.Sprintf("repeated key %.80q", key))
	}
	return seen, nil
}

func (p *parser) number(v *Value) error {
	v.Kind = Number
	start := p.at
	if p.src[p.at] == '-' {
		p.at++
	}
	whole := p.digits()
	if whole == 0 || whole > 1 && p.src[p.at-whole] == '0' {
		return p.fail("malformed number")
	}
	if p.at < len(p.src) && p.src[p.at] == '.' {
		p.at++
		if p.digits() == 0 {
			return p.fail("malformed number")
		}
	}
	if p.at < len(p.src) && p.src[p.at]|0x20 == 'e' {
		p.at++
		if p.at < len(p.src) && (p.src[p.at] == '+' || p.src[p.at] == '-') {
			p.at++
		}
		if p.digits() == 0 {
			return p.fail("malformed number")
		}
	}
	v.Text = p.src[start:p.at]
	return nil
}

func (p *parser) digits() int {
	start := p.at
	for p.at < len(p.src) && p.src[p.at] >= '0' && p.src[p.at] <= '9' {
		p.at++
	}
	return p.at - start
}

// str reads a string; p.at is at its opening quote.
func (p *parser) str() (string, error) {
	p.at++
	start := p.at
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == '"':
			p.at++
			return p.src[start : p.at-1], nil
		case c == '\\':
			return p.escaped(start)
		case c < ' ':
			return "", p.fail("control character in a string")
		default:
			p.at++
		}
	}
	return "", p.fail("unterminated string")
}

// escaped goes on with a string that has escapes; its text began at start.
func (p *parser) escaped(start int) (string, error) {
	var b strings.Builder
	b.WriteString(p.src[start:p.at])
	for p.at < len(p.src) {
		switch c := p.src[p.at]; {
		case c == '"':
			p.at++
			return b.String(), nil
		case c < ' ':
			return "", p.fail("control character in a string")
		case c != '\\':
			b.WriteByte(c)
			p.at++
		default:
			r, err := p.escape()
			if err != nil {
				return "", err
			}
			b.WriteRune(r)
		}
	}
	return "", p.fail("unterminated string")
}

const (
	escapes   = `"\/bfnrt`
	unescaped = "\"\\/\b\f\n\r\t"
)

func (p *parser) escape() (rune, error) {
	p.at++
	if p.at >= len(p.src) {
		return 0, p.fail("unterminated string")
	}
	c := p.src[p.at]
	p.at++
	if i := strings.IndexByte(escapes, c); i >= 0 {
		return rune(unescaped[i]), nil
	}
	if c != 'u' {
		return 0, p.fail("invalid escape")
	}
	r, err := p.hex()
	if err != nil || !utf16.IsSurrogate(r) {
		return r, err
	}
	if p.word(`\u`) {
		low, err := p.hex()
		if pair := utf16.DecodeRune(r, low); err == nil && pair != utf8.RuneError {
			return pair, nil
		}
	}
	return 0, p.fail("lone surrogate")
}

func (p *parser) hex() (rune, error) {
	if p.at+4 > len(p.src) {
		return 0, p.fail("invalid escape")
	}
	n, err := strconv.ParseUint(p.src[p.at:p.at+4], 16, 16)
	if err != nil {
		return 0, p.fail("invalid escape")
	}
	p.at += 4
	return rune(n), nil
}
