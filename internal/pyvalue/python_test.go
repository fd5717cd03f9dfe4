package pyvalue

import (
	"encoding/json"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"testing"
)

// python is what CPython 3.11, packaging 23 and oslo.utils answered.
type python struct {
	Numbers    [][3]*string // text, repr(float(text)), str(int(text))
	Floats     [][2]string  // as C's %a, repr
	JSON       [][]any      // text, str, bool
	Compare    [][3]string  // a, b, answers to == in < <= > >=
	Versions   [][2]any     // text, valid
	Order      [][]string   // equal ones together
	Predicates [][2]*string // text, answer for each of Ints
	Ints       []int64
	Bools      [][2]any // text, bool
	Words      [][3]any // text, split, strip
}

func answers(t *testing.T) *python {
	t.Helper()
	text, err := os.ReadFile("testdata/python.json")
	if err != nil {
		t.Fatal(err)
	}
	p := &python{}
	if err := json.Unmarshal(text, p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for _, row := range answers(t).Numbers {
		text, float, integer := *row[0], row[1], row[2]
		got, ok := ParseFloat(text)
		if ok != (float != nil) || ok && FormatFloat(got) != *float {
			t.Errorf("ParseFloat(%q) is %v, %v; Python has %v", text, got, ok, deref(float))
		}
		n, ok := ParseInt(text)
		if ok != (integer != nil) || ok && !isNearest(n, *integer) {
			t.Errorf("ParseInt(%q) is %v, %v; Python has %v", text, n, ok, deref(integer))
		}
	}
}

func isNearest(n int64, exact string) bool {
	want, _ := new(big.Int).SetString(exact, 10)
	switch {
	case want.IsInt64():
		return want.Int64() == n
	case want.Sign() > 0:
		return n == math.MaxInt64
	default:
		return n == math.MinInt64
	}
}

func deref(s *string) string {
	if s == nil {
		return "an error"
	}
	return *s
}

func TestFormatFloat(t *testing.T) {
	t.Parallel()
	for _, row := range answers(t).Floats {
		f, err := strconv.ParseFloat(row[0], 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := FormatFloat(f); got != row[1] {
			t.Errorf("FormatFloat(%v) is %s, Python has %s", f, got, row[1])
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for _, row := range answers(t).JSON {
		text := row[0].(string)
		v, err := ParseJSON(text)
		switch {
		case (err == nil) != (row[1] != nil):
			t.Errorf("ParseJSON(%q) is %v, %v; Python has %v", text, v, err, row[1])
		case err != nil || row[1] == "<surrogate>": // which no file can hold
		case v.String() != row[1] || v.True() != row[2]:
			t.Errorf("ParseJSON(%q) is %v, %v; Python has %v, %v", text, v, v.True(), row[1], row[2])
		}
	}
}

func TestSurrogates(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`["\ud800"]`: `['\ud800']`, `["\udfffA"]`: `['\udfffA']`, `["\ud83d\ude00"]`: `['😀']`, `["\ud800\u0041"]`: `['\ud800A']`,
	} {
		if v, err := ParseJSON(text); err != nil || v.String() != want {
			t.Errorf("ParseJSON(%s) is %v, %v; want %s", text, v, err, want)
		}
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	for _, row := range answers(t).Compare {
		a, err := ParseJSON(row[0])
		if err != nil {
			t.Fatal(err)
		}
		b, err := ParseJSON(row[1])
		if err != nil {
			t.Fatal(err)
		}
		got := letter(Equal(a, b)) + letter(Same(a, b))
		order, ordered, err := Compare(a, b)
		for _, op := range []string{"<", "<=", ">", ">="} {
			if err != nil {
				got += "E" //nolint:modernize // four letters
			} else {
				got += letter(ordered && Ordered(op, order))
			}
		}
		if got != row[2] {
			t.Errorf("%s and %s: == in < <= > >= are %s, Python has %s", row[0], row[1], got, row[2])
		}
	}
}

func letter(b bool) string {
	if b {
		return "T"
	}
	return "F"
}

func TestVersions(t *testing.T) {
	t.Parallel()
	p := answers(t)
	for _, row := range p.Versions {
		if _, err := ParseVersion(row[0].(string)); (err == nil) != row[1].(bool) {
			t.Errorf("ParseVersion(%q): %v, Python takes it: %v", row[0], err, row[1])
		}
	}
	for i, group := range p.Order {
		for _, text := range group {
			v, _ := ParseVersion(text)
			for j, others := range p.Order {
				w, _ := ParseVersion(others[0])
				if got, want := v.Compare(w), sign(i-j); got != want {
					t.Errorf("%q against %q is %d, want %d", text, others[0], got, want)
				}
			}
		}
	}
}

func sign(n int) int { return min(max(n, -1), 1) }

func TestVersionPredicates(t *testing.T) {
	t.Parallel()
	p := answers(t)
	for _, row := range p.Predicates {
		pred, err := ParseVersionPredicate(*row[0])
		if (err == nil) != (row[1] != nil) {
			t.Errorf("ParseVersionPredicate(%q): %v, Python has %v", *row[0], err, deref(row[1]))
		}
		if err != nil || row[1] == nil {
			continue
		}
		got := ""
		for _, n := range p.Ints {
			got += letter(pred.Holds(VersionOfInt(n))) //nolint:modernize // a few letters
		}
		if got != *row[1] {
			t.Errorf("%q of %v is %s, Python has %s", *row[0], p.Ints, got, *row[1])
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	p := answers(t)
	for _, row := range p.Bools {
		if got := Bool(row[0].(string)); got != row[1] {
			t.Errorf("Bool(%q) is %v", row[0], got)
		}
	}
	for _, row := range p.Words {
		text, words := row[0].(string), []any{}
		for word, rest := NextWord(text); word != ""; word, rest = NextWord(rest) {
			words = append(words, word)
		}
		if !slices.Equal(words, row[1].([]any)) || Strip(text) != row[2] {
			t.Errorf("%q is split into %q and stripped to %q; Python has %q", text, words, Strip(text), row[1:])
		}
	}
}

func TestNumbersDoNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(10, func() {
		ParseFloat(" 12.5 ")
		ParseInt(" -7")
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"1_0", `{"a": [1, "\ud800"]}`, "1!2.0rc1.post2+x", ">=6,<7", "１٢"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, ok := ParseInt(s); ok {
			if x, ok := ParseFloat(s); !ok || math.Abs(x-float64(n)) > math.Abs(x)/1e6 && n != math.MaxInt64 && n != math.MinInt64 {
				t.Errorf("%q is the integer %d and the number %v", s, n, x)
			}
		}
		if v, err := ParseVersion(s); err == nil && v.Compare(v) != 0 {
			t.Errorf("%q is not itself", s)
		}
		if p, err := ParseVersionPredicate(s); err == nil {
			p.Holds(VersionOfInt(7002000))
		}
		v, err := ParseJSON(s)
		if err != nil && len(s) < maxDepth && json.Valid([]byte(s)) {
			t.Errorf("%q is JSON", s)
		}
		if !Same(v, v) {
			t.Errorf("%q is not itself", s)
		}
		_ = v.String()
	})
}
