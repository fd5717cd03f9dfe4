package main

import (
	"strconv"
	"strings"
)

// conf is a nova.conf: values by section and option. It is scheduler.Values;
// what cannot be read counts as not set.
type conf map[string]string

func readConf(text string) conf {
	c, section := conf{}, "DEFAULT"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, is := strings.CutPrefix(line, "["); is {
			section = strings.TrimSuffix(name, "]")
		} else if name, value, is := strings.Cut(line, "="); is && line[0] != '#' {
			c[section+"."+strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return c
}

func (c conf) String(section, option, def string) string {
	if value, set := c[section+"."+option]; set {
		return value
	}
	return def
}

func (c conf) Bool(section, option string, def bool) bool {
	if value, err := strconv.ParseBool(c[section+"."+option]); err == nil {
		return value
	}
	return def
}

func (c conf) Int(section, option string, def, least int) int {
	if value, err := strconv.Atoi(c[section+"."+option]); err == nil && value >= least {
		return value
	}
	return def
}

func (c conf) Float(section, option string, def, least float64) float64 {
	if value, err := strconv.ParseFloat(c[section+"."+option], 64); err == nil && value >= least {
		return value
	}
	return def
}

func (c conf) Choice(section, option, def string, allowed ...string) string {
	for _, word := range allowed {
		if c[section+"."+option] == word {
			return word
		}
	}
	return def
}

func (c conf) List(section, option string) []string {
	value, set := c[section+"."+option]
	if !set {
		return nil
	}
	var list []string
	for word := range strings.SplitSeq(value, ",") {
		list = append(list, strings.TrimSpace(word))
	}
	return list
}

func (c conf) Multi(section, option string) []string {
	if value, set := c[section+"."+option]; set {
		return []string{value}
	}
	return nil
}
