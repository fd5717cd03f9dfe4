package drain

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func in(name string, need int64, g *Group) Instance {
	return Instance{Name: name, Need: [Amounts]int64{need}, Group: g}
}

func host(name string, free int64, instances ...Instance) Host {
	return Host{Name: name, Free: [Amounts]int64{free}, Instances: instances}
}

func TestMake(t *testing.T) {
	t.Parallel()
	apart, together := &Group{Name: "apart", MaxPerHost: 1}, &Group{Name: "together", Together: true}
	fixed := in("x", 1, nil)
	fixed.Fixed = true
	for _, c := range []struct {
		name   string
		req    Request
		moves  string
		kept   string
		effort int
	}{
		{
			"the fewest instances first",
			Request{Budget: 3, Hosts: []Host{host("a", 9, in("1", 1, nil), in("2", 1, nil)), host("b", 9, in("3", 1, nil)), host("c", 9, in("4", 1, nil), in("5", 1, nil), in("6", 1, nil))}},
			"1:a>c 2:a>c 3:b>c", "c takes instances of hosts that are freed", 0,
		},
		{
			"the budget",
			Request{Budget: 1, Hosts: []Host{host("a", 9, in("1", 1, nil), in("2", 1, nil)), host("b", 9, in("3", 1, nil), in("4", 1, nil))}},
			"", "a needs 2 moves, 1 are left; b needs 2 moves, 1 are left", 0,
		},
		{
			"no room",
			Request{Budget: 9, Hosts: []Host{host("a", 2, in("1", 4, nil)), host("b", 1, in("2", 3, nil))}},
			"", "a instance 1 has no room: b lacks 3 of amount 0; b instance 2 has no room: a lacks 1 of amount 0", 0,
		},
		{
			"not onto an empty host",
			Request{Budget: 9, Hosts: []Host{host("a", 0, in("1", 1, nil)), host("b", 9)}},
			"", "a instance 1 has no room: no other host is in use", 0,
		},
		{
			"a fixed instance",
			Request{Budget: 9, Hosts: []Host{host("a", 9, fixed), host("b", 9, in("1", 1, nil))}},
			"1:b>a", "a instance x cannot move", 0,
		},
		{
			"a closed host",
			Request{Budget: 9, Hosts: []Host{{Name: "a", Closed: true, Free: [Amounts]int64{9}, Instances: []Instance{in("1", 1, nil)}}, host("b", 9, in("2", 1, nil))}},
			"1:a>b", "b takes instances of hosts that are freed", 0,
		},
		{
			"apart",
			Request{Budget: 9, Hosts: []Host{host("a", 9, in("1", 1, apart)), host("b", 9, in("2", 1, apart))}},
			"", "a instance 1 has no room: b is full of group apart; b instance 2 has no room: a is full of group apart", 0,
		},
		{
			"together",
			Request{Budget: 9, Hosts: []Host{host("a", 9, in("1", 1, together), in("2", 1, together)), host("b", 1, in("3", 9, nil), in("4", 9, nil), in("5", 1, nil)), host("c", 2, in("6", 9, nil), in("7", 9, nil), in("8", 9, nil))}},
			"1:a>c 2:a>c", "b instance 3 has no room: c lacks 9 of amount 0; c takes instances of hosts that are freed", 0,
		},
		{
			"allowed hosts",
			Request{Budget: 9, Allows: func(_ *Instance, h *Host) bool { return h.Name == "a" }, Hosts: []Host{host("a", 9, in("1", 1, nil)), host("b", 9, in("2", 1, nil))}},
			"2:b>a", "a takes instances of hosts that are freed", 0,
		},
		// freeing a first fills c, and b stays; with a kept, b and c go there
		{
			"more than the obvious",
			Request{Budget: 4, Hosts: []Host{host("a", 4, in("1", 2, nil)), host("b", 0, in("2", 2, nil), in("3", 0, nil)), host("c", 2, in("4", 2, nil), in("5", 0, nil))}},
			"2:b>a 3:b>a 4:c>a 5:c>a", "a takes instances of hosts that are freed", 0,
		},
	} {
		plan, err := Make(&c.req)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var moves, kept []string
		for _, m := range plan.Moves {
			moves = append(moves, m.Instance+":"+m.From+">"+m.To)
		}
		for _, k := range plan.Kept {
			kept = append(kept, k.Host+" "+k.Why)
		}
		if got := strings.Join(moves, " "); got != c.moves {
			t.Errorf("%s: moves %q, want %q", c.name, got, c.moves)
		}
		if got := strings.Join(kept, "; "); got != c.kept || !plan.Best {
			t.Errorf("%s: kept %q, want %q; best %v", c.name, got, c.kept, plan.Best)
		}
	}
}

func TestRefusedRequests(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]Request{
		"field Budget is -1, allowed is: 0 or more":                                  {Budget: -1},
		`field Hosts has the name "a", allowed is: a name that no other host has`:    {Hosts: []Host{host("a", 1), host("a", 1)}},
		`host b has the instance "1", allowed is: a name that no other instance has`: {Hosts: []Host{host("a", 1, in("1", 1, nil)), host("b", 1, in("1", 1, nil))}},
		"instance 1 needs -2, allowed is: 0 or more":                                 {Hosts: []Host{host("a", 1, in("1", -2, nil))}},
		"field MaxPerHost of group g is 0, allowed is: at least 1":                   {Hosts: []Host{host("a", 1, in("1", 1, &Group{Name: "g"}))}},
	} {
		if _, err := Make(&r); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func randomRequest(rng *rand.Rand) *Request {
	groups := []*Group{nil, nil, {Name: "apart", MaxPerHost: 1}, {Name: "two", MaxPerHost: 2}}
	r := &Request{Budget: rng.IntN(6)}
	n := 0
	for h := range 2 + rng.IntN(3) {
		x := host(fmt.Sprint("h", h), rng.Int64N(6))
		x.Free[1], x.Closed = rng.Int64N(6), rng.IntN(8) == 0
		own := &Group{Name: fmt.Sprint("together", h), Together: true}
		seen := map[*Group]int{}
		for range rng.IntN(4) {
			g := append(groups, own)[rng.IntN(5)]
			if g != nil && !g.Together && seen[g] == g.MaxPerHost {
				g = nil
			}
			seen[g]++
			n++
			one := in(fmt.Sprint(n), rng.Int64N(4), g)
			one.Need[1], one.Fixed = rng.Int64N(4), rng.IntN(8) == 0
			x.Instances = append(x.Instances, one)
		}
		r.Hosts = append(r.Hosts, x)
	}
	return r
}

// TestMakeTwin compares with trying every set of hosts and every destination.
func TestMakeTwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(600) {
		r := randomRequest(rand.New(rand.NewPCG(seed, 0)))
		plan, err := Make(r)
		if err != nil {
			t.Fatal(err)
		}
		if want := mostFreed(r); len(plan.Freed) != want || !plan.Best {
			t.Errorf("seed %d: %d hosts freed, want %d; %+v", seed, len(plan.Freed), want, plan)
		}
		if why := wrong(r, plan.Freed, plan.Moves); why != "" {
			t.Errorf("seed %d: %s; %+v", seed, why, plan)
		}
		again, _ := Make(r)
		if !reflect.DeepEqual(plan, again) {
			t.Errorf("seed %d: two plans differ", seed)
		}
	}
}

// mostFreed tries everything.
func mostFreed(r *Request) int {
	most := 0
	for set := range 1 << len(r.Hosts) {
		var freed []string
		var moving []Move
		for h := range r.Hosts {
			if set>>h&1 == 1 {
				freed = append(freed, r.Hosts[h].Name)
				for _, x := range r.Hosts[h].Instances {
					moving = append(moving, Move{Instance: x.Name, From: r.Hosts[h].Name})
				}
			}
		}
		if len(freed) > most && len(moving) <= r.Budget && tryAll(r, freed, moving, 0) {
			most = len(freed)
		}
	}
	return most
}

func tryAll(r *Request, freed []string, moves []Move, at int) bool {
	if at == len(moves) {
		return wrong(r, freed, moves) == ""
	}
	for h := range r.Hosts {
		moves[at].To = r.Hosts[h].Name
		if tryAll(r, freed, moves, at+1) {
			return true
		}
	}
	return false
}

// wrong checks a plan by looking at every host afterwards.
func wrong(r *Request, freed []string, moves []Move) string {
	if len(moves) > r.Budget {
		return "over budget"
	}
	to := map[string]string{}
	for _, m := range moves {
		to[m.Instance] = m.To
	}
	after := map[string][]Instance{}
	used := map[string][Amounts]int64{}
	homes := map[*Group]map[string]bool{}
	for h := range r.Hosts {
		x := &r.Hosts[h]
		for _, one := range x.Instances {
			dest, moved := to[one.Name]
			if !moved {
				dest = x.Name
			} else if one.Fixed {
				return one.Name + " is fixed"
			}
			after[dest] = append(after[dest], one)
			if one.Group != nil {
				if homes[one.Group] == nil {
					homes[one.Group] = map[string]bool{}
				}
				homes[one.Group][dest] = true
			}
			if moved {
				u := used[dest]
				for k := range u {
					u[k] += one.Need[k]
				}
				used[dest] = u
			}
		}
	}
	for h := range r.Hosts {
		if why := wrongHost(&r.Hosts[h], freed, after[r.Hosts[h].Name], used[r.Hosts[h].Name]); why != "" {
			return why
		}
	}
	for g, hosts := range homes {
		if g.Together && len(hosts) > 1 {
			return "group " + g.Name + " is torn"
		}
	}
	return ""
}

func wrongHost(h *Host, freed []string, after []Instance, more [Amounts]int64) string {
	count := map[*Group]int{}
	for _, one := range after {
		if count[one.Group]++; one.Group != nil && !one.Group.Together && count[one.Group] > one.Group.MaxPerHost {
			return "too many of a group on " + h.Name
		}
	}
	for k := range more {
		if more[k] > 0 && more[k] > h.Free[k] {
			return h.Name + " is too full"
		}
	}
	gone := false
	for _, f := range freed {
		gone = gone || f == h.Name
	}
	switch {
	case gone && (len(after) > 0 || len(h.Instances) == 0):
		return h.Name + " is not freed"
	case !gone && len(after) > 0 && len(h.Instances) == 0:
		return h.Name + " was empty"
	case !gone && h.Closed && len(after) > len(h.Instances):
		return h.Name + " is closed"
	}
	return ""
}
