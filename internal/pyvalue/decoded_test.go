package pyvalue

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestOfDecoded compares with what ParseJSON makes of the same text, whose
// keys are in order.
func TestOfDecoded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`null`, `true`, `false`, `"a\nb"`, `3`, `3.0`, `-0.0`, `1e16`, `123456789012345678901234567890`, `1E400`, `[]`, `{}`,
		`[1, [2.50, "x"], null]`, `{"a": {"b": [true]}, "b": "o'clock"}`,
	} {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		want, err := ParseJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := OfDecoded(v); got.Kind() != want.Kind() || got.String() != want.String() || !Equal(got, want) {
			t.Errorf("%s is %v %s, want %v %s", text, got.Kind(), got, want.Kind(), want)
		}
	}
	for _, v := range []any{struct{}{}, json.Number("0x1"), json.Number("")} {
		if got := OfDecoded(v); !got.IsNone() {
			t.Errorf("%#v is %v, want None", v, got)
		}
	}
}

func TestDecodedNumbersDoNotAllocate(t *testing.T) {
	var n any = json.Number("12345")
	if allocs := testing.AllocsPerRun(10, func() { OfDecoded(n) }); allocs != 0 {
		t.Errorf("a number takes %v allocations", allocs)
	}
}
