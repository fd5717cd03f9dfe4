package main

import (
	"bytes"
	"fmt"
)

// row is one line of the table.
type row struct {
	what, floor, goal string
	value             func(figures) string
	beside            func(figures) string // peer or roofline of the same run
}

func placementTable(out *bytes.Buffer, f figures) {
	out.WriteString("| what | measured | beside it, same run | floor | goal |\n|---|---|---|---|---|\n")
	for _, r := range rows {
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", r.what, r.value(f), r.beside(f), r.floor, r.goal)
	}
}

// perSecond turns nanoseconds a piece into thousands a second.
func perSecond(key string) func(figures) string {
	return func(f figures) string { return fmt.Sprintf("%.0f k/s", 1e6/f.median(key)) }
}

func plain(format, key string, scale float64) func(figures) string {
	return func(f figures) string { return fmt.Sprintf(format, f.median(key)*scale) }
}

func quotient(format, over, under string) func(figures) string {
	return func(f figures) string { return fmt.Sprintf(format, f.median(over)/f.median(under)) }
}

func nothing(figures) string { return "" }

var rows = []row{
	{
		"candidates(limit 1) + claim + release, 10 k hosts, CPU of one core", "150 k/s", "400 k/s",
		perSecond("Hot/10000 cpu-ns/op"), perSecond("Roofline/10000 cpu-ns/op"),
	},
	{
		"the same at 1 M hosts and 9 M allocations", "80 k/s", "250 k/s",
		perSecond("Hot/1000000 cpu-ns/op"), perSecond("Roofline/1000000 cpu-ns/op"),
	},
	{
		"growth of its CPU cost, 1 k to 1 M hosts", "5x", "2.5x",
		quotient("%.1fx", "Hot/1000000 cpu-ns/op", "Hot/1000 cpu-ns/op"), quotient("roofline %.1fx", "Roofline/1000000 cpu-ns/op", "Roofline/1000 cpu-ns/op"),
	},
	{
		"durable claims, 256 in flight, ratio to a synced Badger transaction per claim, 256 in flight", "20x", "60x",
		plain("%.1fx", "DurableClaims ratio", 1), func(f figures) string {
			return fmt.Sprintf("%.0f k/s against %.1f k/s", f.median("DurableClaims claims/s")/1e3, f.median("DurableClaims badger-txn/s")/1e3)
		},
	},
	{
		"the same, ratio to one transaction after the other", "", "",
		plain("%.1fx", "DurableClaims ratio-to-single", 1), plain("%.1f k/s", "DurableClaims badger-single-txn/s", 1e-3),
	},
	{
		"one durable claim alone, over one fdatasync", "+300 us", "+30 us",
		plain("+%.0f us", "DurableOne us-over", 1), plain("fdatasync %.0f us", "DurableOne us/fdatasync", 1),
	},
	{
		"8 children of 1 unit, 8 isolated groups (40,320 combinations), limit 10", "1 ms", "50 us",
		plain("%.0f us", "Wide/isolate cpu-ns/op", 1e-3), nothing,
	},
	{
		"8 children of 8 units, group_policy none (16.7 M combinations), limit 10", "1 ms", "50 us",
		plain("%.0f us", "Wide/none cpu-ns/op", 1e-3), nothing,
	},
	{
		"unlimited candidates at 10 k flat hosts, per candidate", "1 us", "200 ns",
		plain("%.0f ns", "Unlimited cpu-ns/candidate", 1), nothing,
	},
	{
		"memory per host (3 classes, 30 traits, 3 aggregates), live heap", "2 KiB", "512 B",
		plain("%.0f B", "Memory B/host", 1), nothing,
	},
	{
		"memory per allocation (a class on a provider)", "400 B", "160 B",
		plain("%.0f B", "Memory B/allocation", 1), plain("%.0f B a consumer with three", "Memory B/consumer", 1),
	},
	{
		"opening 1 M hosts and 2 M consumers (6 M allocations) from Badger", "30 s", "10 s",
		plain("%.1f s", "Open/1000000 s/open", 1), plain("%.2f s for a tenth", "Open/100000 s/open", 1),
	},
}
