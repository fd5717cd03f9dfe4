package document

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// object reads the keys of one JSON object. What a key is read as, is what it
// has to be; keys that nobody reads are refused by done. Of several errors
// the first is kept.
type object struct {
	path string
	keys map[string]json.RawMessage
	err  *error
}

// maxShown is how much of a wrong value an error shows, in bytes.
const maxShown = 60

func refuse(err *error, path string, raw json.RawMessage, allowed string) {
	if *err != nil {
		return
	}
	shown := string(raw)
	if len(shown) > maxShown {
		shown = strings.ToValidUTF8(shown[:maxShown], "") + "…"
	}
	*err = &KeyError{path, shown, allowed}
}

// open reads raw as an object.
func open(raw json.RawMessage, path string, err *error) *object {
	o := &object{path: path, err: err}
	if json.Unmarshal(raw, &o.keys) != nil {
		refuse(err, path, raw, "an object")
	}
	return o
}

func (o *object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

// take returns the value of a key, nil when it is absent or null.
func (o *object) take(key string) json.RawMessage {
	raw, has := o.keys[key]
	delete(o.keys, key)
	if !has || bytes.Equal(raw, []byte("null")) {
		return nil
	}
	return raw
}

// into reads a key into a Go value of that type.
func (o *object) into(key string, to any, allowed string) {
	if raw := o.take(key); raw != nil && json.Unmarshal(raw, to) != nil {
		refuse(o.err, o.at(key), raw, allowed)
	}
}

func (o *object) text(key string, to *string)    { o.into(key, to, "a text") }
func (o *object) integer(key string, to *int64)  { o.into(key, to, "an integer") }
func (o *object) number(key string, to *float64) { o.into(key, to, "a number") }
func (o *object) boolean(key string, to *bool)   { o.into(key, to, "true or false") }

// texts reads a list of texts. Absent is nil, empty is not.
func (o *object) texts(key string, to *[]string) {
	o.each(key, func(path string, raw json.RawMessage) {
		var s string
		if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
			refuse(o.err, path, raw, "a text")
		}
		*to = append(*to, s)
	})
}

// each reads a list, one element after the other.
func (o *object) each(key string, element func(path string, raw json.RawMessage)) {
	raw := o.take(key)
	if raw == nil {
		return
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		refuse(o.err, o.at(key), raw, "a list")
	}
	for i, raw := range list {
		element(o.at(key)+"["+strconv.Itoa(i)+"]", raw)
	}
}

// object reads an object, nil when it is absent.
func (o *object) object(key string) *object {
	if raw := o.take(key); raw != nil {
		return open(raw, o.at(key), o.err)
	}
	return nil
}

// rest reads all keys that are left, in the order of their names.
func (o *object) rest(value func(key, path string, raw json.RawMessage)) {
	for _, key := range slices.Sorted(maps.Keys(o.keys)) {
		value(key, o.at(key), o.keys[key])
	}
	o.keys = nil
}

// mapping reads an object whose values are texts; numbers and booleans become
// texts. Absent is nil.
func (o *object) mapping(key string) map[string]string {
	in := o.object(key)
	if in == nil {
		return nil
	}
	m := make(map[string]string, len(in.keys))
	in.rest(func(key, path string, raw json.RawMessage) { m[key] = scalar(o.err, path, raw) })
	return m
}

// done refuses the keys that are left.
func (o *object) done(known string) {
	o.rest(func(_, path string, raw json.RawMessage) { refuse(o.err, path, raw, "no such key; known are "+known) })
}

// scalar reads a text, or makes one of a number or a boolean, as Python
// prints them.
func scalar(err *error, path string, raw json.RawMessage) string {
	switch v := decode(raw).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "True"
		}
		return "False"
	}
	refuse(err, path, raw, "a text")
	return ""
}

// decode returns a value of any type, with numbers as they are written.
func decode(raw json.RawMessage) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	_ = d.Decode(&v) // raw is part of a valid document
	return v
}
