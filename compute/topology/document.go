package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
)

// document is a JSON value with the name of its place, for errors.
type document struct {
	field string
	value any // with json.Number
}

func parseDocument(field string, raw []byte) (document, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return document{}, fmt.Errorf("%s: %w", field, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return document{}, &FieldError{field, string(raw), "one JSON value"}
	}
	return document{field, v}, nil
}

// object returns the members; only names are allowed.
func (d document) object(names ...string) (map[string]any, error) {
	m, is := d.value.(map[string]any)
	if !is {
		return nil, &FieldError{d.field, d.value, "an object"}
	}
	unknown := []string{}
	for name := range m {
		if !slices.Contains(names, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		return nil, &FieldError{d.field + ": a member", unknown[0], fmt.Sprint(names)}
	}
	return m, nil
}

// at returns a member of an object, which may be absent.
func (d document) at(name string) document {
	m, _ := d.value.(map[string]any)
	return document{d.field + "." + name, m[name]}
}

// list returns the items; null is none.
func (d document) list() ([]document, error) {
	if d.value == nil {
		return nil, nil
	}
	items, is := d.value.([]any)
	if !is {
		return nil, &FieldError{d.field, d.value, "a list"}
	}
	list := make([]document, len(items))
	for i, v := range items {
		list[i] = document{d.field + "[" + strconv.Itoa(i) + "]", v}
	}
	return list, nil
}

// integer returns a number between 0 and most; null is 0.
func (d document) integer(most int64) (int64, error) {
	if d.value == nil {
		return 0, nil
	}
	text, _ := d.value.(json.Number)
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, &FieldError{d.field, d.value, fmt.Sprintf("an integer from 0 to %d", most)}
	}
	return n, nil
}

// required is integer, but there has to be one.
func (d document) required(most int64) (int64, error) {
	if d.value == nil {
		return 0, &FieldError{d.field, d.value, fmt.Sprintf("an integer from 0 to %d", most)}
	}
	return d.integer(most)
}

// text returns a text; allowed ones, if any are named.
func (d document) text(allowed ...string) (string, error) {
	s, is := d.value.(string)
	switch {
	case !is:
		return "", &FieldError{d.field, d.value, "a text"}
	case len(allowed) > 0 && !slices.Contains(allowed, s):
		return "", &FieldError{d.field, s, fmt.Sprint(allowed)}
	}
	return s, nil
}

// cpus returns a set of CPUs in the order that Python's set of the list has.
func (d document) cpus() ([]int, error) {
	items, is := d.value.([]any)
	if !is && d.value != nil {
		return nil, &FieldError{d.field, d.value, "a list"}
	}
	cpus := make([]int, len(items))
	for i, v := range items {
		n, err := document{"", v}.required(maxCPU)
		if err != nil { // names are only made for those who read them
			_, err = document{d.field + "[" + strconv.Itoa(i) + "]", v}.required(maxCPU)
			return nil, err
		}
		cpus[i] = int(n)
	}
	return appendSet(make([]int, 0, len(cpus)), cpus), nil
}
