package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/kilonova-cloud/kilonova/bench/chart"
)

func cellsTable(out *bytes.Buffer, f figures) {
	writeRows(out, cellsRows, f)
	mappingsTable(out, f)
}

var cellsRows = []tableRow{
	pageRow("by created_at (newest first), the first page", "by=created_at/from=0"),
	pageRow("the same, from the middle on", "by=created_at/from=50000"),
	pageRow("by vm_state and display_name, for which the tables grow an index", "by=vm_state,display_name/from=0"),
}

// pageRow is a page over four cells, with a single table and a hundred cells
// beside it.
func pageRow(what, name string) tableRow {
	cpu := func(f figures, of string) float64 { return f.median("Page/" + name + "/" + of + " cpu-ms/op") }
	return tableRow{
		what, 20, 4, true, "%.1f ms", func(f figures) float64 { return cpu(f, "cells=4") },
		func(f figures) string {
			return fmt.Sprintf("one table %.1f ms, 100 cells %.1f ms", cpu(f, "one-table"), cpu(f, "cells=100"))
		},
	}
}

// mappingSizes are how many instances the API database maps.
var mappingSizes = []int{10_000, 100_000, 1_000_000}

// mappingKey names a figure of an API database of a size.
func mappingKey(size int, unit string) string { return fmt.Sprintf("Mappings/%d %s", size, unit) }

// mappingsPlot draws what it costs to look mappings up, by how many there are.
func mappingsPlot(w io.Writer, f figures) error {
	g := chart.Growth{Title: "Looking up instance mappings in 100 cells", X: "instance mappings", Y: "microseconds"}
	for _, r := range []struct{ name, unit string }{
		{"the cell of an instance", "get-us"},
		{"100 after any one, by UUID", "uuid-us"},
		{"the newest 100 of a project of 1,000", "project-newest-us"},
		{"100 of a cell, by project and time", "cell-by-project-us"},
	} {
		for _, n := range mappingSizes {
			g.Add(r.name, float64(n), f.median(mappingKey(n, r.unit)))
		}
	}
	return g.Draw(w, "svg")
}

// mappingsTable is what the API database costs by its size.
func mappingsTable(out *bytes.Buffer, f figures) {
	out.WriteString("\n| instance mappings, 100 cells | 10 k | 100 k | 1 M |\n|---|---|---|---|\n")
	for _, r := range []struct{ what, format, unit string }{
		{"the cell of an instance", "%.1f us", "get-us"},
		{"100 after any one, by UUID", "%.0f us", "uuid-us"},
		{"the newest 100 of a project of 1,000", "%.0f us", "project-newest-us"},
		{"100 of a cell, by project and time", "%.0f us", "cell-by-project-us"},
		{"memory allocated for a page", "%.0f KiB", "KiB/page"},
		{"map an instance", "%.0f us", "map-us"},
		{"memory of a mapping", "%.0f B", "B/mapping"},
		{"load all of them, processor time", "%.1f s", "open-cpu-s"},
	} {
		_, _ = fmt.Fprintf(out, "| %s |", r.what)
		for _, n := range mappingSizes {
			_, _ = fmt.Fprintf(out, " "+r.format+" |", f.median(mappingKey(n, r.unit)))
		}
		out.WriteString("\n")
	}
}
