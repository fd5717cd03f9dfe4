package scheduler_test

import (
	"strconv"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestReports(t *testing.T) {
	t.Parallel()
	r := scheduler.NewReports(3)
	add := func(id, instance string) {
		r.Add(scheduler.Report{Request: id, Selected: []scheduler.Selection{{Instance: instance}}})
	}
	for i := range 5 {
		add(strconv.Itoa(i), "first")
	}
	add("3", "second")
	add("", "none")
	for id, want := range map[string]string{"0": "", "1": "", "2": "", "3": "second", "4": "first", "": "none"} {
		got := ""
		report, has := r.Get(id)
		if has {
			got = report.Selected[0].Instance
		}
		if got != want || has && report.Request != id {
			t.Errorf("report of %q is %q, want %q", id, got, want)
		}
	}
}
