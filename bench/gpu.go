package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// MaxInflation bounds [GPUConfig].Inflation.
const MaxInflation = 100

// GPUConfig describes a replay of the tasks of a GPU cluster.
type GPUConfig struct {
	Trace, Variant, Store string // names, for the report
	Nodes                 []trace.Node
	Tasks                 []trace.Task
	Policy                Policy
	Seed                  uint64
	// Inflation above 0 draws tasks with replacement until the GPUs asked for
	// add up to this share of the cluster's; 0 replays the tasks once, in order.
	Inflation float64
	// LearnMix makes FGD and FGDPaper learn the mix of tasks from those seen so
	// far. Without it they know the mix of Tasks from the start.
	LearnMix bool
	Workers  int                   // that build the cluster; 0: 1
	Now      func() time.Time      // measures the replay; required
	Progress func(done, total int) // nil: not told
}

// gpuReplay is a replay under way.
type gpuReplay struct {
	engine  Engine
	cfg     GPUConfig
	cluster *cluster
	picker  picker
	packer  *gpuPacker  // nil: the policy ranks the engine's candidates
	task    *trace.Task // being placed
	watch   stopwatch
	asked   amounts
	report  GPUReport
}

// ReplayGPU builds the cluster in the engine and places the tasks one after
// the other. Nothing departs. An answer of the engine that is wrong is an
// error, and so is a failed claim; a task that fits nowhere is refused and
// counted.
func ReplayGPU(ctx context.Context, engine Engine, cfg GPUConfig) (*GPUReport, error) {
	tasks, err := cfg.tasks()
	if err != nil {
		return nil, err
	}
	r := &gpuReplay{engine: engine, cfg: cfg, cluster: newCluster(cfg.Nodes), watch: stopwatch{now: cfg.Now}}
	r.picker = picker{policy: cfg.Policy, rng: rand.New(rand.NewPCG(cfg.Seed, 2)), rank: r.rank}
	if cfg.Policy == FGD || cfg.Policy == FGDPaper {
		if r.packer, err = newGPUPacker(r.cluster, &cfg); err != nil {
			return nil, err
		}
	}
	if err := r.cluster.build(ctx, engine, &cfg); err != nil {
		return nil, fmt.Errorf("build the cluster: %w", err)
	}
	r.report.Curve = append(make([]Point, 0, len(tasks)+1), Point{})
	for i := range tasks {
		if err := r.place(ctx, i, &tasks[i]); err != nil {
			return nil, fmt.Errorf("task %d (%s): %w", i, tasks[i].Name, err)
		}
		if cfg.Progress != nil {
			cfg.Progress(i+1, len(tasks))
		}
	}
	if err := r.cluster.compare(engine); err != nil {
		return nil, err
	}
	return r.finish(len(tasks)), nil
}

// tasks returns the tasks to place.
func (cfg *GPUConfig) tasks() ([]trace.Task, error) {
	if cfg.Now == nil {
		return nil, errors.New("field Now is nil, allowed is: a clock")
	}
	if cfg.Inflation == 0 {
		return cfg.Tasks, nil
	}
	if !(cfg.Inflation > 0 && cfg.Inflation <= MaxInflation) {
		return nil, fmt.Errorf("inflation is %g, allowed is: above 0 and at most %d", cfg.Inflation, MaxInflation)
	}
	inTrace, inCluster := int64(0), newCluster(cfg.Nodes).total.gpu
	for i := range cfg.Tasks {
		inTrace += int64(cfg.Tasks[i].GPUs) * cfg.Tasks[i].GPUMilli
	}
	if inTrace == 0 || inCluster == 0 {
		return nil, fmt.Errorf("inflation is %g, allowed is: 0 for a trace or a cluster without GPUs", cfg.Inflation)
	}
	return draw(cfg.Tasks, cfg.Inflation*float64(inCluster), rand.New(rand.NewPCG(cfg.Seed, 1))), nil
}

// draw takes tasks with replacement until their GPUs add up to milli.
func draw(tasks []trace.Task, milli float64, rng *rand.Rand) []trace.Task {
	var drawn []trace.Task
	for sum := int64(0); float64(sum) < milli; {
		t := tasks[rng.IntN(len(tasks))]
		sum += int64(t.GPUs) * t.GPUMilli
		drawn = append(drawn, t)
	}
	return drawn
}

func (r *gpuReplay) rank(c *placement.Candidate) (score, error) {
	if r.packer != nil {
		return r.packer.rank(r.task, c)
	}
	return r.cluster.rank(r.task, c, r.cfg.Policy == HostAge)
}

func (r *gpuReplay) place(ctx context.Context, i int, t *trace.Task) error {
	r.task = t
	req := request(t)
	req.Limit = r.cfg.Policy.limit()
	r.watch.start()
	if r.packer != nil {
		r.packer.narrow(&req, t)
	}
	claimed, err := r.picker.pick(r.engine.Candidates(ctx, req))
	if err == nil && claimed != nil {
		err = claim(ctx, r.engine, i, claimed)
	}
	r.watch.stop(claimed != nil)
	switch {
	case err != nil:
		return err
	case claimed == nil:
		r.report.Refused++
		err = r.cluster.refuse(t)
	default:
		r.report.Placed++
		err = r.cluster.take(t, claimed)
		if r.packer != nil && err == nil {
			i, _ := position(claimed[0].Provider)
			r.packer.changed(i)
		}
	}
	r.asked.add(amounts{t.CPUMilli, t.MemoryMiB, int64(t.GPUs) * t.GPUMilli})
	r.mark()
	return err
}

// mark adds a point to the curve.
func (r *gpuReplay) mark() {
	total, free := r.cluster.total, r.cluster.free
	p := Point{
		RequestedGPU:    ratio(r.asked.gpu, total.gpu),
		AllocatedGPU:    ratio(total.gpu-free.gpu, total.gpu),
		AllocatedCPU:    ratio(total.cpu-free.cpu, total.cpu),
		AllocatedMemory: ratio(total.memory-free.memory, total.memory),
	}
	r.report.Curve = append(r.report.Curve, p)
	if r.report.AllocatedGPUAt100 == nil && total.gpu > 0 && r.asked.gpu >= total.gpu {
		r.report.AllocatedGPUAt100 = &p.AllocatedGPU
	}
}

func (r *gpuReplay) finish(tasks int) *GPUReport {
	rep, last := &r.report, r.report.Curve[len(r.report.Curve)-1]
	rep.Trace, rep.Variant, rep.Store = r.cfg.Trace, r.cfg.Variant, r.cfg.Store
	rep.Policy, rep.Seed, rep.Inflation = r.cfg.Policy.String(), r.cfg.Seed, r.cfg.Inflation
	rep.Nodes, rep.Tasks = len(r.cfg.Nodes), tasks
	rep.RequestedGPU, rep.AllocatedGPU = last.RequestedGPU, last.AllocatedGPU
	rep.AllocatedCPU, rep.AllocatedMemory = last.AllocatedCPU, last.AllocatedMemory
	rep.Seconds, rep.ClaimsPerSecond = r.watch.total.Seconds(), r.watch.perSecond()
	rep.Latency = r.watch.percentiles()
	return rep
}

// ratio returns part of whole, 0 when there is no whole.
func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
