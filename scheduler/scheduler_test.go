package scheduler

import (
	"testing"
	"time"
)

func TestReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		reason Reason
		want   string
	}{
		{Reason{}, ""},
		{Reason{Why: "plain 100%"}, "plain 100%"},
		{Reason{Why: "%t has %h, asked for %w, 10 %%", Have: 1.5, Want: 20, Text: "RAM"}, "RAM has 1.5, asked for 20, 10 %"},
		{Reason{Why: "%o is %a, the host has %t of %w", Text: "x", Asked: "y", Of: "z", Want: 7002000}, "z is y, the host has x of 7002000"},
	} {
		if got := c.reason.String(); got != c.want || c.reason.Passes() != (c.want == "") {
			t.Errorf("%q, passes: %v; want %q", got, c.reason.Passes(), c.want)
		}
	}
}

func TestMultiplier(t *testing.T) {
	t.Parallel()
	m := Multiplier{Value: 2, Key: "k"}
	for _, c := range []struct {
		values []string
		want   float64
	}{
		{nil, 2},
		{[]string{"3"}, 3},
		{[]string{"3", "-1.5", "7"}, -1.5},
		{[]string{"3", "x"}, 2},
		{[]string{"3", ""}, 2},
	} {
		h := HostState{Aggregates: []Aggregate{{Metadata: map[string]string{"other": "9"}}}}
		for _, v := range c.values {
			h.Aggregates = append(h.Aggregates, Aggregate{Metadata: map[string]string{"k": v}})
		}
		negated := Multiplier{Value: 2, Key: "k", Negate: true}
		if got, minus := m.For(&h), negated.For(&h); got != c.want || minus != -c.want {
			t.Errorf("%q: %v and %v, want %v", c.values, got, minus, c.want)
		}
	}
}

func TestMembersOn(t *testing.T) {
	t.Parallel()
	h := &HostState{Instances: map[string]Instance{"a": {}, "b": {}, "c": {}}}
	spec := &RequestSpec{Group: &Group{Members: []string{"a", "c", "c", "d"}}}
	for _, r := range []*Request{{Spec: spec}, {Spec: spec, members: map[string]struct{}{"a": {}, "c": {}, "d": {}}}} {
		if n := r.MembersOn(h); n != 2 {
			t.Errorf("%d members, want 2", n)
		}
	}
	if n := (&Request{Spec: &RequestSpec{}}).MembersOn(h); n != 0 {
		t.Errorf("%d members of no group", n)
	}
}

func TestUp(t *testing.T) {
	t.Parallel()
	at := time.Unix(100, 0)
	up := Service{LastReport: at}
	if first, last := up.Up(time.Minute); first != 40e9 || last != 160e9 {
		t.Errorf("up from %d to %d", first, last)
	}
	down := Service{LastReport: at, ForcedDown: true}
	if first, last := down.Up(time.Minute); first <= last {
		t.Errorf("forced down, but up from %d to %d", first, last)
	}
}
