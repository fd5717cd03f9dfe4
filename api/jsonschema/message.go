package jsonschema

import (
	"slices"
	"strconv"
	"strings"
)

// maxExtra is how many unexpected members a message names.
const maxExtra = 20

func extraMessage(s *Schema, extra []string) string {
	were, do := "was", "does"
	if len(extra) > 1 {
		were, do = "were", "do"
	}
	slices.Sort(extra)
	names := make([]string, 0, min(len(extra), maxExtra))
	for _, key := range extra[:min(len(extra), maxExtra)] {
		names = append(names, ReprString(key))
	}
	joined := strings.Join(names, ", ")
	if len(s.Patterns) == 0 {
		return "Additional properties are not allowed (" + joined + " " + were + " unexpected)"
	}
	sources := make([]string, 0, len(s.Patterns))
	for _, p := range s.Patterns {
		sources = append(sources, ReprString(p.Pattern.Source))
	}
	slices.Sort(sources)
	return joined + " " + do + " not match any of the regexes: " + strings.Join(sources, ", ")
}

// repr writes the rules of s that are not about its parts.
func (s *Schema) repr() string {
	var rules []string
	add := func(name, value string) { rules = append(rules, ReprString(name)+": "+value) }
	if s.Closed {
		add("additionalProperties", "False")
	}
	if s.Format != nil {
		add("format", ReprString(s.Format.Name))
	}
	if s.MaxChars > 0 {
		add("maxLength", strconv.Itoa(s.MaxChars))
	}
	if s.Maximum != nil {
		add("maximum", bound(*s.Maximum))
	}
	if s.MinItems > 0 {
		add("minItems", strconv.Itoa(s.MinItems))
	}
	if s.MinChars > 0 {
		add("minLength", strconv.Itoa(s.MinChars))
	}
	if s.MinMembers > 0 {
		add("minProperties", strconv.Itoa(s.MinMembers))
	}
	if s.Minimum != nil {
		add("minimum", bound(*s.Minimum))
	}
	if s.Pattern != nil {
		add("pattern", ReprString(s.Pattern.Source))
	}
	if len(s.Required) > 0 {
		add("required", "['"+strings.Join(s.Required, "', '")+"']")
	}
	if len(s.Types) == 1 {
		add("type", ReprString(s.Types[0]))
	}
	return "{" + strings.Join(rules, ", ") + "}"
}
