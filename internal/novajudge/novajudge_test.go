package novajudge

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestGenerate holds that a case is a function of its seed and number, and
// that every family is reached.
func TestGenerate(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range uint64(200) {
		family, document := generate(7, n)
		again, same := generate(7, n)
		if family != again || encode(document) != encode(same) {
			t.Fatalf("case %d of seed 7 differs from itself", n)
		}
		seen[family] = true
	}
	for _, f := range families {
		if !seen[f.name] {
			t.Errorf("family %s is not generated", f.name)
		}
	}
	_, one := generate(7, 0)
	if _, other := generate(8, 0); encode(one) == encode(other) {
		t.Error("two seeds give the same document")
	}
}

func read(t *testing.T, text string) *answer {
	t.Helper()
	a, err := readAnswer([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	const good = `{"selected":[{"instance":"i","host":"a","alternates":["b"]}],
		"filters":[{"name":"F","before":3,"after":2,"rejected":["c"]}],
		"weights":[{"host":"a","total":1.5,"weighers":{"W":{"raw":4,"normalized":1,"weighted":1.5}}},{"host":"b","total":0,"weighers":{"W":{"raw":0,"normalized":0,"weighted":-0.0}}}],
		"error":null}`
	const none = `{"selected":[],"filters":[],"weights":[],"error":{"code":"NoValidHost","message":"x"}}`
	for _, c := range []struct {
		name, want, got, kind string
	}{
		{"equal, reasons do not count", good, strings.Replace(good, `["c"]`, `{"c":"some reason"}`, 1), ""},
		{"zero has no sign", good, strings.Replace(good, "-0.0", "0", 1), ""},
		{"host", good, strings.Replace(good, `"host":"a","alt`, `"host":"b","alt`, 1), "selected"},
		{"alternates", good, strings.Replace(good, `["b"]`, `[]`, 1), "selected"},
		{"count", good, strings.Replace(good, `"after":2`, `"after":1`, 1), "filters"},
		{"rejected", good, strings.Replace(good, `["c"]`, `["b"]`, 1), "filters"},
		{"last bit", good, strings.Replace(good, `"total":1.5`, `"total":1.5000000000000002`, 1), "weights"},
		{"raw", good, strings.Replace(good, `"raw":4`, `"raw":5`, 1), "weights"},
		{"missing weigher", good, strings.Replace(good, `"W":{"raw":4,"normalized":1,"weighted":1.5}`, ``, 1), "weights"},
		{"error", good, none, "error /NoValidHost"},
		{"messages do not count", none, strings.Replace(none, `"x"`, `"y"`, 1), ""},
		{"error's filters", none, strings.Replace(none, `"filters":[]`, `"filters":[{"name":"F","before":1,"after":0,"rejected":["a"]}]`, 1), "filters"},
	} {
		d := differences(read(t, c.want), read(t, c.got))
		if got := kindOf(d); got != c.kind {
			t.Errorf("%s: differs in %q (%v), want %q", c.name, got, d, c.kind)
		}
	}
}

func TestReadAnswerRefuses(t *testing.T) {
	t.Parallel()
	if _, err := readAnswer([]byte(`{"filters":[{"rejected":7}]}`)); err == nil {
		t.Error("a number passes for rejected hosts")
	}
}

// TestShrink looks for the one host and the one option that matter.
func TestShrink(t *testing.T) {
	t.Parallel()
	for n := range uint64(30) {
		_, made := generate(3, n)
		document, err := clone(made)
		if err != nil {
			t.Fatal(err)
		}
		hosts := document["hosts"].([]any)
		hosts[len(hosts)/2].(obj)["mark"] = "x"
		marked := func(d obj) bool {
			return slices.ContainsFunc(d["hosts"].([]any), func(h any) bool { return h.(obj)["mark"] == "x" })
		}
		small := shrink(document, 5000, marked)
		left := small["hosts"].([]any)
		if len(left) != 1 || len(left[0].(obj)) != 3 || len(small["config"].(obj)) != 0 {
			t.Fatalf("case %d shrinks to %s", n, encode(small))
		}
	}
}

func TestOlderWeighers(t *testing.T) {
	t.Parallel()
	d := obj{"config": obj{"filter_scheduler.num_instances_weight_multiplier": 1}}
	olderWeighers(d)
	config := d["config"].(obj)
	classes := config["filter_scheduler.weight_classes"].(arr)
	if len(config) != 1 || len(classes) != len(weigherNames)-3 || slices.Contains(classes, any(weighersPackage+"num_instances.NumInstancesWeigher")) {
		t.Errorf("left with %v", config)
	}
	one := arr{weighersPackage + "ram.RAMWeigher"}
	d = obj{"config": obj{"filter_scheduler.weight_classes": one}}
	if olderWeighers(d); !reflect.DeepEqual(d["config"].(obj)["filter_scheduler.weight_classes"], one) {
		t.Errorf("a weigher that it has is left out: %v", d)
	}
}
