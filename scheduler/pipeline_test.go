package scheduler_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// most is a filter for hosts with fewer instances than a number.
type most struct {
	name  string
	n     int64
	scope scheduler.Scope
}

func (f most) Name() string                                 { return f.name }
func (most) Reads() scheduler.Reads                         { return scheduler.ReadsAllocations }
func (f most) Scope(*scheduler.RequestSpec) scheduler.Scope { return f.scope }
func (f most) Pass(_ *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if h.Host == "broken" {
		return scheduler.Reason{}, scheduler.ErrCannotEvaluate
	}
	if h.NumInstances < f.n {
		return scheduler.Reason{}, nil
	}
	return scheduler.Reason{Why: "%h instances, allowed are fewer than %w", Have: float64(h.NumInstances), Want: float64(f.n)}, nil
}

// score is a weigher of one field.
type score struct {
	of      func(r *scheduler.Request, h *scheduler.HostState) float64
	floored bool
	times   scheduler.Multiplier
}

func (score) Name() string                       { return "score" }
func (score) Reads() scheduler.Reads             { return scheduler.ReadsAllocations }
func (w score) Multiplier() scheduler.Multiplier { return w.times }
func (w score) Floor() (float64, bool)           { return 0, w.floored }
func (w score) Weigh(r *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	for i, h := range hosts {
		if h.Host == "raises" {
			return scheduler.ErrCannotEvaluate
		}
		raw[i] = w.of(r, h)
	}
	return nil
}

func freeRAM(_ *scheduler.Request, h *scheduler.HostState) float64 { return float64(h.FreeRAMMiB) }

func ram(floored bool) []scheduler.Weigher {
	return []scheduler.Weigher{score{freeRAM, floored, scheduler.Multiplier{Value: 1}}}
}

// hosts makes hosts of "name:free RAM[:instances[:cell]]".
func hosts(list string) []*scheduler.HostState {
	var made []*scheduler.HostState
	for text := range strings.FieldsSeq(list) {
		f := append(strings.Split(text, ":"), "", "", "")
		h := &scheduler.HostState{Host: f[0], Node: strings.ToLower(f[0]), Cell: f[3]}
		h.FreeRAMMiB, _ = scheduler.ParseInt(f[1])
		h.NumInstances, _ = scheduler.ParseInt(f[2])
		made = append(made, h)
	}
	return made
}

// pick returns "host,alternate,alternate host ..." of an answer.
func pick(selected []scheduler.Selection) string {
	var all []string
	for _, s := range selected {
		names := []string{s.Host.Host}
		for _, a := range s.Alternates {
			names = append(names, a.Host)
		}
		all = append(all, strings.Join(names, ","))
	}
	return strings.Join(all, " ")
}

func steps(why *scheduler.Explanation) string {
	var all []string
	if why.Demands.Name != "" {
		all = append(all, fmt.Sprintf("demands %d-%d", why.Demands.Before, why.Demands.After))
	}
	for _, f := range why.Filters {
		all = append(all, fmt.Sprintf("%s %d-%d", f.Name, f.Before, f.After))
	}
	return strings.Join(all, " ")
}

func TestSelect(t *testing.T) {
	t.Parallel()
	a := scheduler.Flavor{MemoryMiB: 100}
	few, once := most{"few", 2, 0}, most{"once", 2, scheduler.FirstInstance}
	for _, c := range []struct {
		name    string
		hosts   string
		spec    scheduler.RequestSpec // with one instance if it has none
		filters []scheduler.Filter
		want    string
		steps   string
	}{
		{"best first, alternates in order", "a:1 b:3 c:2 d:0", scheduler.RequestSpec{}, nil, "b,c,a", ""},
		{"ties in input order", "a:2 b:3 c:3", scheduler.RequestSpec{}, nil, "b,c,a", ""},
		{"alternates of the same cell", "a:4:0:x b:3:0:y c:2:0:x", scheduler.RequestSpec{}, nil, "a,c", ""},
		{"filters in order", "a:1:2 b:1:0 c:1:9", scheduler.RequestSpec{}, []scheduler.Filter{most{"wide", 5, 0}, few}, "b", "wide 3-2 few 2-1"},
		{"a filter that is listed twice", "a:1", scheduler.RequestSpec{}, []scheduler.Filter{few, few}, "a", "few 1-1 few 1-1"},
		{"every host passes", "a:1:9", scheduler.RequestSpec{}, []scheduler.Filter{most{"f", 1, scheduler.EveryHost}}, "a", "f 1-1"},
		{"consumption", "a:150 b:100", scheduler.RequestSpec{Flavor: a, Instances: []string{"1", "2"}}, nil, "a b", ""},
		{
			"the second instance starts from the order of the first", "a:100 b:150 c:1 d:1",
			scheduler.RequestSpec{Flavor: scheduler.Flavor{MemoryMiB: 50}, Instances: []string{"1", "2"}},
			nil, "b,a,c b,a,c", "",
		},
		{
			"a filter for the first instance only", "a:9:1 b:1:1",
			scheduler.RequestSpec{Instances: []string{"1", "2"}},
			[]scheduler.Filter{once},
			"a,b a,b", "once 2-2",
		},
		{
			"a filter for each instance", "a:9:1 b:1:1",
			scheduler.RequestSpec{Instances: []string{"1", "2"}},
			[]scheduler.Filter{few},
			"a b", "few 2-2",
		},
		{"ignored without case", "a:1 B:2", scheduler.RequestSpec{IgnoreHosts: []string{"b"}}, []scheduler.Filter{few}, "a", "demands 2-1 few 1-1"},
		{"forced without case, no filter asked", "a:1:9 B:2:9", scheduler.RequestSpec{ForceHosts: []string{"b"}}, []scheduler.Filter{few}, "B", "demands 2-1"},
		{"forced nodes with case", "A:1:9 B:2:9", scheduler.RequestSpec{ForceNodes: []string{"a", "B"}}, []scheduler.Filter{few}, "A", "demands 2-1"},
		{
			"ignored and forced", "a:1 b:2 c:3",
			scheduler.RequestSpec{IgnoreHosts: []string{"c"}, ForceHosts: []string{"a", "C"}},
			nil, "a", "demands 3-1",
		},
		{
			"forced, but checked", "a:1:9 b:2:0",
			scheduler.RequestSpec{ForceHosts: []string{"a", "b"}, Hints: map[string][]string{"_nova_check_type": {"live_migrate"}}},
			[]scheduler.Filter{few},
			"b", "demands 2-2 few 2-1",
		},
		{
			"rebuild asks only some filters", "a:1:9",
			scheduler.RequestSpec{Hints: map[string][]string{"_nova_check_type": {"rebuild"}}},
			[]scheduler.Filter{few, most{"image", 10, scheduler.OnRebuild}},
			"a", "few 1-1 image 1-1",
		},
		{
			"rebuild and another word is no rebuild", "a:1:9 b:1",
			scheduler.RequestSpec{Hints: map[string][]string{"_nova_check_type": {"rebuild", "x"}}},
			[]scheduler.Filter{few},
			"b", "few 2-1",
		},
		{"requested with case", "a:1 A:2", scheduler.RequestSpec{Destination: &scheduler.Destination{Host: new("a")}}, []scheduler.Filter{few}, "a", "demands 2-1 few 1-1"},
		{"requested node", "A:1", scheduler.RequestSpec{Destination: &scheduler.Destination{Host: new("A"), Node: "a"}}, nil, "A", "demands 1-1"},
		{"a preferred cell demands nothing", "a:1", scheduler.RequestSpec{Destination: &scheduler.Destination{Cell: "x"}}, nil, "a", ""},
		{"a single host that cannot be weighed", "raises:1", scheduler.RequestSpec{}, nil, "raises", ""},
		{
			"no alternates when the last filtering leaves nothing", "a:9:1 b:1:1",
			scheduler.RequestSpec{Instances: []string{"1", "2"}},
			[]scheduler.Filter{few},
			"a b", "few 2-2",
		},
	} {
		if c.spec.Instances == nil {
			c.spec.Instances = []string{"1"}
		}
		p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: c.filters, Weighers: ram(true)})
		if err != nil {
			t.Fatal(err)
		}
		given := hosts(c.hosts)
		var why scheduler.Explanation
		selected, err := p.Select(&scheduler.Query{Spec: &c.spec, Hosts: given}, &why)
		if got := pick(selected); err != nil || got != c.want || steps(&why) != c.steps {
			t.Errorf("%s: %s, %s, %v; want %s, %s", c.name, got, steps(&why), err, c.want, c.steps)
		}
		if !reflect.DeepEqual(given, hosts(c.hosts)) {
			t.Errorf("%s: a host of the query has changed", c.name)
		}
	}
}

func TestNoValidHost(t *testing.T) {
	t.Parallel()
	few := most{"few", 2, 0}
	for _, c := range []struct {
		name    string
		hosts   string
		spec    scheduler.RequestSpec
		filters []scheduler.Filter
		want    string
		nearest string
		steps   string
	}{
		{"no hosts", "", scheduler.RequestSpec{}, []scheduler.Filter{few, few}, "there are 0 hosts, and none of them is left for few", "", "few 0-0"},
		{"no hosts, no filters", "", scheduler.RequestSpec{}, nil, "there are no hosts", "", ""},
		{
			"the last filter", "a:1:9 b:1:4 c:1:3 d:1:4",
			scheduler.RequestSpec{},
			[]scheduler.Filter{most{"wide", 9, 0}, few, few},
			"few removes the last 3 of 4 hosts: … instances, allowed are fewer than 2 (3)" +
				"; before, wide leaves 3 of 4: … instances, allowed are fewer than 9 (1); nearest is c: 3 instances, allowed are fewer than 2", "c b d", "wide 4-3 few 3-0",
		},
		{
			"ignored", "a:1",
			scheduler.RequestSpec{IgnoreHosts: []string{"A"}},
			[]scheduler.Filter{few},
			"the request removes the last 1 of 1 hosts: is ignored (1); nearest is a: is ignored", "a", "demands 1-0",
		},
		{
			"requested elsewhere", "a:1",
			scheduler.RequestSpec{Destination: &scheduler.Destination{Host: new("A")}},
			[]scheduler.Filter{few},
			"the request removes the last 1 of 1 hosts: is not the requested destination (1); nearest is a: is not the requested destination", "a", "demands 1-0 few 0-0",
		},
		{
			"forced and ignored", "a:1 b:1",
			scheduler.RequestSpec{IgnoreHosts: []string{"a"}, ForceHosts: []string{"a"}},
			[]scheduler.Filter{few},
			"the request removes the last 2 of 2 hosts: is ignored (1), is not among the forced hosts (1); nearest is a: is ignored", "a b", "demands 2-0",
		},
		{
			"the second instance", "a:1:1",
			scheduler.RequestSpec{Instances: []string{"1", "2"}},
			[]scheduler.Filter{few},
			"few removes the last 1 of 1 hosts: … instances, allowed are fewer than 2 (1); nearest is a: 2 instances, allowed are fewer than 2", "a", "few 1-1",
		},
	} {
		if c.spec.Instances == nil {
			c.spec.Instances = []string{"1"}
		}
		p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: c.filters})
		if err != nil {
			t.Fatal(err)
		}
		var why scheduler.Explanation
		selected, err := p.Select(&scheduler.Query{Spec: &c.spec, Hosts: hosts(c.hosts)}, &why)
		var none *scheduler.NoValidHostError
		if selected != nil || !errors.As(err, &none) || !errors.Is(err, scheduler.ErrNoValidHost) {
			t.Errorf("%s: %v, %v", c.name, pick(selected), err)
			continue
		}
		var nearest []string
		for _, r := range none.Nearest() {
			nearest = append(nearest, r.Host)
		}
		if got := strings.Join(nearest, " "); err.Error() != "no valid host was found: "+c.want || got != c.nearest || steps(&why) != c.steps {
			t.Errorf("%s: %v; nearest %q, %s; want %s, %q, %s", c.name, err, got, steps(&why), c.want, c.nearest, c.steps)
		}
	}
}

func TestCannotEvaluate(t *testing.T) {
	t.Parallel()
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: []scheduler.Filter{most{"few", 2, 0}}, Weighers: ram(true)})
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"a:1 broken:1 b:1", "a:1 raises:1"} {
		spec := &scheduler.RequestSpec{Instances: []string{"1"}}
		if selected, err := p.Select(&scheduler.Query{Spec: spec, Hosts: hosts(list)}, nil); selected != nil || !errors.Is(err, scheduler.ErrCannotEvaluate) {
			t.Errorf("%s: %s, %v", list, pick(selected), err)
		}
	}
	if _, err := p.Select(&scheduler.Query{Spec: &scheduler.RequestSpec{}}, nil); err == nil {
		t.Error("a request for no instance succeeds")
	}
	for _, cfg := range []scheduler.PipelineConfig{{HostSubsetSize: -1}, {MaxAttempts: -1}} {
		if _, err := scheduler.NewPipeline(cfg); err == nil || !strings.Contains(err.Error(), "is -1, allowed is: 0 or more") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestWeights(t *testing.T) {
	t.Parallel()
	byAggregate := scheduler.Multiplier{Value: 2, Key: "k", Negate: true}
	for _, c := range []struct {
		name    string
		hosts   string
		weigher scheduler.Weigher
		want    []float64 // normalised and weighted by host, sorted
	}{
		{"floor 0", "a:-4 b:2 c:4", score{freeRAM, true, scheduler.Multiplier{Value: 3}}, []float64{1, 3, 0.5, 1.5, 0, 0}},
		{"no floor", "a:-4 b:2 c:4", score{freeRAM, false, scheduler.Multiplier{Value: 3}}, []float64{1, 3, 0.75, 2.25, 0, 0}},
		{"equal above the floor", "a:4 b:4", score{freeRAM, true, scheduler.Multiplier{Value: 1}}, []float64{1, 1, 1, 1}},
		{"equal without floor", "a:4 b:4", score{freeRAM, false, scheduler.Multiplier{Value: 1}}, []float64{0, 0, 0, 0}},
		{"all below the floor", "a:-4 b:-3", score{freeRAM, true, scheduler.Multiplier{Value: 1}}, []float64{0, 0, 0, 0}},
		{"by aggregate, negated", "a:1 b:3 c:3", score{freeRAM, false, byAggregate}, []float64{0, 0, 1, -2, 1, -5}},
	} {
		given := hosts(c.hosts)
		given[len(given)-1].Aggregates = []scheduler.Aggregate{{Metadata: map[string]string{"k": "5"}}}
		p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Weighers: []scheduler.Weigher{c.weigher}})
		if err != nil {
			t.Fatal(err)
		}
		var why scheduler.Explanation
		if _, err := p.Select(&scheduler.Query{Spec: &scheduler.RequestSpec{Instances: []string{"1"}}, Hosts: given}, &why); err != nil {
			t.Fatal(err)
		}
		var got []float64
		for _, w := range why.Weights {
			of := w.Weights[0]
			got = append(got, of.Normalized, of.Weighted)
			if w.Total != of.Weighted || of.Weighted != of.Multiplier*of.Normalized || of.Weigher != "score" {
				t.Errorf("%s: %+v", c.name, w)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// topology keeps account of numbered NUMA cells.
type topology struct{}

func (topology) ReadHost(*scheduler.HostState) error   { return nil }
func (topology) ReadSpec(*scheduler.RequestSpec) error { return nil }
func (topology) Consume(s *scheduler.RequestSpec, h *scheduler.HostState, filtered bool) error {
	h.FreePCI--
	n, _ := s.Topology.(int)
	if s.Topology = nil; h.Host == "a" {
		return scheduler.ErrCannotEvaluate
	}
	if !filtered {
		n = 10
	}
	s.Topology = n + 1
	return nil
}

// TestConsume looks at what an instance leaves behind through the eyes of the
// weigher that ranks for the next.
func TestConsume(t *testing.T) {
	t.Parallel()
	var seen []string
	look := score{func(r *scheduler.Request, h *scheduler.HostState) float64 {
		seen = append(seen, fmt.Sprintf("%s%d:%d,%d,%d,%d,%d,%d,%v,%v,%d", h.Host, r.Index, h.FreeRAMMiB, h.FreeDiskMiB, h.VCPUsUsed,
			h.NumInstances, h.NumIOOps, h.FreePCI, r.Spec.Topology, r.GroupHosts, r.MembersOn(h)))
		return 0
	}, false, scheduler.Multiplier{Value: 1}}
	for _, c := range []struct {
		hosts string
		group *scheduler.Group
		want  string
	}{
		{"b a", nil, "b0:0,0,0,0,0,0,<nil>,[],0 a0:0,0,0,0,0,0,<nil>,[],0 b1:-10,-3072,2,1,1,-1,1,[],0 a1:0,0,0,0,0,0,1,[],0"},
		{
			"b a", &scheduler.Group{Hosts: []string{"z"}, Members: []string{"1"}},
			"b0:0,0,0,0,0,0,<nil>,[z],0 a0:0,0,0,0,0,0,<nil>,[z],0 b1:-10,-3072,2,1,1,-1,1,[z b],1 a1:0,0,0,0,0,0,1,[z b],0",
		},
		{"a b", nil, "a0:0,0,0,0,0,0,<nil>,[],0 b0:0,0,0,0,0,0,<nil>,[],0 a1:-10,-3072,2,1,0,-1,<nil>,[],0 b1:0,0,0,0,0,0,<nil>,[],0"},
	} {
		seen = nil
		p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Weighers: []scheduler.Weigher{look}, Topology: topology{}, MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		spec := &scheduler.RequestSpec{
			Flavor: scheduler.Flavor{MemoryMiB: 10, RootGiB: 2, EphemeralGB: 1, SwapMiB: 5, VCPUs: 2}, Group: c.group, Instances: []string{"1", "2"},
		}
		selected, err := p.Select(&scheduler.Query{Spec: spec, Hosts: hosts(c.hosts)}, nil)
		if got := strings.Join(seen, " "); err != nil || got != c.want || spec.Topology != nil {
			t.Errorf("%s: %v\n got %s\nwant %s", c.hosts, err, got, c.want)
		}
		if first, second := selected[0].Topology, selected[1].Topology; c.hosts == "b a" && (first != 1 || second != 2) {
			t.Errorf("%s: topologies are %v, %v", c.hosts, first, second)
		}
		spec.ForceHosts = []string{"b"}
		if selected, err = p.Select(&scheduler.Query{Spec: spec, Hosts: hosts(c.hosts)}, nil); err != nil || selected[0].Topology != 11 {
			t.Errorf("%s: a forced host was filtered: %+v, %v", c.hosts, selected, err)
		}
	}
}

// TestDraw counts what is drawn: by the size of the subset, and among the
// hosts that are as good as the best.
func TestDraw(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cfg  scheduler.PipelineConfig
		want string // hosts that may come first
	}{
		{scheduler.PipelineConfig{}, "a"},
		{scheduler.PipelineConfig{HostSubsetSize: 3}, "abc"},
		{scheduler.PipelineConfig{HostSubsetSize: 99}, "abcd"},
		{scheduler.PipelineConfig{ShuffleBest: true}, "ab"},
	} {
		c.cfg.Weighers = ram(true)
		p, err := scheduler.NewPipeline(c.cfg)
		if err != nil {
			t.Fatal(err)
		}
		first := map[byte]int{}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 400 {
			q := &scheduler.Query{Spec: &scheduler.RequestSpec{Instances: []string{"1"}}, Hosts: hosts("d:1 a:9 b:9 c:3"), Rand: rng}
			selected, err := p.Select(q, nil)
			if err != nil {
				t.Fatal(err)
			}
			first[selected[0].Host.Host[0]]++
			if all := pick(selected); strings.Count(all, ",") != 2 {
				t.Fatalf("%+v: %s", c.cfg, all)
			}
		}
		for _, h := range []byte("abcd") {
			if may := strings.Contains(c.want, string(h)); may != (first[h] > 400/len(c.want)/2) {
				t.Errorf("%+v: %c came first %d times", c.cfg, h, first[h])
			}
		}
	}
}
