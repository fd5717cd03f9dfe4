package novajudge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// shrink removes from a document whatever it can while fails still holds, and
// returns what is left. fails is asked at most budget times.
func shrink(document obj, budget int, fails func(obj) bool) obj {
	try := func(candidate obj) bool {
		budget--
		return budget >= 0 && fails(candidate)
	}
	for again := true; again && budget > 0; {
		again = false
		for _, path := range paths(document, nil) {
			smaller := without(document, path)
			if smaller != nil && try(smaller) {
				document, again = smaller, true
			}
		}
	}
	return document
}

// paths are the ways to everything that can be removed, outermost first: keys
// of objects and places of lists, the last place first.
func paths(v any, to []any) [][]any {
	var list [][]any
	down := func(key, value any) {
		path := append(slices.Clone(to), key)
		if !keep(path) {
			list = append(list, path)
		}
		list = append(list, paths(value, path)...)
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			down(key, v[key])
		}
	case []any:
		for i, element := range slices.Backward(v) {
			down(i, element)
		}
	}
	return list
}

// keep reports whether the judge cannot do without what is at path.
func keep(path []any) bool {
	switch len(path) {
	case 1:
		return true
	case 2:
		return path[0] == "spec" && (path[1] == "flavor" || path[1] == "image" || path[1] == "instance_uuids")
	case 3:
		return path[1] == "instance_uuids" && path[2] == 0 || path[0] == "hosts" && (path[2] == "host" || path[2] == "uuid")
	case 5:
		return path[0] == "hosts" && path[2] == "aggregates"
	}
	return false
}

// without returns a copy of the document that lacks what is at path, or nil
// if there is nothing.
func without(document obj, path []any) obj {
	copied, err := clone(document)
	if err != nil {
		return nil
	}
	var at any = copied
	put := func(any) {}
	for _, key := range path[:len(path)-1] {
		at, put = child(at, key)
		if at == nil {
			return nil
		}
	}
	switch last := path[len(path)-1].(type) {
	case string:
		m, ok := at.(map[string]any)
		if _, has := m[last]; !ok || !has {
			return nil
		}
		delete(m, last)
	case int:
		list, ok := at.([]any)
		if !ok || last >= len(list) {
			return nil
		}
		put(slices.Delete(list, last, last+1))
	}
	return copied
}

// child returns what v has at key, and how to replace it.
func child(v, key any) (any, func(any)) {
	switch key := key.(type) {
	case string:
		if m, ok := v.(map[string]any); ok {
			return m[key], func(to any) { m[key] = to }
		}
	case int:
		if list, ok := v.([]any); ok && key < len(list) {
			return list[key], func(to any) { list[key] = to }
		}
	}
	return nil, nil
}

// clone returns a copy of a document that holds only maps, lists, texts,
// booleans and json.Number.
func clone(document obj) (obj, error) {
	text, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("encode a document: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var copied obj
	if err := d.Decode(&copied); err != nil {
		return nil, fmt.Errorf("decode a document: %w", err)
	}
	return copied, nil
}
