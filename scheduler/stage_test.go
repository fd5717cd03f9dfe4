package scheduler_test

import (
	"fmt"
	"reflect"
	"strconv"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// TestStage refuses many hosts for two reasons, and keeps the nearest misses.
func TestStage(t *testing.T) {
	t.Parallel()
	s := scheduler.NewStage("memory")
	const hosts, most = 10_000, 100
	for i := range hosts {
		r := scheduler.Rejection{Host: strconv.Itoa(i), Reason: scheduler.Reason{Why: "lacks %o: %h free, %w asked for", Have: float64(i * 7 % hosts), Want: hosts, Of: "MEMORY_MB"}}
		if i%4 == 3 {
			r.Reason = scheduler.Reason{Why: "is off"}
		}
		s.Reject(r)
	}
	got := s.Result(5)
	if got.Name != "memory" || got.Before != hosts+5 || got.After != 5 || len(got.Rejected) != most {
		t.Errorf("%s: %d, %d, %d kept", got.Name, got.Before, got.After, len(got.Rejected))
	}
	if want := []scheduler.ReasonCount{{"lacks MEMORY_MB: … free, 10000 asked for", 7500}, {"is off", 2500}}; !reflect.DeepEqual(got.Reasons, want) {
		t.Errorf("%v, want %v", got.Reasons, want)
	}
	last := float64(hosts)
	for _, r := range got.Rejected {
		if r.Reason.Why == "is off" || r.Reason.Have > last || r.Reason.Have < hosts-2*most {
			t.Errorf("%s is kept after %v: %s", r.Host, last, r.Reason.String())
		}
		last = r.Reason.Have
	}
}

// TestReportsAreBounded keeps a report of many hosts, and does not write to
// the caller's.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	const hosts, most = 1000, 100
	var rejected []scheduler.Rejection
	weights := make([]scheduler.HostWeight, hosts)
	for i := range hosts {
		rejected = append(rejected, scheduler.Rejection{Host: fmt.Sprint("h", i), Reason: scheduler.Reason{Why: "has %h of %w", Have: float64(i), Want: hosts}})
	}
	r := scheduler.NewReports(2)
	given := scheduler.Explanation{Filters: []scheduler.FilterResult{{Name: "F", Before: hosts + 1, After: 1, Rejected: rejected}}, Weights: weights}
	r.Add(scheduler.Report{Request: "r", Explanation: given})
	report, _ := r.Get("r")
	f := report.Explanation.Filters[0]
	if len(f.Rejected) != most || f.Rejected[0].Host != "h999" || f.Before != hosts+1 || f.After != 1 || len(report.Explanation.Weights) != most ||
		!reflect.DeepEqual(f.Reasons, []scheduler.ReasonCount{{"has … of 1000", hosts}}) {
		t.Errorf("kept: %d of %d to %d, first %v, %d weights, %v", len(f.Rejected), f.Before, f.After, f.Rejected[0], len(report.Explanation.Weights), f.Reasons)
	}
	if len(given.Filters[0].Rejected) != hosts || given.Filters[0].Reasons != nil || given.Filters[0].Rejected[0].Host != "h0" {
		t.Error("the caller's explanation has changed")
	}
}
