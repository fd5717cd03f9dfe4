package main

import (
	"bytes"
	"fmt"
)

func cellsTable(out *bytes.Buffer, f figures) { writeRows(out, cellsRows, f) }

var cellsRows = []tableRow{
	pageRow("by created_at (newest first), the first page", "by=created_at/from=0"),
	pageRow("the same, from the middle on", "by=created_at/from=50000"),
	pageRow("by vm_state and display_name, which no index serves", "by=vm_state,display_name/from=0"),
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
