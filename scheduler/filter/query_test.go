package filter

import (
	"encoding/json"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	h := &scheduler.HostState{
		Host: "h", FreeRAMMiB: 4096, VCPUsUsed: 3, HostIP: "10.0.0.1", Instances: map[string]scheduler.Instance{"i1": {}},
		Stats: map[string]any{"rack": "r1", "deep": map[string]any{"er": json.Number("1.0")}}, CPUInfo: `{"arch": "x86_64"}`,
	}
	const no = "no"
	for query, want := range map[string]string{
		``:                                  "",
		`{}`:                                "",
		`[]`:                                "",
		`["=", "$host", "h"]`:               "",
		`["=", "$host", "H"]`:               no,
		`["=", "$host"]`:                    no,
		`["=", "$host", "h", "h", "x"]`:     no,
		`[">", "$free_ram_mb", 4095, 10.5]`: "",
		`["<", "$free_ram_mb", "4097"]`:     raises,
		`["=", "$free_ram_mb", "4096"]`:     no,
		`["=", "$vcpus_used", 3.0]`:         "",
		`["=", true, 1]`:                    "",
		`["=", "$service.disabled", false]`: "",
		`["in", "$stats.rack", "r0", "r1"]`: "",
		`["in", "r", "r1"]`:                 no,
		`["=", "$stats.deep.er", 1]`:        "",
		`["=", "$stats.deep.er.more", 1]`:   raises,
		`["=", "$cpu_info.arch", "x86_64"]`: raises,
		`["=", "$host_ip", "10.0.0.1"]`:     no,
		`["<", "$nothing", 3]`:              no,
		`["<", "$nothing", 2, 3]`:           "",
		`["=", "$instances.i2", "$instances.i1", "$instances.i1"]`: "",
		`["not", ["=", "$host", "h"]]`:                             no,
		`["not", ["=", "$host", "h"], ["=", "$host", "x"]]`:        "",
		`["not"]`:                        no,
		`["and", ["not", true]]`:         "",
		`["and"]`:                        "",
		`["or"]`:                         no,
		`["or", "", [], "$nothing"]`:     "",
		`["or", 0, {}, ["=", 1, 2]]`:     no,
		`["or", ["<", 1, "x"], true]`:    raises,
		`["nand", 1]`:                    raises,
		`"=aa"`:                          "",
		`"=ab"`:                          no,
		`["=", "$host", "h"`:             raises,
		`5`:                              raises,
		`[["=", 1, 1]]`:                  raises,
		`["=", [], true]`:                "",
		`["=", ["not", 1], ["not", 2]]`:  "",
		`[">", ["not", 0], ["not", 2]]`:  "",
		`["<=", "$limits", "$limits"]`:   raises,
		`["=", "$limits", {}]`:           "",
		`["in", NaN, 1, NaN]`:            "",
		`["=", NaN, NaN]`:                no,
		`["or", ["=", "$stats.x.y", 1]]`: no,
	} {
		r := &scheduler.Request{Spec: &scheduler.RequestSpec{Hints: map[string][]string{"query": {query}}}}
		got := ask(t, "JsonFilter", scheduler.Options{}, r, h)
		if want == no {
			want = "hint query " + query + " is not true of the host"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	r := &scheduler.Request{Spec: &scheduler.RequestSpec{Hints: map[string][]string{"query": {`["not", 0]`, `[]`}}}}
	if got := ask(t, "JsonFilter", scheduler.Options{}, r, h); got != raises {
		t.Errorf("two queries: %q", got)
	}
}

// FuzzQuery holds that a query has one answer, that not flips it, and that a
// conjunction with itself changes nothing.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		`["and", [">=", "$free_ram_mb", 1024], ["=", "$hypervisor_type", "QEMU"]]`, `["not", ["in", "$stats.a", 1, "b"]]`, `"=aa"`, `[null]`,
	} {
		f.Add(s)
	}
	h := &scheduler.HostState{Host: "h", FreeRAMMiB: 2048, HypervisorType: "QEMU", Stats: map[string]any{"a": "b"}}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := pyvalue.ParseJSON(text)
		if err != nil || len(q.List()) == 0 {
			return
		}
		v, err := evaluate(q, h)
		word := func(command string, items ...pyvalue.Value) pyvalue.Value {
			return pyvalue.OfList(append([]pyvalue.Value{pyvalue.OfText(command)}, items...))
		}
		flipped, flipErr := evaluate(word("not", q), h)
		twice, twiceErr := evaluate(word("and", q, q), h)
		if (err == nil) != (flipErr == nil) || (err == nil) != (twiceErr == nil) {
			t.Fatalf("%s: %v, not: %v, and: %v", text, err, flipErr, twiceErr)
		}
		if err == nil && (v.IsNone() || flipped.List()[0].True() == v.True() || twice.True() != v.True()) {
			t.Errorf("%s is %v, not: %v, and: %v", text, v, flipped, twice)
		}
	})
}
