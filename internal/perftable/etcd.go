package main

import (
	"bytes"
	"fmt"
	"slices"
)

// etcdTable leaves out what was not measured.
func etcdTable(out *bytes.Buffer, f figures) {
	writeRows(out, slices.DeleteFunc(slices.Clone(etcdRows), func(r tableRow) bool { return r.value(f) == 0 }), f)
}

func medianOf(key string) func(figures) float64 {
	return func(f figures) float64 { return f.median(key) }
}

// claimsBeside tells the two rates that a ratio is of.
func claimsBeside(name string) func(figures) string {
	return func(f figures) string {
		return fmt.Sprintf("%.0f claims/s, %.0f puts/s", f.median(name+" claims/s"), f.median(name+" puts/s"))
	}
}

var etcdRows = []tableRow{
	{"claims, 256 in flight, 1,000 hosts, ratio to single puts with 256 in flight", 2, 5, false, "%.2fx", medianOf("Claims/1000 ratio"), claimsBeside("Claims/1000")},
	{"the same with all claims on 16 hosts", 1, 3, false, "%.2fx", medianOf("Claims/16 ratio"), claimsBeside("Claims/16")},
	{
		"added staleness of a reader behind a writer at 1,000 claims/s, p99", 100, 15, true, "%.1f ms", medianOf("Staleness ms-p99"),
		func(f figures) string {
			return fmt.Sprintf("median %.1f ms, %.0f claims/s", f.median("Staleness ms-p50"), f.median("Staleness claims/s"))
		},
	},
	{
		"candidates per CPU second with four callers, four engines, ratio to one", 1, 1, false, "%.3fx", medianOf("Engines ratio"),
		func(f figures) string {
			return fmt.Sprintf("%.0f k/s, %.0f k/s", f.median("Engines four/cpu-s")/1e3, f.median("Engines one/cpu-s")/1e3)
		},
	},
	{
		"start-up with 100 k hosts and 1 M allocations", 60, 15, true, "%.1f s", medianOf("Open s/open"),
		func(f figures) string { return fmt.Sprintf("%.1f s of CPU", f.median("Open cpu-s/open")) },
	},
}
