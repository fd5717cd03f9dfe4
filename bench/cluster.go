package bench

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
)

// cluster mirrors what a GPU cluster has and what of it is free.
type cluster struct {
	nodes       []node
	total, free amounts
	opened      int64 // number of nodes that have had a claim
}

// amounts are milli CPU, MiB and milli GPU.
type amounts struct{ cpu, memory, gpu int64 }

type node struct {
	model       string
	total, free amounts
	gpus        []int64 // free milli of each GPU
	opened      int64   // rank by first claim, unopened before it
}

// unopened ranks behind every node with a claim.
const unopened = math.MaxInt64

func newCluster(nodes []trace.Node) *cluster {
	c := &cluster{nodes: make([]node, len(nodes))}
	for i, n := range nodes {
		total := amounts{n.CPUMilli, n.MemoryMiB, int64(n.GPUs) * trace.GPUMilli}
		c.nodes[i] = node{model: n.Model, total: total, free: total, opened: unopened, gpus: slices.Repeat([]int64{trace.GPUMilli}, n.GPUs)}
		c.total.add(total)
	}
	c.free = c.total
	return c
}

func (a *amounts) add(b amounts) {
	a.cpu += b.cpu
	a.memory += b.memory
	a.gpu += b.gpu
}

func gpuTrait(model string) string { return "CUSTOM_GPU_" + model }

// build makes the cluster in the engine: for each node a root with CPU and
// memory, and a child for each GPU with its model as a trait. Providers are
// made one after the other, which fixes the engine's order; then several
// workers fill them.
func (c *cluster) build(ctx context.Context, e Builder, cfg *GPUConfig) error {
	if err := createNames(ctx, e, cfg); err != nil {
		return err
	}
	for i, n := range cfg.Nodes {
		if err := createNode(ctx, e, i, n); err != nil {
			return fmt.Errorf("create node %s: %w", n.Name, err)
		}
	}
	return each(ctx, len(c.nodes), cfg.Workers, func(ctx context.Context, i int) error {
		if err := c.fillNode(ctx, e, i); err != nil {
			return fmt.Errorf("fill node %s: %w", cfg.Nodes[i].Name, err)
		}
		return nil
	})
}

func createNode(ctx context.Context, e Builder, i int, n trace.Node) error {
	_, err := e.CreateProvider(ctx, placement.Provider{UUID: providerUUID(i, 0), Name: n.Name})
	for g := 1; g <= n.GPUs && err == nil; g++ {
		_, err = e.CreateProvider(ctx, placement.Provider{
			UUID: providerUUID(i, g), Name: fmt.Sprintf("%s-gpu-%d", n.Name, g-1), Parent: providerUUID(i, 0),
		})
	}
	return err
}

// createNames makes the classes, and the traits that nodes have and tasks
// ask for.
func createNames(ctx context.Context, e Builder, cfg *GPUConfig) error {
	for _, class := range []string{classCPU, classGPU} {
		if _, err := e.CreateClass(ctx, class); err != nil {
			return fmt.Errorf("create class %s: %w", class, err)
		}
	}
	models := map[string]bool{}
	for i := range cfg.Nodes {
		models[cfg.Nodes[i].Model] = true
	}
	for i := range cfg.Tasks {
		for _, m := range cfg.Tasks[i].Models {
			models[m] = true
		}
	}
	delete(models, "") // of nodes without GPUs
	for _, m := range slices.Sorted(maps.Keys(models)) {
		if _, err := e.CreateTrait(ctx, gpuTrait(m)); err != nil {
			return fmt.Errorf("create trait %s: %w", gpuTrait(m), err)
		}
	}
	return nil
}

func (c *cluster) fillNode(ctx context.Context, e Builder, i int) error {
	n := &c.nodes[i]
	_, err := e.SetInventories(ctx, providerUUID(i, 0), map[string]placement.Inventory{
		classCPU:    placement.NewInventory(n.total.cpu),
		classMemory: placement.NewInventory(n.total.memory),
	}, placement.AnyGeneration)
	inv := map[string]placement.Inventory{classGPU: placement.NewInventory(trace.GPUMilli)}
	for g := 1; g <= len(n.gpus) && err == nil; g++ {
		if _, err = e.SetInventories(ctx, providerUUID(i, g), inv, placement.AnyGeneration); err == nil {
			_, err = e.SetTraits(ctx, providerUUID(i, g), []string{gpuTrait(n.model)}, placement.AnyGeneration)
		}
	}
	return err
}

// request asks for the candidates of a task: CPU and memory in the group
// without a suffix, each GPU in an isolated group of its own.
func request(t *trace.Task) placement.CandidateRequest {
	req := placement.CandidateRequest{Policy: placement.PolicyIsolate, Representative: true}
	var base placement.RequestGroup
	if t.CPUMilli > 0 {
		base.Resources = append(base.Resources, placement.Resource{Class: classCPU, Amount: t.CPUMilli})
	}
	if t.MemoryMiB > 0 {
		base.Resources = append(base.Resources, placement.Resource{Class: classMemory, Amount: t.MemoryMiB})
	}
	if len(base.Resources) > 0 {
		req.Groups = append(req.Groups, base)
	}
	for g := range t.GPUs {
		group := placement.RequestGroup{
			Suffix:    fmt.Sprintf("_GPU%d", g),
			Resources: []placement.Resource{{Class: classGPU, Amount: t.GPUMilli}},
		}
		if len(t.Models) > 0 {
			group.Required = [][]string{nil}
			for _, m := range t.Models {
				group.Required[0] = append(group.Required[0], gpuTrait(m))
			}
		}
		req.Groups = append(req.Groups, group)
	}
	return req
}

// fits reports whether the task has room on the node.
func (n *node) fits(t *trace.Task) bool {
	if n.free.cpu < t.CPUMilli || n.free.memory < t.MemoryMiB {
		return false
	}
	if t.GPUs == 0 {
		return true
	}
	if t.Models != nil && !slices.Contains(t.Models, n.model) {
		return false
	}
	room := 0
	for _, free := range n.gpus {
		if free >= t.GPUMilli {
			room++
		}
	}
	return room >= t.GPUs
}

// rank scores a candidate of a task: the node by the age of its first claim
// or by what would stay free of it, its GPUs by what would stay free.
func (c *cluster) rank(t *trace.Task, cand *placement.Candidate, byAge bool) (score, error) {
	i, _ := position(cand.Root)
	if i >= len(c.nodes) {
		return score{}, fmt.Errorf("wrong answer: candidate in unknown tree %s", cand.Root)
	}
	n := &c.nodes[i]
	s := score{node: n.opened}
	if !byAge {
		s.node = share(n.free.cpu-t.CPUMilli, n.total.cpu) +
			share(n.free.memory-t.MemoryMiB, n.total.memory) +
			share(n.free.gpu-int64(t.GPUs)*t.GPUMilli, n.total.gpu)
	}
	for _, a := range cand.Allocations {
		if _, member := position(a.Provider); member > 0 && member <= len(n.gpus) {
			s.inside += n.gpus[member-1] - a.Amount
		}
	}
	return s, nil
}

// share returns part of whole in millionths, 0 when there is no whole.
func share(part, whole int64) int64 {
	if whole == 0 {
		return 0
	}
	return part * 1_000_000 / whole
}

// take books a claim of a task, and refuses what no node can give.
func (c *cluster) take(t *trace.Task, claimed []placement.Allocation) error {
	i, _ := position(claimed[0].Provider)
	if i >= len(c.nodes) || !c.nodes[i].fits(t) {
		return fmt.Errorf("wrong answer: task %s does not fit on node %d", t.Name, i)
	}
	n := &c.nodes[i]
	var got amounts
	gpus := 0
	for _, a := range claimed {
		at, member := position(a.Provider)
		switch {
		case at == i && member == 0 && a.Class == classCPU:
			got.cpu += a.Amount
		case at == i && member == 0 && a.Class == classMemory:
			got.memory += a.Amount
		case at == i && member > 0 && member <= len(n.gpus) && a.Class == classGPU &&
			a.Amount == t.GPUMilli && n.gpus[member-1] >= a.Amount:
			n.gpus[member-1] -= a.Amount
			got.gpu += a.Amount
			gpus++
		default:
			return fmt.Errorf("wrong answer: task %s cannot have %d %s on provider %s", t.Name, a.Amount, a.Class, a.Provider)
		}
	}
	if want := (amounts{t.CPUMilli, t.MemoryMiB, int64(t.GPUs) * t.GPUMilli}); got != want || gpus != t.GPUs {
		return fmt.Errorf("wrong answer: task %s got %+v on %d GPUs, asked for %+v on %d", t.Name, got, gpus, want, t.GPUs)
	}
	if n.opened == unopened {
		n.opened = c.opened
		c.opened++
	}
	n.free.add(amounts{-got.cpu, -got.memory, -got.gpu})
	c.free.add(amounts{-got.cpu, -got.memory, -got.gpu})
	return nil
}

// refuse checks that a task without candidates fits nowhere.
func (c *cluster) refuse(t *trace.Task) error {
	for i := range c.nodes {
		if c.nodes[i].fits(t) {
			return fmt.Errorf("wrong answer: no candidate for task %s, which fits on node %d", t.Name, i)
		}
	}
	return nil
}

// compare checks the usages of every provider.
func (c *cluster) compare(e Claimer) error {
	for i := range c.nodes {
		n := &c.nodes[i]
		want := map[string]int64{classCPU: n.total.cpu - n.free.cpu, classMemory: n.total.memory - n.free.memory}
		if err := expectUsage(e, providerUUID(i, 0), want); err != nil {
			return err
		}
		for g, free := range n.gpus {
			if err := expectUsage(e, providerUUID(i, g+1), map[string]int64{classGPU: trace.GPUMilli - free}); err != nil {
				return err
			}
		}
	}
	return nil
}
