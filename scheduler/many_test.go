package scheduler_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// crowd makes hosts that are alike, that have a few sizes, or that all differ.
func (w world) crowd(n int) []*scheduler.HostState {
	hosts := uniform(n)
	sizes := []int64{1, 2, 7, 1 << 40}[w.IntN(4)]
	for i, h := range hosts {
		own := *h
		own.Cell, own.VCPUsUsed, own.NumIOOps = w.one("c", "c", "d"), w.Int64N(min(sizes, 64)), w.Int64N(min(sizes, 3))
		own.FreeRAMMiB, own.NumInstances = 1<<19-4096*w.Int64N(min(sizes, 50))-512*w.Int64N(min(sizes, 9)), w.Int64N(min(sizes, 5))
		own.FreeDiskMiB = 1<<22 - w.Int64N(min(sizes, 1<<20))
		version := 1000 * w.Int64N(min(sizes, 3))
		own.HypervisorVersion = &version
		if sizes > 2 && w.IntN(50) == 0 {
			own.Aggregates = []scheduler.Aggregate{{Metadata: map[string]string{"ram_weight_multiplier": w.one("2", "-0.3")}}}
		}
		hosts[i] = &own
	}
	return hosts
}

// group puts the instances into a server group, with others that are on hosts;
// now and then one is there already, or asked for twice.
func (w world) group(spec *scheduler.RequestSpec, hosts []*scheduler.HostState) {
	if w.IntN(2) == 0 {
		return
	}
	most := w.Int64N(5)
	g := &scheduler.Group{
		Policy:           w.one(scheduler.AntiAffinity, scheduler.AntiAffinity, scheduler.SoftAffinity, scheduler.SoftAntiAffinity, scheduler.Affinity),
		MaxServerPerHost: []*int64{nil, &most}[w.IntN(2)],
	}
	for _, uuid := range spec.Instances {
		if w.IntN(20) > 0 {
			g.Members = append(g.Members, uuid)
		}
	}
	for k := range w.IntN(20) {
		h := hosts[w.IntN(len(hosts))]
		g.Members, g.Hosts = append(g.Members, fmt.Sprint("old", k)), append(g.Hosts, h.Host)
		h.Instances = map[string]scheduler.Instance{fmt.Sprint("old", k): {}}
	}
	switch w.IntN(8) {
	case 0:
		for range 5 {
			hosts[w.IntN(len(hosts))].Instances = map[string]scheduler.Instance{spec.Instances[0]: {}}
		}
	case 1:
		spec.Instances[1] = spec.Instances[0]
	}
	spec.Group = g
}

// TestManyTwin places many instances at once, as the pipeline does one by one.
func TestManyTwin(t *testing.T) {
	t.Parallel()
	const decisions = 80
	plain, placed := 0, 0
	for seed := range uint64(decisions) {
		w := world{rand.New(rand.NewPCG(seed, 9))}
		o := defaults()
		o.MaxAttempts = 1 + w.IntN(4)
		switch w.IntN(5) {
		case 0:
			o.EnabledFilters = append(o.EnabledFilters, "IoOpsFilter", "NumInstancesFilter")
			o.MaxIOOpsPerHost, o.MaxInstancesPerHost = 2+w.small(3), 3+w.small(4)
		case 1:
			o.NumInstancesWeightMultiplier, o.RAMWeightMultiplier = -0.3, -1
		case 2: // reads the request
			o.WeightClasses = []string{w.one("BestFitWeigher", "WorstFitWeigher"), w.one("IoOpsWeigher", "NumInstancesWeigher")}
		}
		p := pipeline(t, o)
		hosts := w.crowd(1 + w.IntN(500))
		set := p.NewHostSet(slices.Clone(hosts))
		for round := range 2 { // the first leaves the set as it was
			spec, now := plainSpec(), base.Add(15*time.Second)
			if w.IntN(4) == 0 {
				spec.Flavor.ExtraSpecs = map[string]string{"capabilities:num_instances": "<= 4"}
			}
			if w.IntN(3) == 0 {
				spec.IgnoreHosts = []string{"H0", hosts[len(hosts)/2].Host}
			}
			if w.IntN(4) == 0 {
				spec.Image.Properties = map[string]string{"hw_architecture": "x86_64"}
			}
			spec.Instances = nil
			for i := range 2 + w.IntN(300) {
				spec.Instances = append(spec.Instances, strconv.Itoa(i))
			}
			w.group(spec, hosts)
			want := told(p.Select(&scheduler.Query{Spec: spec, Hosts: hosts, Now: now}, nil))
			selected, err := set.Select(spec, now, nil)
			if got := told(selected, err); got != want {
				t.Fatalf("seed %d, round %d, %d hosts: columns answer\n%s, the pipeline\n%s", seed, round, len(hosts), got, want)
			}
			if err == nil {
				placed++
			}
		}
		plain += set.Plain()
	}
	if placed < decisions || 2*decisions-plain < decisions {
		t.Errorf("%d decisions, %d placed, %d without columns: too little was compared", 2*decisions, placed, plain)
	}
}

// BenchmarkManySelect decides for a request of 1,000 servers.
func BenchmarkManySelect(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, alike := range []bool{false, true} {
			b.Run(fmt.Sprintf("hosts=%d/alike=%v", n, alike), func(b *testing.B) {
				hosts := uniform(n)
				if alike {
					for i := range hosts {
						own := *hosts[0]
						own.Host = strconv.Itoa(i)
						hosts[i] = &own
					}
				}
				set := pipeline(b, defaults()).NewHostSet(hosts)
				spec := plainSpec()
				spec.Instances = nil
				for i := range 1000 {
					spec.Instances = append(spec.Instances, strconv.Itoa(i))
				}
				for b.Loop() {
					selected, err := set.Select(spec, base.Add(15*time.Second), nil)
					if err != nil || len(selected) != 1000 || set.Plain() > 0 {
						b.Fatal(len(selected), err, set.Plain())
					}
				}
			})
		}
	}
}

// BenchmarkManyGroup decides for a request of 100 servers with a group, or
// with a host that is ignored.
func BenchmarkManyGroup(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, policy := range []string{"", scheduler.AntiAffinity, scheduler.SoftAntiAffinity, scheduler.Affinity} {
			b.Run(fmt.Sprintf("hosts=%d/policy=%s", n, policy), func(b *testing.B) {
				hosts := uniform(n)
				for i, h := range hosts {
					h.Instances = map[string]scheduler.Instance{}
					for k := range 20 {
						h.Instances[fmt.Sprintf("%d-%d", i, k)] = scheduler.Instance{}
					}
				}
				set := pipeline(b, defaults()).NewHostSet(hosts)
				spec := plainSpec()
				spec.Instances, spec.IgnoreHosts = nil, []string{"H7"}
				for i := range 100 {
					spec.Instances = append(spec.Instances, strconv.Itoa(i))
				}
				if policy != "" {
					spec.Group, spec.IgnoreHosts = &scheduler.Group{Policy: policy, Members: spec.Instances}, nil
					spec.Flavor = scheduler.Flavor{MemoryMiB: 1, VCPUs: 1}
				}
				for b.Loop() {
					selected, err := set.Select(spec, base.Add(15*time.Second), nil)
					if err != nil || len(selected) != 100 {
						b.Fatal(len(selected), err)
					}
				}
				b.ReportMetric(float64(set.Plain())/float64(b.N), "plain")
			})
		}
	}
}
