package jsonschema

import (
	"strings"
	"testing"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ body, want string }{
		{"", "expecting a value at byte 0"},
		{"{", "expecting a key"},
		{`{"a":1,"a":2}`, `repeated key "a"`},
		{`{"a":NaN}`, "expecting a value"},
		{`[Infinity]`, "expecting a value"},
		{`[01]`, "malformed number"},
		{`[1.]`, "malformed number"},
		{`[-]`, "malformed number"},
		{`[1e]`, "malformed number"},
		{`[1] 2`, "extra data"},
		{`["a`, "unterminated string"},
		{"[\"\x01\"]", "control character"},
		{"[\"\xff\"]", "UTF-8"},
		{`["\ud800"]`, "lone surrogate"},
		{`["\ud800\u0041"]`, "lone surrogate"},
		{`["\x"]`, "invalid escape"},
		{`[1 2]`, "expecting ',' or ']'"},
		{`{"a" 1}`, "expecting ':'"},
		{strings.Repeat("[", 100000), "nested deeper"},
		{"[" + strings.Repeat("1,", MaxValues) + "1]", "more than 524288 values at byte"},
		{"{" + strings.Repeat(`"a":1,`, MaxValues) + `"a":1}`, "repeated key"},
		{"[[1 2]," + strings.Repeat("1,", MaxValues) + "1]", "expecting ','"},
		{"[" + strings.Repeat("[1],", MaxValues/2) + "1]", "more than 524288 values at byte"},
		{`["\"` + strings.Repeat(",", MaxValues+1) + `\\",` + strings.Repeat("1,", 1000) + "x]", "expecting a value"},
	} {
		if _, err := Parse([]byte(c.body)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %q", c.body, err, c.want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		` {"a" : [1, -2.50, "x'y", true, null], "b": {}} `: `{'a': [1, -2.5, "x'y", True, None], 'b': {}}`,
		`"\u00e9\n\ud83d\ude00"`:                           `'é\n😀'`,
		`1e3`:                                              `1000.0`,
		`[false, 12345678901234567890]`:                    `[False, 12345678901234567890]`,
	} {
		v, err := Parse([]byte(body))
		if got := Repr(&v); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", body, got, err, want)
		}
	}
}

func TestManyKeys(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("{")
	for i := range 100 {
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1,`)
	}
	if _, err := Parse([]byte(b.String() + `"z":1}`)); err != nil {
		t.Error(err)
	}
	if _, err := Parse([]byte(b.String() + `"k":1}`)); err == nil || !strings.Contains(err.Error(), "repeated key") {
		t.Errorf("repeated among many: %v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	short := &Pattern{"^[a-c]+$", func(s string) bool { return strings.Trim(s, "abc") == "" && s != "" }}
	schema := &Schema{
		Types: []string{"object"}, Required: []string{"n"}, Closed: true, MinMembers: 1,
		Properties: []Property{
			{"n", &Schema{Types: []string{"integer"}, Minimum: Bound(1), Maximum: Bound(10)}},
			{"s", &Schema{Types: []string{"string"}, MinChars: 2, MaxChars: 3, Pattern: short}},
			{"l", &Schema{Types: []string{"array"}, Unique: true, MinItems: 1, Items: &Schema{Types: []string{"string"}}}},
			{"e", &Schema{Types: []string{"string"}, Enum: []string{"x", "y"}}},
			{"o", &Schema{Types: []string{"object"}, Closed: true, Patterns: []PatternProperty{{short, &Schema{Types: []string{"number"}}}}}},
			{"a", &Schema{AnyOf: []*Schema{{Types: []string{"string"}, MaxChars: 3}, {Types: []string{"null"}}}}},
		},
	}
	for body, want := range map[string]string{
		`{"n": 1}`:                        "",
		`{"n": 2.0, "a": null}`:           "",
		`{"n": 1, "o": {"abc": 1.5}}`:     "",
		`[]`:                              "[] is not of type 'object'",
		`{}`:                              "{} should be non-empty",
		`{"s": "ab"}`:                     "'n' is a required property",
		`{"n": 0}`:                        "0 is less than the minimum of 1",
		`{"n": 11}`:                       "11 is greater than the maximum of 10",
		`{"n": 1.5}`:                      "1.5 is not of type 'integer'",
		`{"n": "1"}`:                      "'1' is not of type 'integer'",
		`{"n": 1, "s": "a"}`:              "'a' is too short",
		`{"n": 1, "s": "abca"}`:           "'abca' is too long",
		`{"n": 1, "s": "xyz"}`:            "'xyz' does not match '^[a-c]+$'",
		`{"n": 1, "l": []}`:               "[] is too short",
		`{"n": 1, "l": ["a", "a"]}`:       "['a', 'a'] has non-unique elements",
		`{"n": 1, "l": [1]}`:              "1 is not of type 'string'",
		`{"n": 1, "e": "z"}`:              "'z' is not one of ['x', 'y']",
		`{"n": 1, "o": {"d": 1}}`:         "'d' does not match any of the regexes: '^[a-c]+$'",
		`{"n": 1, "o": {"a": "x"}}`:       "'x' is not of type 'number'",
		`{"n": 1, "a": "long"}`:           "'long' is too long",
		`{"n": 1, "a": 1}`:                "1 is not valid under any of the given schemas",
		`{"n": 0, "q": 1}`:                "Additional properties are not allowed ('q' was unexpected)", // the shallower one
		`{"n": 1, "q": 1, "r": [true]}`:   "Additional properties are not allowed ('q', 'r' were unexpected)",
		`{"n": 1, "l": [true], "s": ""}`:  "'' does not match '^[a-c]+$'",    // the first of two, and shallower
		`{"e": "z", "s": "abca", "n": 0}`: "0 is less than the minimum of 1", // the first of the schema
		`{"n": 0, "e": 5}`:                "5 is not of type 'string'",       // a wrong type says more
		`{"a": "long", "n": 0}`:           "0 is less than the minimum of 1", // alternatives say less
	} {
		v, err := Parse([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if w := schema.Validate(&v); w != nil {
			got = w.Message
		}
		if got != want {
			t.Errorf("%s: %q, want %q", body, got, want)
		}
	}
	v, _ := Parse([]byte(`{"n": 1, "l": ["x", 5]}`))
	const want = "5 is not of type 'string'\n\nFailed validating 'type' in schema['properties']['l']['items']:\n" +
		"    {'type': 'string'}\n\nOn instance['l'][1]:\n    5"
	if got := schema.Validate(&v).String(); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	v, _ = Parse([]byte(`{"n": 1, "a": "long"}`))
	const wantAlternative = "'long' is too long\n\nFailed validating 'maxLength' in schema[0]:\n" +
		"    {'maxLength': 3, 'type': 'string'}\n\nOn instance:\n    'long'"
	if got := schema.Validate(&v).String(); got != wantAlternative {
		t.Errorf("got %s\nwant %s", got, wantAlternative)
	}
}
