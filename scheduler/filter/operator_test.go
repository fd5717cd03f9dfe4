package filter

import (
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

func FuzzMatch(f *testing.F) {
	for _, s := range []string{"<or> a <or> b", "= 1_0", "<all-in> a b", "s>= x", ">=4", "", "<in>", "== nan"} {
		f.Add("10", s)
	}
	f.Fuzz(func(t *testing.T, value, requirement string) {
		got, err := match(pyvalue.OfText(value), requirement)
		words := strings.FieldsFunc(requirement, pyvalue.IsSpace)
		switch {
		case len(words) == 0 && got != (value == requirement):
			t.Errorf("%q meets %q: %v", value, requirement, got)
		case len(words) == 1 && words[0] != "<or>" && err != nil:
			t.Errorf("%q without a value: %v", requirement, err)
		case len(words) > 1 && words[0] == "s==" && got != (value == words[1]):
			t.Errorf("%q meets %q: %v", value, requirement, got)
		case len(words) > 1 && words[0] == "<or>" && got && !strings.Contains(requirement, value):
			t.Errorf("%q meets %q", value, requirement)
		case got && err != nil:
			t.Errorf("%q: both an answer and %v", requirement, err)
		}
		more, moreErr := match(pyvalue.OfText(value), requirement+" \t")
		if len(words) > 1 && strings.ContainsAny(words[0], "=<>") && words[0] == "=" && (more != got || (moreErr == nil) != (err == nil)) {
			t.Errorf("blanks behind %q matter", requirement)
		}
	})
}
