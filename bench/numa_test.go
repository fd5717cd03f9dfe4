package bench

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench/trace"
)

func numaHostOf(vcpus, gib int64, rack int) trace.NUMAHost {
	return trace.NUMAHost{Cells: [trace.Cells]trace.Cell{{VCPUs: vcpus, GiB: gib}, {VCPUs: vcpus, GiB: gib}}, Rack: rack}
}

func numaReq(vcpus int64, cells int, rule trace.Rule, group, domain int) trace.NUMARequest {
	return trace.NUMARequest{Part: trace.Cell{VCPUs: vcpus, GiB: 2 * vcpus}, Cells: cells, Rule: rule, Group: group, Domain: domain}
}

// replayNUMA returns where the requests went: "1/0" is cell 0 of host 1.
func replayNUMA(t *testing.T, e testEngine, cfg NUMAConfig) ([]string, *NUMAReport) {
	t.Helper()
	cfg.Now = clock()
	report, err := ReplayNUMA(t.Context(), e, cfg)
	if err != nil {
		t.Fatalf("%v: %v", cfg.Policy, err)
	}
	out := places(t, e, len(cfg.Requests))
	for i := range out {
		out[i] = strings.NewReplacer("/1", "/0", "/2", "/1").Replace(out[i])
	}
	return out, report
}

func TestReplayNUMA(t *testing.T) {
	t.Parallel()
	hosts := []trace.NUMAHost{numaHostOf(4, 8, 0), numaHostOf(8, 16, 0), numaHostOf(4, 8, 1)}
	requests := []trace.NUMARequest{
		numaReq(2, 1, trace.NoRule, 0, 0),
		numaReq(2, 2, trace.Affinity, 0, 0),
		numaReq(2, 1, trace.Affinity, 0, 0), // with the one before
		numaReq(1, 1, trace.AntiAffinity, 0, 0),
		numaReq(1, 1, trace.AntiAffinity, 0, 0),
		numaReq(1, 1, trace.FaultDomain, 0, 1),
		numaReq(1, 1, trace.FaultDomain, 0, 2), // in the other rack
		numaReq(8, 1, trace.NoRule, 0, 0),
	}
	for _, c := range []struct {
		policy Policy
		want   string
		used   int
	}{
		{FirstFit, "0/0 0/0/1 0/1 1/0 2/0 1/0 2/0 1/1", 3},
		{BestFit, "0/0 0/0/1 0/1 2/0 1/0 2/0 1/0 1/1", 3},
		{WorstFit, "1/0 1/0/1 1/1 0/0 2/0 0/1 2/1 -", 3},
		{HostAge, "0/0 0/0/1 0/1 1/0 2/0 1/0 2/0 1/1", 3},
		{Lifetime, "0/0 0/0/1 0/1 2/0 1/0 2/0 1/0 1/1", 3},
		{FGD, "1/0 1/0/1 1/1 0/0 2/0 0/0 2/0 -", 3},
	} {
		for name, e := range engines(t) {
			got, report := replayNUMA(t, e, NUMAConfig{Hosts: hosts, Requests: requests, Policy: c.policy})
			if want := strings.Fields(c.want); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, %v: requests went to %v, want %v", name, c.policy, got, want)
			}
			if report.HostsUsed != c.used || report.Placed != 8-strings.Count(c.want, "-") || report.PlacedBound != 8 {
				t.Errorf("%s, %v: got %+v", name, c.policy, report)
			}
		}
	}
}

// TestReplayNUMATwins replays random worlds; the replay checks every rule and
// every refusal, and engines must agree.
func TestReplayNUMATwins(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 0))
		cfg := NUMAConfig{Seed: seed, Policy: Policy(seed % uint64(len(Policies())))}
		for range 2 + rng.IntN(6) {
			cfg.Hosts = append(cfg.Hosts, numaHostOf(rng.Int64N(9), rng.Int64N(17), rng.IntN(3)))
		}
		for range 40 {
			cfg.Requests = append(cfg.Requests, numaReq(1+rng.Int64N(4), 1+rng.IntN(2), trace.Rule(rng.IntN(4)), rng.IntN(3), rng.IntN(3)))
		}
		var first []string
		for name, e := range engines(t) {
			got, report := replayNUMA(t, e, cfg)
			if first == nil {
				first = got
			}
			if !reflect.DeepEqual(got, first) || report.Placed > report.PlacedBound {
				t.Errorf("seed %d, %v, %s: %v, another engine %v; %+v", seed, cfg.Policy, name, got, first, report)
			}
		}
	}
}

func TestCheckNUMA(t *testing.T) {
	t.Parallel()
	hosts := []trace.NUMAHost{numaHostOf(4, 8, 0), numaHostOf(4, 8, 0)}
	at := func(host int, cells ...bool) numaPlace {
		p := numaPlace{host: host}
		copy(p.cells[:], cells)
		return p
	}
	for _, c := range []struct {
		want     string // "": right
		requests []trace.NUMARequest
		places   []numaPlace
	}{
		{"", []trace.NUMARequest{numaReq(4, 2, trace.NoRule, 0, 0), numaReq(4, 1, trace.NoRule, 0, 0)}, []numaPlace{at(0, true, true), at(1, true)}},
		{"cell 0 of host 0 has {VCPUs:-1", []trace.NUMARequest{numaReq(5, 1, trace.NoRule, 0, 0)}, []numaPlace{at(0, true)}},
		{"is on 1 cells, asked for 2", []trace.NUMARequest{numaReq(2, 2, trace.NoRule, 0, 0)}, []numaPlace{at(0, true)}},
		{"of affinity group 3 are on hosts 0 and 1", []trace.NUMARequest{numaReq(1, 1, trace.Affinity, 3, 0), numaReq(1, 1, trace.Affinity, 3, 0)}, []numaPlace{at(0, true), at(1, true)}},
		{"of anti-affinity group 3 are on hosts 0 and 0", []trace.NUMARequest{numaReq(1, 1, trace.AntiAffinity, 3, 0), numaReq(1, 1, trace.AntiAffinity, 3, 0)}, []numaPlace{at(0, true), at(0, false, true)}},
		{"of fault_domain group 3 are on hosts 0 and 1", []trace.NUMARequest{numaReq(1, 1, trace.FaultDomain, 3, 1), numaReq(1, 1, trace.FaultDomain, 3, 2)}, []numaPlace{at(0, true), at(1, true)}},
		{"", []trace.NUMARequest{numaReq(1, 1, trace.FaultDomain, 3, 1), numaReq(1, 1, trace.FaultDomain, 3, 2)}, []numaPlace{at(0, true), at(-1)}},
		{"request 0 was refused, but host 0 may take it", []trace.NUMARequest{numaReq(4, 2, trace.NoRule, 0, 0)}, []numaPlace{at(-1)}},
	} {
		err := checkNUMA(hosts, c.requests, c.places)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v on %v: got %v, want %q", c.requests, c.places, err, c.want)
		}
	}
}

// TestNUMABound compares with trying all subsets of a group on every host.
func TestNUMABound(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		host := trace.NUMAHost{Cells: [trace.Cells]trace.Cell{{VCPUs: rng.Int64N(10), GiB: rng.Int64N(20)}, {VCPUs: rng.Int64N(10), GiB: rng.Int64N(20)}}}
		var group []trace.NUMARequest
		alike := rng.IntN(2) == 0
		for i := range 1 + rng.IntN(6) {
			q := numaReq(1+rng.Int64N(4), 1+rng.IntN(2), trace.Affinity, 0, 0)
			if alike && i > 0 {
				q = group[0]
			}
			group = append(group, q)
		}
		got, want := numaBound([]trace.NUMAHost{host}, group), mostOn(host.Cells, group)
		if got < want || alike && got != want {
			t.Errorf("seed %d: bound %d, %d of %v fit on %v", seed, got, want, group, host)
		}
	}
	if got := numaBound(nil, []trace.NUMARequest{numaReq(1, 1, trace.NoRule, 0, 0), numaReq(1, 1, trace.Affinity, 0, 0)}); got != 1 {
		t.Errorf("bound %d without hosts, want 1", got)
	}
}

// mostOn tries every way to put requests on a host.
func mostOn(free [trace.Cells]trace.Cell, group []trace.NUMARequest) int {
	if len(group) == 0 {
		return 0
	}
	q, most := group[0], mostOn(free, group[1:])
	for _, cells := range [][]int{{0}, {1}, {0, 1}} {
		left := free
		for _, c := range cells {
			left[c] = minus(left[c], q.Part)
		}
		if len(cells) == q.Cells && !slices.ContainsFunc(left[:], func(c trace.Cell) bool { return c.VCPUs < 0 || c.GiB < 0 }) {
			most = max(most, 1+mostOn(left, group[1:]))
		}
	}
	return most
}

// TestHuaweiNUMA holds the figures of one sequence of the real trace.
func TestHuaweiNUMA(t *testing.T) {
	t.Parallel()
	hosts, errHosts := trace.NUMAHosts()
	requests, errRequests := trace.NUMARequests("C2")
	if errHosts != nil || errRequests != nil {
		t.Fatal(errHosts, errRequests)
	}
	_, report := replayNUMA(t, engines(t)["engine"], NUMAConfig{Sequence: "C2", Hosts: hosts, Requests: requests, Policy: FGD})
	if report.Placed != report.PlacedBound || report.HostsUsed > 1312*95/100 { // best fit uses 1,312
		t.Errorf("got %+v, want all that is possible on 5 %% fewer hosts than best fit", report)
	}
	if fmt.Sprint(report.Rows()[4]) != "{requests placed 4728 of 4998, at most 4728 are possible}" {
		t.Errorf("rows are %v", report.Rows())
	}
}
