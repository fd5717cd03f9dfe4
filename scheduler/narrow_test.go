package scheduler_test

import (
	"errors"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// worn drops the first candidate of a host each time it is asked, as long as
// there are others, and refuses hosts without any.
type worn struct{ most }

func (worn) Narrows(*scheduler.RequestSpec) bool { return true }

func (worn) Narrow(_ *scheduler.Request, h *scheduler.HostState) ([]scheduler.Candidate, scheduler.Reason, error) {
	if len(h.Candidates) < 2 {
		return nil, scheduler.Reason{Why: "worn out"}, nil
	}
	return h.Candidates[1:], scheduler.Reason{}, nil
}

// TestNarrow lets a filter take candidates away: each instance finds what the
// one before left of them, and the next request all.
func TestNarrow(t *testing.T) {
	t.Parallel()
	list := hosts("a:2 b:1")
	list[0].Candidates, list[1].Candidates = make([]scheduler.Candidate, 2), make([]scheduler.Candidate, 4)
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: []scheduler.Filter{worn{most{n: 9}}}, Weighers: ram(false), MaxAttempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	set := p.NewHostSet(list)
	for _, c := range []struct {
		instances []string
		want      string
	}{
		{[]string{"1"}, "a"},
		{[]string{"1", "2"}, "a b"},
		{[]string{"1", "2", "3"}, "a b b"},
		{[]string{"1", "2", "3", "4"}, ""},
		{[]string{"1"}, "a"},
	} {
		spec := &scheduler.RequestSpec{Instances: c.instances}
		got, err := p.Select(&scheduler.Query{Spec: spec, Hosts: list}, nil)
		if pick(got) != c.want || (c.want == "") != errors.Is(err, scheduler.ErrNoValidHost) {
			t.Errorf("%d instances: %q, %v; want %q", len(c.instances), pick(got), err, c.want)
		}
		got, err = set.Select(spec, time.Time{}, nil)
		if pick(got) != c.want || (c.want == "") != errors.Is(err, scheduler.ErrNoValidHost) {
			t.Errorf("%d instances, from a set: %q, %v; want %q", len(c.instances), pick(got), err, c.want)
		}
	}
	if len(list[0].Candidates) != 2 || len(list[1].Candidates) != 4 {
		t.Errorf("the query's hosts have %d and %d candidates left", len(list[0].Candidates), len(list[1].Candidates))
	}
}
