package oslocfg

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// FromMap makes a configuration from values by "section.option": texts,
// numbers and booleans as JSON knows them ([json.Number] for exact ones), or
// lists of them. The elements of a list are taken as they are, commas and
// blanks included.
func FromMap(values map[string]any) (*Config, error) {
	c := &Config{entries: map[key]*entry{}}
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		section, option, found := strings.Cut(name, ".")
		if !found || section == "" || option == "" {
			return nil, fmt.Errorf("option is %q, allowed is: section.option", name)
		}
		if values[name] == nil { // not set
			continue
		}
		e := &entry{place: "config"}
		list, isList := values[name].([]any)
		if !isList {
			list = []any{values[name]}
		}
		e.exact = isList
		for _, item := range list {
			text, ok := scalar(item)
			if !ok {
				return nil, fmt.Errorf("option %s is %v, allowed are: a text, a number, true, false, or a list of them", name, item)
			}
			e.values = append(e.values, text)
		}
		k := key{section, option}
		c.entries[k] = e
		c.order = append(c.order, k)
	}
	return c, nil
}

// Over returns a configuration in which c counts, and base where c says
// nothing. Both stay as they are.
func (c *Config) Over(base *Config) *Config {
	both := &Config{entries: map[key]*entry{}}
	for _, from := range []*Config{c, base} {
		for _, k := range from.order {
			if both.entries[k] == nil {
				e := *from.entries[k]
				both.entries[k] = &e
				both.order = append(both.order, k)
			}
		}
	}
	return both
}

func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), true
	case json.Number:
		return v.String(), true
	}
	return "", false
}

// Float returns an option that is a number of least or more.
func (c *Config) Float(section, option string, def, least float64) float64 {
	e := c.find(section, option)
	if e == nil {
		return def
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(e.last()), 64)
	if err != nil || !(n >= least) {
		allowed := "a number"
		if !math.IsInf(least, -1) {
			allowed = fmt.Sprintf("a number of %v or more", least)
		}
		c.refuse(e, section, option, allowed)
		return def
	}
	return n
}

// Multi returns the values of an option that may be repeated, each as it is.
func (c *Config) Multi(section, option string) []string {
	if e := c.find(section, option); e != nil {
		return slices.Clone(e.values)
	}
	return nil
}
