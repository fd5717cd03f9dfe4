package pyvalue

import (
	"encoding/json"
	"slices"
)

// OfDecoded returns what encoding/json made of a document with UseNumber: nil,
// bool, string, [json.Number], []any and map[string]any. Keys come in the
// order of the alphabet, since maps have none. Anything else is None.
func OfDecoded(v any) Value {
	switch v := v.(type) {
	case bool:
		return OfBool(v)
	case string:
		return OfText(v)
	case json.Number:
		return ofNumber(string(v))
	case []any:
		items := make([]Value, len(v))
		for i := range v {
			items[i] = OfDecoded(v[i])
		}
		return OfList(items)
	case map[string]any:
		d := &Dict{}
		for key := range v {
			d.keys = append(d.keys, key)
		}
		slices.Sort(d.keys)
		d.values = make(map[string]Value, len(v))
		for key, item := range v {
			d.values[key] = OfDecoded(item)
		}
		return OfDict(d)
	default:
		return Value{}
	}
}

// ofNumber reads a number of JSON, None when it is none.
func ofNumber(s string) Value {
	p := parser{text: s}
	v, ok := p.number()
	if !ok || p.at != len(s) {
		return Value{}
	}
	return v
}
