package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/kilonova-cloud/kilonova/bench/chart"
)

// tableRow is one line of a table with floors and goals.
type tableRow struct {
	what        string
	floor, goal float64
	less        bool   // less is better
	format      string // of measured, floor and goal
	value       func(figures) float64
	beside      func(figures) string
}

func httpTable(out *bytes.Buffer, f figures) { writeRows(out, httpRows, f) }

// writeRows writes a table.
func writeRows(out *bytes.Buffer, rows []tableRow, f figures) {
	out.WriteString("| what | measured | beside it | floor | goal | met |\n|---|---|---|---|---|---|\n")
	for _, r := range rows {
		v := r.value(f)
		_, _ = fmt.Fprintf(out, "| %s | "+r.format+" | %s | "+r.format+" | "+r.format+" | %s |\n", r.what, v, r.beside(f), r.floor, r.goal, r.met(v))
	}
}

// met says what a value is up to. A value that was not measured meets nothing.
func (r *tableRow) met(v float64) string {
	reaches := func(mark float64) bool { return v > 0 && (v >= mark) != r.less || v == mark }
	switch {
	case reaches(r.goal):
		return "goal"
	case reaches(r.floor):
		return "floor"
	}
	return "no"
}

const (
	ours, reference = "/ours ", "/reference "
	cpu             = "cpu-ms/req"
)

// measured is a figure of ours.
func measured(what, unit string) func(figures) float64 {
	return func(f figures) float64 { return f.median("HTTP/" + what + ours + unit) }
}

// ratio is how many times the processor time of ours the reference needs.
func ratio(what string) func(figures) float64 {
	return func(f figures) float64 {
		return f.median("HTTP/"+what+reference+cpu) / f.median("HTTP/"+what+ours+cpu)
	}
}

// both are the processor times of a ratio.
func both(what string) func(figures) string {
	return func(f figures) string {
		return fmt.Sprintf("CPU %.4g ms, reference %.4g ms", f.median("HTTP/"+what+ours+cpu), f.median("HTTP/"+what+reference+cpu))
	}
}

// rate is what the reference does of what ours does.
func rate(what string) func(figures) string {
	return func(f figures) string {
		return fmt.Sprintf("reference %.3g/s; CPU %.0fx", f.median("HTTP/"+what+reference+"req/s"), ratio(what)(f))
	}
}

var httpRows = []tableRow{
	{what: "candidates, 10 k flat hosts, limit 10, 10 connections", floor: 8e3, goal: 15e3, format: "%.0f/s", value: measured("candidates-10k-limit-10", "req/s"), beside: rate("candidates-10k-limit-10")},
	{what: "the same, limit 100", floor: 3e3, goal: 5e3, format: "%.0f/s", value: measured("candidates-10k-limit-100", "req/s"), beside: rate("candidates-10k-limit-100")},
	{what: "the same, limit 1000", floor: 400, goal: 700, format: "%.0f/s", value: measured("candidates-10k-limit-1000", "req/s"), beside: rate("candidates-10k-limit-1000")},
	{what: "candidates, no limit, 1,000 flat hosts, ratio of CPU", floor: 150, goal: 500, format: "%.0fx", value: ratio("candidates-1k-nolimit"), beside: both("candidates-1k-nolimit")},
	{what: "candidates, no limit, 1,000 nested trees, ratio of CPU", floor: 100, goal: 300, format: "%.0fx", value: ratio("candidates-1k-trees-nolimit"), beside: both("candidates-1k-trees-nolimit")},
	{what: "candidates, limit 1, 10 k flat hosts, ratio of CPU", floor: 10e3, goal: 50e3, format: "%.0fx", value: ratio("candidates-10k-limit-1"), beside: both("candidates-10k-limit-1")},
	{what: "PUT allocations, durable, 64 connections", floor: 4e3, goal: 7e3, format: "%.0f/s", value: measured("put-allocations", "req/s"), beside: rate("put-allocations")},
	{what: "claim cycle (candidates limit 10, then PUT), 10 k flat hosts, 10 connections, ratio of CPU", floor: 2e3, goal: 5e3, format: "%.0fx", value: ratio("claim-cycle-10k"), beside: both("claim-cycle-10k")},
	{what: "8 children of 8 units, 8 groups, limit 10, median", floor: 5, goal: 0.3, less: true, format: "%.3g ms", value: measured("wide-limit-10", "p50-ms"), beside: nothing},
	{what: "resident memory, 10 k hosts, 100 k consumers with three allocations each", floor: 400, goal: 150, less: true, format: "%.0f MiB", value: measured("memory-10k-hosts-100k-consumers", "MiB"), beside: nothing},
}

// httpPlot draws the processor time of a request, ours beside the reference.
func httpPlot(w io.Writer, f figures) error {
	var pairs []chart.Pair
	for _, what := range []string{
		"put-allocations", "claim-cycle-10k", "candidates-10k-limit-1", "candidates-10k-limit-10", "candidates-10k-limit-100",
		"candidates-10k-limit-1000", "candidates-1k-nolimit", "candidates-1k-trees-nolimit",
	} {
		pairs = append(pairs, chart.Pair{Name: what, A: f.median("HTTP/" + what + ours + cpu), B: f.median("HTTP/" + what + reference + cpu)})
	}
	return chart.SideBySide(w, "svg", chart.Comparison{
		Title: "Processor time of a request, database included", Unit: "ms, logarithmic",
		A: "kilonova", B: "OpenStack Placement on MariaDB", Pairs: pairs,
	})
}
