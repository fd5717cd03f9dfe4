package policy

import (
	"fmt"
	"strings"

	"github.com/kilonova-cloud/kilonova/api"
)

// Target is what a request is about: its attributes by name. Nil stands for
// the project_id and user_id of who asks.
type Target map[string]string

// asker is one decision under way.
type asker struct {
	rules  map[string]check
	who    *api.Identity
	target Target
	depth  int // of rules that refer to rules
}

// check is a compiled rule.
type check func(*asker) bool

func always(*asker) bool { return true }
func never(*asker) bool  { return false }

// maxDepth bounds rules that refer to themselves.
const maxDepth = 32

// compile reads a rule. The grammar, loosest first: or, and, not, (...), KIND:MATCH.
//
// Source: oslo.policy, _parser.py.
func compile(rule string) (check, error) {
	if strings.TrimSpace(rule) == "" {
		return always, nil
	}
	p := parser{words: split(rule)}
	c, err := p.or()
	if err == nil && p.at < len(p.words) {
		err = fmt.Errorf("unexpected %q", p.words[p.at])
	}
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", rule, err)
	}
	return c, nil
}

// split cuts a rule into words and parentheses. Parentheses count at the ends
// of words only, so that %(project_id)s stays whole.
func split(rule string) []string {
	var words []string
	for word := range strings.FieldsSeq(rule) {
		for strings.HasPrefix(word, "(") {
			words, word = append(words, "("), word[1:]
		}
		closing := 0
		for strings.HasSuffix(word, ")") && strings.Count(word, ")") > strings.Count(word, "(") {
			word, closing = word[:len(word)-1], closing+1
		}
		if word != "" {
			words = append(words, word)
		}
		for range closing {
			words = append(words, ")")
		}
	}
	return words
}

type parser struct {
	words []string
	at    int
}

func (p *parser) take(word string) bool {
	if p.at < len(p.words) && strings.EqualFold(p.words[p.at], word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) or() (check, error) {
	left, err := p.and()
	for err == nil && p.take("or") {
		var right check
		first := left
		right, err = p.and()
		left = func(a *asker) bool { return first(a) || right(a) }
	}
	return left, err
}

func (p *parser) and() (check, error) {
	left, err := p.not()
	for err == nil && p.take("and") {
		var right check
		first := left
		right, err = p.not()
		left = func(a *asker) bool { return first(a) && right(a) }
	}
	return left, err
}

func (p *parser) not() (check, error) {
	if !p.take("not") {
		return p.term()
	}
	c, err := p.not()
	return func(a *asker) bool { return !c(a) }, err
}

func (p *parser) term() (check, error) {
	if p.take("(") {
		c, err := p.or()
		if err == nil && !p.take(")") {
			err = fmt.Errorf("a closing parenthesis is missing")
		}
		return c, err
	}
	if p.at >= len(p.words) {
		return nil, fmt.Errorf("it ends too early")
	}
	word := p.words[p.at]
	p.at++
	switch word {
	case "@":
		return always, nil
	case "!":
		return never, nil
	}
	kind, match, found := strings.Cut(word, ":")
	if !found || kind == "" || match == "" {
		return nil, fmt.Errorf("%q is not @, ! or KIND:MATCH", word)
	}
	return leaf(kind, match)
}

// leaf compares one attribute of who asks, or a constant in quotes, with a
// word or an attribute of the target.
func leaf(kind, match string) (check, error) {
	switch kind {
	case "role":
		return func(a *asker) bool { return a.who.HasRole(a.fill(match)) }, nil
	case "rule":
		return func(a *asker) bool {
			c, known := a.rules[match]
			if a.depth++; !known || a.depth > maxDepth {
				return false
			}
			defer func() { a.depth-- }()
			return c(a)
		}, nil
	case "http", "https":
		return nil, fmt.Errorf("checks by a remote server (%s:) are not supported", kind)
	}
	return func(a *asker) bool {
		want, ok := a.expand(match)
		have, known := a.attribute(kind)
		return ok && known && have == want
	}, nil
}

func (a *asker) attribute(name string) (string, bool) {
	if n := len(name); n >= 2 && (name[0] == '\'' || name[0] == '"') && name[n-1] == name[0] {
		return name[1 : n-1], true
	}
	switch name {
	case "user_id":
		return a.who.User, true
	case "project_id", "tenant_id", "tenant":
		return a.who.Project, a.who.Project != ""
	case "system_scope":
		return a.who.SystemScope, a.who.SystemScope != ""
	case "True":
		return "True", true
	default:
		return "", false
	}
}

func (a *asker) fill(match string) string {
	s, _ := a.expand(match)
	return s
}

// expand replaces %(name)s by the attribute of the target; a missing one
// matches nothing.
func (a *asker) expand(match string) (string, bool) {
	name, isRef := strings.CutPrefix(match, "%(")
	name, closed := strings.CutSuffix(name, ")s")
	if !isRef || !closed {
		return match, true
	}
	if a.target == nil && (name == "project_id" || name == "user_id") {
		return a.attribute(name)
	}
	value, known := a.target[name]
	return value, known
}
