package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/api"
)

// Target is what a request is about: its attributes by name. Nil stands for
// the project_id and user_id of who asks.
type Target map[string]string

// asker is one decision under way.
type asker struct {
	rules    map[string]check
	fallback string
	who      *api.Identity
	target   Target
	depth    int // of rules that refer to rules
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
	if rule == "" {
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
		return func(a *asker) bool {
			role, ok := a.expand(match)
			return ok && a.who.HasRole(role)
		}, nil
	case "rule":
		return func(a *asker) bool {
			c, known := a.rules[match]
			if !known {
				c, known = a.rules[a.fallback]
			}
			if a.depth++; !known || a.depth > maxDepth {
				return false
			}
			defer func() { a.depth-- }()
			return c(a)
		}, nil
	case "http", "https":
		return nil, fmt.Errorf("checks by a remote server (%s:) are not supported", kind)
	}
	if text, is := literal(kind); is {
		return func(a *asker) bool {
			want, ok := a.expand(match)
			return ok && want == text
		}, nil
	}
	return func(a *asker) bool {
		want, ok := a.expand(match)
		if kind == "roles" {
			return ok && slices.Contains(a.who.Roles, want)
		}
		have, known := a.attribute(kind)
		return ok && known && have == want
	}, nil
}

// literal returns the text of a constant: a quoted text, a word of Python, a
// whole number.
func literal(s string) (string, bool) {
	if n := len(s); n >= 2 && (s[0] == '\'' || s[0] == '"') && s[n-1] == s[0] {
		return s[1 : n-1], true
	}
	n, err := strconv.Atoi(s)
	return s, s == "True" || s == "False" || s == "None" || err == nil && strconv.Itoa(n) == s
}

// attribute returns one of who asks; what there is none of matches nothing.
func (a *asker) attribute(name string) (string, bool) {
	value := ""
	switch name {
	case "user_id":
		value = a.who.User
	case "project_id":
		value = a.who.Project
	case "domain_id":
		value = a.who.Domain
	case "system_scope":
		value = a.who.SystemScope
	case "is_admin_project":
		value = "True" // as tokens say when Identity knows no such project
	}
	return value, value != ""
}

// expand replaces each %(name)s by the attribute of the target; with a
// missing one, or a percent sign of another kind, the check matches nothing.
func (a *asker) expand(match string) (string, bool) {
	before, rest, found := strings.Cut(match, "%")
	if !found {
		return match, true
	}
	var b strings.Builder
	for found {
		b.WriteString(before)
		if after, double := strings.CutPrefix(rest, "%"); double {
			b.WriteByte('%')
			before, rest, found = strings.Cut(after, "%")
			continue
		}
		name, after, closed := strings.Cut(rest, ")s")
		name, opened := strings.CutPrefix(name, "(")
		value, known := a.aim(name)
		if !opened || !closed || !known {
			return "", false
		}
		b.WriteString(value)
		before, rest, found = strings.Cut(after, "%")
	}
	b.WriteString(before)
	return b.String(), true
}

// aim returns an attribute of the target.
func (a *asker) aim(name string) (string, bool) {
	if a.target == nil && (name == "project_id" || name == "user_id") {
		return a.attribute(name)
	}
	value, known := a.target[name]
	return value, known
}
