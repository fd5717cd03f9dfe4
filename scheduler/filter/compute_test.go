package filter

import (
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

func TestCompute(t *testing.T) {
	t.Parallel()
	f, err := newCompute(&scheduler.Options{ServiceDownTime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		service scheduler.Service
		ago     time.Duration
		want    string
	}{
		{scheduler.Service{}, 0, ""},
		{scheduler.Service{}, time.Minute, ""},
		{scheduler.Service{}, -time.Minute, ""},
		{scheduler.Service{}, time.Minute + time.Millisecond, "service reported 60.001 s ago, allowed are 60 s"},
		{scheduler.Service{}, -61 * time.Second, "service reported -61 s ago, allowed are 60 s"},
		{scheduler.Service{ForcedDown: true}, 0, "service is forced down"},
		{scheduler.Service{Disabled: true, ForcedDown: true}, 0, "service is disabled"},
	} {
		c.service.LastReport = now.Add(-c.ago)
		h := &scheduler.HostState{Service: c.service}
		reason, err := f.Pass(&scheduler.Request{Now: now}, h)
		if got := reason.String(); err != nil || got != c.want {
			t.Errorf("%+v, %v ago: %q, %v; want %q", c.service, c.ago, got, err, c.want)
		}
		first, last := f.(scheduler.Windowed).Window(h)
		if open := first <= now.UnixNano() && now.UnixNano() <= last; open != (c.want == "") {
			t.Errorf("%+v, %v ago: window is open: %v", c.service, c.ago, open)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	o := &scheduler.Options{EnabledFilters: []string{"ComputeFilter", "ComputeFilter"}}
	if list, err := Choose(o); err != nil || len(list) != 2 || list[1].Name() != "ComputeFilter" {
		t.Errorf("%v, %v", list, err)
	}
	o.EnabledFilters = []string{"Compute"}
	if _, err := Choose(o); err == nil {
		t.Error("an unknown name is chosen")
	}
	for _, c := range Builtin() {
		f, err := c.New(&scheduler.Options{})
		if err != nil || f.Name() != c.Name {
			t.Errorf("%s: %v, %v", c.Name, f, err)
		}
	}
}
