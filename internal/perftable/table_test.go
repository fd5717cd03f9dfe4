package main

import (
	"bytes"
	"os"
	"testing"
)

// TestPageIsMadeFromTheData keeps docs/performance.md and the plot true to
// bench/results.
func TestPageIsMadeFromTheData(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, table := range tables {
		in, err := os.Open("../../bench/results/" + table.results)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		data, err := table.read(in)
		if err != nil {
			t.Fatal(err)
		}
		made, err := table.replace(page, data)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(made, page) {
			t.Errorf("docs/performance.md is not what bench/results/%s says: run perftable", table.results)
		}
		if table.plot == nil {
			continue
		}
		var plot bytes.Buffer
		if err := table.plot(&plot, data); err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile("../../docs/" + name + ".svg"); err != nil || !bytes.Equal(kept, plot.Bytes()) {
			t.Errorf("docs/%s.svg is not what bench/results/%s says: %v", name, table.results, err)
		}
	}
}

func TestMet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		less bool
		v    float64
		want string
	}{
		{false, 10, "goal"},
		{false, 9, "floor"},
		{false, 5, "floor"},
		{false, 4, "no"},
		{false, 0, "no"},
		{true, 5, "goal"},
		{true, 4, "goal"},
		{true, 7, "floor"},
		{true, 10, "floor"},
		{true, 11, "no"},
		{true, 0, "no"},
	} {
		r := tableRow{floor: 5, goal: 10}
		if c.less {
			r = tableRow{floor: 10, goal: 5, less: true}
		}
		if got := r.met(c.v); got != c.want {
			t.Errorf("%v, less is better %v: %s, want %s", c.v, c.less, got, c.want)
		}
	}
}
