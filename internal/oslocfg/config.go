package oslocfg

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Config is what configuration files say.
type Config struct {
	entries map[key]*entry
	order   []key
	wrong   []error
}

type key struct{ section, option string }

type entry struct {
	values []string // of a repeated option; the last one counts for scalars
	place  string   // file and line of the last one
	asked  bool
	exact  bool // values are the elements of a list, not to be split
}

// Read reads files in order; later ones override earlier ones.
func Read(paths ...string) (*Config, error) {
	c := &Config{entries: map[key]*entry{}}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		err = errors.Join(c.read(path, f), f.Close())
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	return c, nil
}

// read parses one file.
//
// Source: oslo.config, iniparser.py.
func (c *Config) read(path string, r io.Reader) error {
	section, fresh := "DEFAULT", map[key]bool{}
	var last *entry
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, 1<<20)
	for line := 1; scan.Scan(); line++ {
		text := strings.TrimRight(scan.Text(), " \t\r")
		place := path + ":" + strconv.Itoa(line)
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
			last = nil
		case (text[0] == ' ' || text[0] == '\t') && last != nil: // goes on
			last.values[len(last.values)-1] += "\n" + strings.TrimSpace(text)
		case text[0] == '[':
			name, closed := strings.CutSuffix(text[1:], "]")
			if !closed || name == "" {
				return fmt.Errorf("%s: malformed section %q", place, text)
			}
			section, last = name, nil
		default:
			at := strings.IndexAny(text, "=:")
			if at < 1 {
				return fmt.Errorf("%s: neither a section nor OPTION = VALUE: %q", place, text)
			}
			k := key{section, strings.ReplaceAll(strings.TrimSpace(text[:at]), "-", "_")}
			last = c.add(k, unquote(strings.TrimSpace(text[at+1:])), place, !fresh[k])
			fresh[k] = true
		}
	}
	return scan.Err()
}

func (c *Config) add(k key, value, place string, replace bool) *entry {
	e := c.entries[k]
	if e == nil {
		e = new(entry)
		c.entries[k] = e
		c.order = append(c.order, k)
	}
	if replace {
		e.values = e.values[:0]
	}
	e.values, e.place = append(e.values, value), place
	return e
}

func unquote(s string) string {
	if n := len(s); n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n-1] == s[0] {
		return s[1 : n-1]
	}
	return s
}

// find returns the entry of an option, or nil.
func (c *Config) find(section, option string) *entry {
	e := c.entries[key{section, option}]
	if e != nil {
		e.asked = true
	}
	return e
}

// refuse notes a wrong value.
func (c *Config) refuse(e *entry, section, option, allowed string) {
	c.wrong = append(c.wrong, fmt.Errorf("%s: [%s] %s is %q, allowed is: %s", e.place, section, option, e.last(), allowed))
}

// last is the value that counts for a scalar; an empty list has none.
func (e *entry) last() string {
	if len(e.values) == 0 {
		return ""
	}
	return e.values[len(e.values)-1]
}

// String returns an option, or def when it is not set.
func (c *Config) String(section, option, def string) string {
	if e := c.find(section, option); e != nil {
		return e.last()
	}
	return def
}

// Choice returns an option that has one of a few values.
func (c *Config) Choice(section, option, def string, allowed ...string) string {
	e := c.find(section, option)
	if e == nil {
		return def
	}
	if !slices.Contains(allowed, e.last()) {
		c.refuse(e, section, option, strings.Join(allowed, ", "))
		return def
	}
	return e.last()
}

// Bool returns an option that is true or false.
func (c *Config) Bool(section, option string, def bool) bool {
	e := c.find(section, option)
	if e == nil {
		return def
	}
	switch strings.ToLower(e.last()) {
	case "true", "1", "yes", "on":
		return true
	case "false", "0", "no", "off":
		return false
	}
	c.refuse(e, section, option, "true or false")
	return def
}

// Int returns an option that is a number of least or more.
func (c *Config) Int(section, option string, def, least int) int {
	e := c.find(section, option)
	if e == nil {
		return def
	}
	n, err := strconv.Atoi(e.last())
	if err != nil || n < least {
		c.refuse(e, section, option, "an integer of "+strconv.Itoa(least)+" or more")
		return def
	}
	return n
}

// List returns the items of an option: separated by commas, or repeated.
func (c *Config) List(section, option string) []string {
	e := c.find(section, option)
	if e == nil {
		return nil
	}
	if e.exact {
		return append([]string{}, e.values...)
	}
	var list []string
	for _, value := range e.values {
		for item := range strings.SplitSeq(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
	}
	return list
}

// Ignore marks options as known though they have no effect.
func (c *Config) Ignore(section string, options ...string) {
	for _, option := range options {
		c.find(section, option)
	}
}

// Unknown returns the options of the given sections that no getter asked for.
func (c *Config) Unknown(sections ...string) []string {
	var list []string
	for _, k := range c.order {
		if e := c.entries[k]; !e.asked && slices.Contains(sections, k.section) {
			list = append(list, fmt.Sprintf("%s: [%s] %s", e.place, k.section, k.option))
		}
	}
	return list
}

// Err returns every wrong value that a getter met, or nil.
func (c *Config) Err() error { return errors.Join(c.wrong...) }
