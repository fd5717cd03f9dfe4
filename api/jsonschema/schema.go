package jsonschema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Schema says what a value must be. The zero Schema accepts everything.
type Schema struct {
	Types    []string // "object", "array", "string", "integer", "number", "null"; one of them
	Format   *Format  // of a string
	Pattern  *Pattern // of a string
	Enum     []string // the strings that are allowed
	MinChars int      // of a string
	MaxChars int      // of a string; 0: any
	Minimum  *float64 // of a number
	Maximum  *float64 // of a number

	Properties []Property        // of an object
	Patterns   []PatternProperty // of an object: members by the form of their key
	Required   []string          // of an object
	Closed     bool              // an object has no members but those
	MinMembers int               // of an object

	Items    *Schema // of an array
	MinItems int     // of an array
	Unique   bool    // an array of strings has each once

	AnyOf []*Schema
}

// Property is a member that an object may have.
type Property struct {
	Name   string
	Schema *Schema
}

// PatternProperty is a rule for members whose key has a form.
type PatternProperty struct {
	Pattern *Pattern
	Schema  *Schema
}

// Pattern is the form of a string: a regular expression, for messages, and
// the function that decides.
type Pattern struct {
	Source string
	Match  func(string) bool
}

// Format is a named form of a string.
type Format struct {
	Name  string
	Match func(string) bool
}

// Bound makes a limit of a number.
func Bound(f float64) *float64 { return new(f) }

// Violation is why a value does not satisfy a schema.
type Violation struct {
	Message string
	Keyword string // of the schema
	Schema  *Schema
	Value   *Value
	rule    []string // where in the schema
	path    []string // where in the document
}

// String is the message with the place in the schema and in the document.
func (v *Violation) String() string {
	return fmt.Sprintf("%s\n\nFailed validating %s in schema%s:\n    %s\n\nOn instance%s:\n    %s",
		v.Message, ReprString(v.Keyword), strings.Join(v.rule, ""), v.Schema.repr(), strings.Join(v.path, ""), Repr(v.Value))
}

// Validate returns nil when v satisfies s, and otherwise the violation that
// says most: the shallowest ones before others, of those an alternative that
// fails as a whole last and a wrong type first, and the first of equals.
//
// Source: jsonschema, exceptions.py, best_match and by_relevance.
func (s *Schema) Validate(v *Value) *Violation {
	c := check{}
	c.visit(s, v)
	return c.worst
}

type check struct {
	path  []step
	worst *Violation
	depth int // of worst
	rank  int // of worst
}

// The ranks of violations at one depth; the highest counts.
const (
	rankAlternatives = iota
	rankValue
	rankType
)

// step is one part of the way to a value and to its schema.
type step struct {
	in  string // keyword of the schema
	key string // of the member or pattern; "" for items
	doc string // key of the member
	at  int    // of the element, when doc is ""
}

// beats reports whether a violation of a rank at the present place says more
// than what was found before.
func (c *check) beats(rank int) bool {
	return c.worst == nil || len(c.path) < c.depth || len(c.path) == c.depth && rank > c.rank
}

// report notes a violation at the present place.
func (c *check) report(s *Schema, v *Value, keyword, message string) {
	rank := rankValue
	switch keyword {
	case "type":
		rank = rankType
	case "anyOf":
		rank = rankAlternatives
	}
	if !c.beats(rank) {
		return
	}
	w := &Violation{Message: message, Keyword: keyword, Schema: s, Value: v}
	for _, st := range c.path {
		w.rule = append(w.rule, "["+ReprString(st.in)+"]")
		if st.in == "items" {
			w.path = append(w.path, "["+strconv.Itoa(st.at)+"]")
			continue
		}
		w.rule = append(w.rule, "["+ReprString(st.key)+"]")
		w.path = append(w.path, "["+ReprString(st.doc)+"]")
	}
	c.worst, c.depth, c.rank = w, len(c.path), rank
}

func (c *check) visit(s *Schema, v *Value) {
	if !c.beats(rankType) {
		return
	}
	if len(s.Types) > 0 && !hasType(v, s.Types) {
		names := make([]string, len(s.Types))
		for i, t := range s.Types {
			names[i] = ReprString(t)
		}
		c.report(s, v, "type", Repr(v)+" is not of type "+strings.Join(names, ", "))
	}
	if len(s.AnyOf) > 0 {
		c.anyOf(s, v)
	}
	switch v.Kind {
	case String:
		c.str(s, v)
	case Number:
		c.number(s, v)
	case Array:
		c.array(s, v)
	case Object:
		c.object(s, v)
	case Null, Boolean:
	}
}

func hasType(v *Value, types []string) bool {
	for _, t := range types {
		switch t {
		case "object":
			if v.Kind == Object {
				return true
			}
		case "array":
			if v.Kind == Array {
				return true
			}
		case "string":
			if v.Kind == String {
				return true
			}
		case "number":
			if v.Kind == Number {
				return true
			}
		case "integer":
			if v.IsInteger() {
				return true
			}
		case "null":
			if v.Kind == Null {
				return true
			}
		}
	}
	return false
}

// anyOf tries alternatives. When one of them has the right type, what is
// wrong is said from there on, with the alternative's number as the place.
func (c *check) anyOf(s *Schema, v *Value) {
	var closest *Violation
	for i, sub := range s.AnyOf {
		w := sub.Validate(v)
		if w == nil {
			return
		}
		if w.Keyword != "type" {
			closest = w
			closest.rule = append([]string{"[" + strconv.Itoa(i) + "]"}, w.rule...)
		}
	}
	if !c.beats(rankAlternatives) {
		return
	}
	c.report(s, v, "anyOf", Repr(v)+" is not valid under any of the given schemas")
	if closest != nil {
		c.worst = closest
	}
}

func (c *check) str(s *Schema, v *Value) {
	if s.Pattern != nil && !s.Pattern.Match(v.Text) {
		c.report(s, v, "pattern", Repr(v)+" does not match "+ReprString(s.Pattern.Source))
	}
	if s.MinChars > 0 && len(v.Text) < s.MinChars {
		c.report(s, v, "minLength", Repr(v)+" is too short")
	}
	if s.MaxChars > 0 && len(v.Text) > s.MaxChars && len([]rune(v.Text)) > s.MaxChars {
		c.report(s, v, "maxLength", Repr(v)+" is too long")
	}
	if s.Format != nil && !s.Format.Match(v.Text) {
		c.report(s, v, "format", Repr(v)+" is not a "+ReprString(s.Format.Name))
	}
	if len(s.Enum) == 0 {
		return
	}
	names := make([]string, len(s.Enum))
	for i, e := range s.Enum {
		if v.Text == e {
			return
		}
		names[i] = ReprString(e)
	}
	c.report(s, v, "enum", Repr(v)+" is not one of ["+strings.Join(names, ", ")+"]")
}

func (c *check) number(s *Schema, v *Value) {
	if s.Minimum == nil && s.Maximum == nil {
		return
	}
	f := v.Float()
	if s.Minimum != nil && f < *s.Minimum {
		c.report(s, v, "minimum", Repr(v)+" is less than the minimum of "+bound(*s.Minimum))
	}
	if s.Maximum != nil && f > *s.Maximum {
		c.report(s, v, "maximum", Repr(v)+" is greater than the maximum of "+bound(*s.Maximum))
	}
}

func bound(f float64) string {
	if f == float64(int64(f)) {
		return strconv.FormatInt(int64(f), 10)
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (c *check) array(s *Schema, v *Value) {
	if len(v.Items) < s.MinItems {
		c.report(s, v, "minItems", Repr(v)+" is too short")
	}
	if s.Unique {
		seen := make(map[string]struct{}, len(v.Items))
		for i := range v.Items {
			seen[v.Items[i].Text] = struct{}{}
		}
		if len(seen) < len(v.Items) {
			c.report(s, v, "uniqueItems", Repr(v)+" has non-unique elements")
		}
	}
	if s.Items == nil {
		return
	}
	for i := range v.Items {
		c.enter(step{in: "items", at: i}, s.Items, &v.Items[i])
	}
}

func (c *check) enter(st step, s *Schema, v *Value) {
	c.path = append(c.path, st)
	c.visit(s, v)
	c.path = c.path[:len(c.path)-1]
}

func (c *check) object(s *Schema, v *Value) {
	if len(v.Keys) < s.MinMembers {
		message := " does not have enough properties"
		if s.MinMembers == 1 {
			message = " should be non-empty" // as newer versions say; older ones: does not have enough properties
		}
		c.report(s, v, "minProperties", Repr(v)+message)
	}
	known := c.members(s, v)
	for _, name := range s.Required {
		if v.Get(name) == nil {
			c.report(s, v, "required", ReprString(name)+" is a required property")
			break
		}
	}
	if s.Closed && known < len(v.Keys) {
		c.report(s, v, "additionalProperties", extraMessage(s, s.extra(v)))
	}
}

// members checks the members that the schema knows, in its order, and returns
// how many they are. A key that has a property and a pattern counts twice,
// which no schema here has.
func (c *check) members(s *Schema, v *Value) (known int) {
	for i := range s.Properties {
		p := &s.Properties[i]
		if member := v.Get(p.Name); member != nil {
			c.enter(step{in: "properties", key: p.Name, doc: p.Name}, p.Schema, member)
			known++
		}
	}
	for i := range s.Patterns {
		p := &s.Patterns[i]
		for k, key := range v.Keys {
			if p.Pattern.Match(key) {
				c.enter(step{in: "patternProperties", key: p.Pattern.Source, doc: key}, p.Schema, &v.Items[k])
				known++
			}
		}
	}
	return known
}

// extra returns the keys that the schema does not know.
func (s *Schema) extra(v *Value) []string {
	var list []string
	for _, key := range v.Keys {
		property := slices.ContainsFunc(s.Properties, func(p Property) bool { return p.Name == key })
		if !property && !slices.ContainsFunc(s.Patterns, func(p PatternProperty) bool { return p.Pattern.Match(key) }) {
			list = append(list, key)
		}
	}
	return list
}
