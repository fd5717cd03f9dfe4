package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// testEngine is an engine that tells who holds what.
type testEngine interface {
	Engine
	Consumer(u placement.UUID) (placement.Consumer, []placement.Allocation, error)
}

// clock moves on by a millisecond whenever it is read.
func clock() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Millisecond)
		return now
	}
}

func smallCluster() []trace.Node {
	return []trace.Node{
		{Name: "n0", CPUMilli: 4000, MemoryMiB: 8192},
		{Name: "n1", CPUMilli: 8000, MemoryMiB: 16384, GPUs: 2, Model: "T4"},
		{Name: "n2", CPUMilli: 8000, MemoryMiB: 16384, GPUs: 1, Model: "P100"},
	}
}

func smallTasks() []trace.Task {
	return []trace.Task{
		{Name: "a", CPUMilli: 1000, MemoryMiB: 1024, GPUs: 1, GPUMilli: 500},
		{Name: "b", CPUMilli: 1000, MemoryMiB: 1024, GPUs: 1, GPUMilli: 500},
		{Name: "c", CPUMilli: 1000, MemoryMiB: 1024, GPUs: 2, GPUMilli: 1000},
		{Name: "d", CPUMilli: 1000, MemoryMiB: 1024, GPUs: 1, GPUMilli: 1000, Models: []string{"P100", "V100"}},
		{Name: "e", CPUMilli: 6000, MemoryMiB: 1024},
	}
}

// places returns where each task went: "1/1,2" is node 1, its GPUs 1 and 2.
func places(t *testing.T, e testEngine, tasks int) []string {
	t.Helper()
	out := make([]string, tasks)
	for i := range out {
		_, allocs, err := e.Consumer(consumerUUID(i))
		if errors.Is(err, placement.ErrNotFound) || len(allocs) == 0 {
			out[i] = "-"
			continue
		}
		node, gpus := 0, [8]int64{}
		for _, a := range allocs {
			n, member := position(a.Provider)
			node = n
			if member > 0 {
				gpus[member] = a.Amount
			}
		}
		out[i] = fmt.Sprint(node)
		for member, amount := range gpus {
			if amount > 0 {
				out[i] += fmt.Sprintf("/%d", member)
			}
		}
	}
	return out
}

func TestReplayGPU(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy  Policy
		places  []string
		gpu     float64
		at100   float64
		refused int
	}{
		{FirstFit, []string{"1/1", "1/1", "-", "2/1", "1"}, 2.0 / 3, 1.0 / 3, 1},
		{BestFit, []string{"2/1", "2/1", "1/1/2", "-", "2"}, 1, 1, 1},
		{WorstFit, []string{"1/1", "2/1", "-", "-", "1"}, 1.0 / 3, 1.0 / 3, 2},
		// a hundred more tasks would fill every GPU, until e would take the CPU
		// that the last GPU of node 1 needs
		{FGD, []string{"1/1", "1/1", "-", "2/1", "2"}, 2.0 / 3, 1.0 / 3, 1},
		// on node 1 a would make a fragment for c, on node 2 it ends one
		{FGDPaper, []string{"2/1", "2/1", "1/1/2", "-", "1"}, 1, 1, 1},
		{HostAge, []string{"1/1", "1/1", "-", "2/1", "1"}, 2.0 / 3, 1.0 / 3, 1},
		{Lifetime, []string{"2/1", "2/1", "1/1/2", "-", "2"}, 1, 1, 1},
	} {
		for name, e := range engines(t) {
			cfg := GPUConfig{Trace: "small", Variant: "v", Store: "memory", Nodes: smallCluster(), Tasks: smallTasks(), Policy: c.policy, Seed: 7, Now: clock()}
			got, err := ReplayGPU(t.Context(), e, cfg)
			if err != nil {
				t.Fatalf("%s, %v: %v", name, c.policy, err)
			}
			if p := places(t, e, 5); !reflect.DeepEqual(p, c.places) {
				t.Errorf("%s, %v: tasks went to %v, want %v", name, c.policy, p, c.places)
			}
			if got.Placed != 5-c.refused || got.Refused != c.refused || got.Tasks != 5 || got.Nodes != 3 || len(got.Curve) != 6 {
				t.Errorf("%s, %v: got %+v", name, c.policy, got)
			}
			near(t, "requested", got.RequestedGPU, 4.0/3)
			near(t, "allocated", got.AllocatedGPU, c.gpu)
			near(t, "at 100 %", *got.AllocatedGPUAt100, c.at100)
			near(t, "seconds", got.Seconds, 0.005)
			near(t, "claims/s", got.ClaimsPerSecond, float64(5-c.refused)/0.005)
			if want := (Latency{1000, 1000}); got.Latency != want {
				t.Errorf("latency %v, want %v", got.Latency, want)
			}
		}
	}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// TestReplayGPUTwins replays random worlds on every engine: all must agree
// where the choice is by score. (Engines differ in the order of trees.)
func TestReplayGPUTwins(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		nodes, tasks := randomTrace(rand.New(rand.NewPCG(seed, 0)))
		for _, p := range []Policy{BestFit, WorstFit, FGD, FGDPaper, Lifetime} {
			var first []string
			for name, e := range engines(t) {
				cfg := GPUConfig{Nodes: nodes, Tasks: tasks, Policy: p, LearnMix: seed%2 == 0, Seed: seed, Workers: 1, Now: clock()}
				if _, err := ReplayGPU(t.Context(), e, cfg); err != nil {
					t.Fatalf("seed %d, %v, %s: %v", seed, p, name, err)
				}
				got := places(t, e, len(tasks))
				if first == nil {
					first = got
				}
				if !reflect.DeepEqual(got, first) {
					t.Errorf("seed %d, %v, %s: got %v, another engine %v", seed, p, name, got, first)
				}
			}
		}
	}
}

// TestRepeats holds that a replay depends on its configuration only.
func TestRepeats(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		nodes, tasks := randomTrace(rand.New(rand.NewPCG(seed, 0)))
		for p := range Policies() {
			cfg := GPUConfig{Nodes: nodes, Tasks: tasks, Policy: Policy(p), Seed: seed, Inflation: 2 * float64(nodes[0].GPUs), Workers: 8, Now: clock()}
			a, errA := ReplayGPU(t.Context(), engines(t)["engine"], cfg)
			b, errB := ReplayGPU(t.Context(), engines(t)["engine"], cfg)
			if errA != nil || errB != nil {
				t.Fatalf("seed %d, %v: %v, %v", seed, Policy(p), errA, errB)
			}
			if !reflect.DeepEqual(a, b) {
				t.Errorf("seed %d, %v: two replays differ", seed, Policy(p))
			}
		}
	}
}

func randomTrace(rng *rand.Rand) ([]trace.Node, []trace.Task) {
	models := []string{"A10", "P100", "T4"}
	nodes := make([]trace.Node, 1+rng.IntN(6))
	for i := range nodes {
		nodes[i] = trace.Node{Name: fmt.Sprintf("n%d", i), CPUMilli: 1000 * (1 + rng.Int64N(16)), MemoryMiB: 1024 * (1 + rng.Int64N(32)), GPUs: rng.IntN(4)}
		if nodes[i].GPUs > 0 {
			nodes[i].Model = models[rng.IntN(3)]
		}
	}
	tasks := make([]trace.Task, 30)
	for i := range tasks {
		tasks[i] = trace.Task{Name: fmt.Sprintf("t%d", i), CPUMilli: 500 * rng.Int64N(6), MemoryMiB: 512 * (1 + rng.Int64N(8)), GPUs: rng.IntN(3)}
		if tasks[i].GPUs == 1 {
			tasks[i].GPUMilli = 100 * (1 + rng.Int64N(10))
		} else if tasks[i].GPUs > 1 {
			tasks[i].GPUMilli = 1000
		}
		if tasks[i].GPUs > 0 && rng.IntN(3) == 0 {
			tasks[i].Models = models[:1+rng.IntN(3)]
		}
	}
	return nodes, tasks
}

func TestInflation(t *testing.T) {
	t.Parallel()
	cfg := GPUConfig{Nodes: smallCluster(), Tasks: smallTasks(), Seed: 42, Inflation: 1.3, Now: clock()}
	a, err := cfg.tasks()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := cfg.tasks()
	if !reflect.DeepEqual(a, b) {
		t.Error("one seed drew two sequences")
	}
	sum := int64(0)
	for i, task := range a {
		if sum >= 3900 {
			t.Errorf("task %d drawn with %d milli GPU asked for already", i, sum)
		}
		sum += int64(task.GPUs) * task.GPUMilli
	}
	if sum < 3900 {
		t.Errorf("drawn up to %d milli GPU, want 3900", sum)
	}
	cfg.Seed = 43
	if c, _ := cfg.tasks(); reflect.DeepEqual(a, c) {
		t.Error("two seeds drew one sequence")
	}
}

func TestGPUConfigRefusals(t *testing.T) {
	t.Parallel()
	gpuless := smallTasks()[4:]
	for want, cfg := range map[string]GPUConfig{
		"field Now is nil, allowed is: a clock":                               {},
		"inflation is -1, allowed is: above 0 and at most 100":                {Now: clock(), Inflation: -1},
		"inflation is NaN, allowed is: above 0 and at most 100":               {Now: clock(), Inflation: math.NaN()},
		"inflation is 1, allowed is: 0 for a trace or a cluster without GPUs": {Now: clock(), Inflation: 1, Nodes: smallCluster(), Tasks: gpuless},
		"inflation is 2, allowed is: 0 for a trace or a cluster without GPUs": {Now: clock(), Inflation: 2, Nodes: smallCluster()[:1], Tasks: smallTasks()},
	} {
		if _, err := ReplayGPU(t.Context(), newFake(), cfg); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// lyingEngine changes what an engine answers.
type lyingEngine struct {
	*fakeEngine
	candidates func(*placement.Candidate) *placement.Candidate
	usage      int64
}

func (l *lyingEngine) Candidates(ctx context.Context, req placement.CandidateRequest) iter.Seq2[*placement.Candidate, error] {
	return func(yield func(*placement.Candidate, error) bool) {
		for c, err := range l.fakeEngine.Candidates(ctx, req) {
			if c = l.candidates(c); c != nil && !yield(c, err) {
				return
			}
		}
	}
}

func (l *lyingEngine) Usages(u placement.UUID) (map[string]int64, placement.Provider, error) {
	used, p, err := l.fakeEngine.Usages(u)
	used[classMemory] += l.usage
	return used, p, err
}

// TestWrongAnswers holds that a replay does not report on wrong answers.
func TestWrongAnswers(t *testing.T) {
	t.Parallel()
	honest := func(c *placement.Candidate) *placement.Candidate { return c }
	for _, c := range []struct {
		engine lyingEngine
		want   string
	}{
		{lyingEngine{candidates: func(*placement.Candidate) *placement.Candidate { return nil }}, "no candidate for task a, which fits on node 1"},
		{lyingEngine{candidates: honest, usage: 1}, "has 1 MEMORY_MB in use, claims sum up to 0"},
		{lyingEngine{candidates: func(c *placement.Candidate) *placement.Candidate {
			c.Allocations = c.Allocations[:1]
			return c
		}}, "task a got"},
		{lyingEngine{candidates: func(c *placement.Candidate) *placement.Candidate {
			c.Root = placement.MustUUID(strings.Repeat("f", 32))
			return c
		}}, "candidate in unknown tree"},
	} {
		c.engine.fakeEngine = newFake()
		_, err := ReplayGPU(t.Context(), &c.engine, GPUConfig{Nodes: smallCluster(), Tasks: smallTasks(), Now: clock()})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	calls := 0
	err := each(t.Context(), 1000, 1, func(_ context.Context, i int) error {
		calls++
		if i == 3 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) || calls > 5 {
		t.Errorf("got %v after %d calls", err, calls)
	}
}
