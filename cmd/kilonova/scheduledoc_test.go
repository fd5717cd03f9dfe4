package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/document"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

// TestScheduleExamples holds the examples to the answers beside them.
func TestScheduleExamples(t *testing.T) {
	t.Parallel()
	inputs, err := filepath.Glob("../../examples/schedule/*.json")
	if err != nil || len(inputs) < 4 {
		t.Fatalf("%d examples, %v", len(inputs), err)
	}
	for _, input := range inputs {
		want, err := os.ReadFile(strings.TrimSuffix(input, ".json") + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := call(t, "schedule", "--explain", "--input", input); got != string(want) {
			t.Errorf("%s: got\n%s\nwant\n%s", input, got, want)
		}
	}
}

// example is a worked example of docs/scheduling.md.
type example struct {
	name, want   string
	hosts        []map[string]any
	spec, config map[string]any
}

func readExamples(t *testing.T, text string) []example {
	t.Helper()
	var list []example
	for _, block := range strings.Split(text, "```example\n")[1:] {
		block, _, _ := strings.Cut(block, "\n```")
		e := example{spec: map[string]any{}, config: map[string]any{}}
		lines := bufio.NewScanner(strings.NewReader(block))
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), " ")
			var err error
			switch key {
			case "host":
				host := map[string]any{}
				err = json.Unmarshal([]byte(value), &host)
				e.hosts = append(e.hosts, host)
			case "spec":
				err = json.Unmarshal([]byte(value), &e.spec)
			case "config":
				err = json.Unmarshal([]byte(value), &e.config)
			case "reason", "totals":
				e.want = value
			default:
				e.name = key
			}
			if err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
		}
		list = append(list, e)
	}
	return list
}

// answer decides the example with nothing but its filter or weigher.
func (e *example) answer(t *testing.T, isFilter bool) string {
	t.Helper()
	e.config["filter_scheduler.enabled_filters"], e.config["filter_scheduler.weight_classes"] = []string{}, []string{e.name}
	for i, h := range e.hosts {
		h["host"] = "h" + strconv.Itoa(i)
	}
	if isFilter {
		e.config["filter_scheduler.enabled_filters"], e.config["filter_scheduler.weight_classes"] = []string{e.name}, []string{}
		e.hosts[0]["host"] = "h"
	}
	text, err := json.Marshal(map[string]any{"hosts": e.hosts, "spec": e.spec, "config": e.config})
	if err != nil {
		t.Fatal(err)
	}
	files, err := oslocfg.Read()
	if err != nil {
		t.Fatal(err)
	}
	answer, _, err := (&documentScheduler{files: files}).decide(text)
	if err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	if isFilter {
		return answer.Filters[0].Rejected["h"]
	}
	slices.SortFunc(answer.Weights, func(a, b document.HostWeight) int { return strings.Compare(a.Host, b.Host) })
	var totals []string
	for _, w := range answer.Weights {
		totals = append(totals, strconv.FormatFloat(float64(w.Total), 'f', -1, 64))
	}
	return strings.Join(totals, " ")
}

func defaultOptions(t *testing.T) *scheduler.Options {
	t.Helper()
	files, err := oslocfg.Read()
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := schedulerOptions(files)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestSchedulingDoc holds docs/scheduling.md to the filters and weighers that
// there are, and its examples to what they say.
func TestSchedulingDoc(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/scheduling.md")
	if err != nil {
		t.Fatal(err)
	}
	isFilter := map[string]bool{"NUMATopologyFilter": true, "PciPassthroughFilter": true}
	for _, c := range filter.Builtin() {
		isFilter[c.Name] = true
	}
	isWeigher := map[string]bool{}
	weighers := append(weigh.Builtin(), pack.Builtin(pack.NewFragments(&pack.Mix{}))...)
	for _, c := range weighers {
		isWeigher[c.Name] = true
	}
	names := map[string]bool{"AllHostsFilter": true} // rejects nobody
	for _, e := range readExamples(t, string(doc)) {
		if !isFilter[e.name] && !isWeigher[e.name] { // not in this binary
			continue
		}
		names[e.name] = true
		if got := e.answer(t, isFilter[e.name]); got != e.want || got == "" {
			t.Errorf("%s: says %q, docs/scheduling.md %q", e.name, got, e.want)
		}
	}
	documented := func(name, in string) {
		if row := fmt.Sprintf("\n| `%s` | ", name); !names[name] || !strings.Contains(string(doc), row) {
			t.Errorf("docs/scheduling.md has no row or example of %s in its %s", name, in)
		}
	}
	for name := range isFilter {
		documented(name, "filters")
	}
	for _, c := range weighers {
		documented(c.Name, "weighers")
		m, _ := strings.CutSuffix(c.New(defaultOptions(t)).Multiplier().Key, "_weight_multiplier")
		if row := fmt.Sprintf("`%s_weight_multiplier` (", m); m != "metrics" && !strings.Contains(string(doc), row) {
			t.Errorf("docs/scheduling.md has no multiplier %s of %s", m, c.Name)
		}
	}
}
