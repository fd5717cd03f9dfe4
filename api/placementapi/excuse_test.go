package placementapi

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// exchange is a request of the differential test.
type exchange struct {
	method, path, version string
	header                http.Header
	body                  string
}

func (x exchange) String() string {
	return fmt.Sprintf("%s %s [%s] %v %s", x.method, x.path, x.version, x.header, x.body)
}

// told is what is compared of an answer.
type told struct {
	Status int
	Header map[string]string
	Body   string
}

// excuse is a difference from OpenStack Placement that docs/compat.md names
// in the list of the same names.
type excuse struct {
	name string
	hide *regexp.Regexp // what the two bodies may differ in; its groups stay
	// meets reports that these answers may differ in everything.
	meets func(x exchange, ours, theirs told) bool
	ends  bool // the states may differ from then on
}

// excuses are tried in order; those that hide something add up.
var excuses = []excuse{
	{name: "internal error", ends: true, meets: func(_ exchange, _, theirs told) bool {
		return theirs.Status == http.StatusInternalServerError
	}},
	{name: "consumer left behind", ends: true, meets: func(_ exchange, ours, theirs told) bool {
		return strings.Contains(theirs.Body, "expected 0 but got") || strings.Contains(ours.Body, "expected null but got") && theirs.Status == http.StatusNoContent
	}},
	{name: "empty provider name", ends: true, meets: func(x exchange, ours, theirs told) bool {
		return x.method == http.MethodPut && theirs.Status == http.StatusOK && strings.Contains(ours.Body, `name is \"\"`)
	}},
	{name: "negative capacity in a reshape", ends: true, meets: func(x exchange, ours, _ told) bool {
		return x.path == "/reshaper" && strings.Contains(ours.Body, "capacity is")
	}},
	{name: "renaming a class in use", ends: true, meets: func(_ exchange, ours, theirs told) bool {
		return theirs.Status == http.StatusOK && strings.Contains(ours.Body, "Cannot rename resource class")
	}},
	{name: "unknown names", meets: func(x exchange, ours, theirs told) bool {
		return theirs.Status == http.StatusOK && ours.Status == http.StatusBadRequest && x.method == http.MethodGet &&
			(strings.Contains(ours.Body, "No such trait") || strings.Contains(ours.Body, "Invalid resource class in resources")) &&
			(theirs.Body == `{"resource_providers":[]}` || theirs.Body == `{"allocation_requests":[],"provider_summaries":{}}`)
	}},
	{name: "time of traits and classes", meets: func(x exchange, ours, theirs told) bool {
		a, b := maps.Clone(ours.Header), maps.Clone(theirs.Header)
		delete(a, "Last-Modified")
		delete(b, "Last-Modified")
		changed := x.method == http.MethodPut && strings.Count(x.path, "/") == 2 // Placement has no time of some
		return (changed || strings.HasPrefix(x.path, "/traits") || strings.HasPrefix(x.path, "/resource_classes")) &&
			ours.Status == theirs.Status && ours.Body == theirs.Body && maps.Equal(a, b)
	}},
	{name: "rules in validation messages", hide: regexp.MustCompile(`(Failed validating [^:]*:)(?:\\.|[^"\\])*?((?:\\n)*On instance)`)},
	{name: "values in validation messages", hide: regexp.MustCompile(`(On instance[^:]*:)(?:\\.|[^"\\])*`)},
	{name: "words of jsonschema", hide: regexp.MustCompile(`()(?:should be non-empty|does not have enough properties|is too short)`)},
	{name: "words of the database", hide: regexp.MustCompile(`(Update conflict: )[^"]*`)},
	{name: "malformed JSON", hide: regexp.MustCompile(`(Malformed JSON: )[^"]*`)},
	{name: "invalid versions", hide: regexp.MustCompile(`(invalid version string: [^;"]*);[^"]*`)},
	{name: "which refusal of a write", hide: regexp.MustCompile(`(Unable to allocate inventory: |No such trait )[^"]*`)},
	{name: "very large numbers", hide: regexp.MustCompile(`()(?:but got [0-9]e\+30|but got 9223372036854775807)`)},
}

// judge compares two answers. why is "" for a difference without an excuse,
// and the excuse otherwise; ends: the states may differ now.
func judge(x exchange, ours, theirs told) (equal bool, why string, ends bool) {
	same := func() bool {
		return ours.Status == theirs.Status && ours.Body == theirs.Body && maps.Equal(ours.Header, theirs.Header)
	}
	if same() {
		return true, "", false
	}
	for i := range excuses {
		e := &excuses[i]
		if e.meets != nil && e.meets(x, ours, theirs) {
			return false, e.name, e.ends
		}
		if e.hide == nil {
			continue
		}
		ours.Body, theirs.Body = e.hide.ReplaceAllString(ours.Body, "$1$2"), e.hide.ReplaceAllString(theirs.Body, "$1$2")
		if same() {
			return false, e.name, e.ends
		}
	}
	return false, "", true
}

// TestExcuses holds the list of docs/compat.md: each excuse is there, and
// nothing else.
func TestExcuses(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, found := strings.Cut(string(text), "### What the differential test excuses\n")
	if !found {
		t.Fatal("docs/compat.md has no list of excuses")
	}
	list, _, _ = strings.Cut(list, "\n#")
	listed := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(.+?)\*\*: .`).FindAllStringSubmatch(list, -1) {
		listed[m[1]]++
	}
	for _, name := range append(excuseNames(), excuseShared, excuseLost) {
		if listed[name]--; listed[name] != 0 {
			t.Errorf("docs/compat.md lists the excuse %q %d times", name, listed[name]+1)
		}
		delete(listed, name)
	}
	if len(listed) > 0 {
		t.Errorf("docs/compat.md lists what the test does not excuse: %v", listed)
	}
}

// What compare excuses of candidates.
const (
	excuseShared = "amounts of shared objects"
	excuseLost   = "lost candidates of sharing providers"
)

func excuseNames() []string {
	names := make([]string, 0, len(excuses))
	for i := range excuses {
		names = append(names, excuses[i].name)
	}
	return names
}

// TestJudge: an excuse does not hide other differences.
func TestJudge(t *testing.T) {
	t.Parallel()
	get := exchange{method: "GET", path: "/resource_providers"}
	for _, c := range []struct {
		name         string
		x            exchange
		ours, theirs told
		why          string
	}{
		{"status", get, told{Status: 200}, told{Status: 404}, ""},
		{"header", get, told{Status: 200, Header: map[string]string{"Vary": "x"}}, told{Status: 200}, ""},
		{"body", get, told{Status: 200, Body: "1"}, told{Status: 200, Body: "2"}, ""},
		{"time of a provider", get, told{Status: 200, Header: map[string]string{"Last-Modified": "set"}}, told{Status: 200}, ""},
		{"time of a trait", exchange{method: "PUT", path: "/traits/A"}, told{Status: 204, Header: map[string]string{"Last-Modified": "set"}}, told{Status: 204}, "time of traits and classes"},
		{"500", get, told{Status: 400}, told{Status: 500}, "internal error"},
		{"500 of ours", get, told{Status: 500}, told{Status: 400}, ""},
		{"JSON", get, told{Status: 400, Body: `"Malformed JSON: a"`}, told{Status: 400, Body: `"Malformed JSON: b"`}, "malformed JSON"},
		{"JSON and status", get, told{Status: 400, Body: `"Malformed JSON: a"`}, told{Status: 409, Body: `"Malformed JSON: b"`}, ""},
		{"JSON and more", get, told{Status: 400, Body: `"Malformed JSON: a", 1`}, told{Status: 400, Body: `"Malformed JSON: b", 2`}, ""},
	} {
		equal, why, _ := judge(c.x, c.ours, c.theirs)
		if equal || why != c.why {
			t.Errorf("%s, %v: equal %v, excuse %q, want %q", c.name, c.x, equal, why, c.why)
		}
	}
	if equal, _, ends := judge(get, told{Status: 200, Body: "x"}, told{Status: 200, Body: "x"}); !equal || ends {
		t.Error("equal answers differ")
	}
}
