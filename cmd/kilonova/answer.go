package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/scheduler/document"
)

// answerRows is the form of an answer for people.
func answerRows(a *document.Answer, explain bool) []bench.Row {
	var rows []bench.Row
	add := func(name, format string, args ...any) {
		rows = append(rows, bench.Row{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	for _, s := range a.Selected {
		add("instance "+s.Instance, "%s, alternates: %s", s.Host, cmp.Or(strings.Join(s.Alternates, ", "), "none"))
	}
	if a.Error != nil {
		add("error", "%s: %s", a.Error.Code, a.Error.Message)
		for _, near := range a.Error.Nearest {
			add("nearest "+near.Host, "%s", near.Reason)
		}
	}
	if !explain {
		return rows
	}
	filters := a.Filters
	if a.Demands != nil {
		filters = slices.Insert(slices.Clone(filters), 0, *a.Demands)
	}
	for _, f := range filters {
		add(f.Name, "%d of %d hosts are left", f.After, f.Before)
		for _, host := range slices.Sorted(maps.Keys(f.Rejected)) {
			add("  "+host, "%s", f.Rejected[host])
		}
	}
	for _, w := range a.Weights {
		add("weight of "+w.Host, "%v", float64(w.Total))
		for _, name := range slices.Sorted(maps.Keys(w.Weighers)) {
			of := w.Weighers[name]
			if of.Weighted == 0 {
				continue
			}
			add("  "+name, "%v = %v x %v (raw %v)", float64(of.Weighted), float64(of.Multiplier), float64(of.Normalized), float64(of.Raw))
		}
	}
	return rows
}
