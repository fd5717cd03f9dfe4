package main

import (
	"bytes"
	"fmt"
)

func busTable(out *bytes.Buffer, f figures) { writeRows(out, busRows, f) }

var busRows = []tableRow{
	{
		"call, one at a time, over a bare amqp091 round trip with direct reply-to", 100, 30, true, "+%.0f us", medianOf("Call over-us"),
		func(f figures) string {
			return fmt.Sprintf("%.0f us, bare %.0f us", f.median("Call bus-us"), f.median("Call bare-us"))
		},
	},
	{
		"calls per second, 16 in flight, share of the bare client's rate", 60, 90, false, "%.0f %%", func(f figures) float64 { return 100 * f.median("Rate share") },
		func(f figures) string {
			return fmt.Sprintf("%.0f/s, bare %.0f/s", f.median("Rate bus/s"), f.median("Rate bare/s"))
		},
	},
}
