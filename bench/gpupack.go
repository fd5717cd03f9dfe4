package bench

import (
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

// gpuPacker chooses nodes of a cluster by fragmentation.
type gpuPacker struct {
	cluster *cluster
	kinds   map[string]uint64 // bits of GPU models
	mix     pack.Mix
	relearn int64 // number of tasks; 0: the mix is given
	paper   bool
	empty   []pack.Room // of all nodes without claims
	ranker  *pack.Ranker
	chosen  int       // the node that narrow chose, -1: none
	room    pack.Room // of it
}

func newGPUPacker(c *cluster, cfg *GPUConfig) (*gpuPacker, error) {
	p := &gpuPacker{cluster: c, kinds: map[string]uint64{}, paper: cfg.Policy == FGDPaper}
	for i := range c.nodes {
		if m := c.nodes[i].model; m != "" && p.kinds[m] == 0 {
			p.kinds[m] = 1 << len(p.kinds)
		}
	}
	if len(p.kinds) > pack.MaxKinds {
		return nil, fmt.Errorf("field Nodes has %d GPU models, allowed with policy fgd is: at most %d", len(p.kinds), pack.MaxKinds)
	}
	for i := range c.nodes {
		p.fill(&c.nodes[i])
		room := p.room
		room.Devices = slices.Clone(room.Devices)
		p.empty = append(p.empty, room)
	}
	if cfg.LearnMix {
		p.relearn = firstMix
	} else {
		for i := range cfg.Tasks {
			p.mix.Add(p.demand(&cfg.Tasks[i]), 1)
		}
	}
	p.learn()
	return p, nil
}

// learn makes a measure of the mix.
func (p *gpuPacker) learn() {
	var measure pack.Measure
	if p.paper {
		measure = pack.NewFragments(p.mix.Clone())
	} else {
		measure = pack.NewOffers(&p.mix, pack.OffersConfig{Weights: pack.Weights{Device: 1}, Hosts: p.empty})
	}
	p.ranker = pack.NewRanker(measure)
	for i := range p.cluster.nodes {
		p.changed(i)
	}
}

func (p *gpuPacker) demand(t *trace.Task) pack.Demand {
	d := pack.Demand{Need: [pack.Amounts]int64{t.CPUMilli, t.MemoryMiB}, Devices: t.GPUs, Share: int16(t.GPUMilli)}
	if t.GPUs > 0 && t.Models == nil {
		d.Kinds = ^uint64(0)
	}
	for _, m := range t.Models {
		d.Kinds |= p.kinds[m]
	}
	return d
}

// fill makes p.room what is free of the node.
func (p *gpuPacker) fill(n *node) {
	p.room.Free = [pack.Amounts]int64{n.free.cpu, n.free.memory}
	p.room.Kind, p.room.Devices = p.kinds[n.model], p.room.Devices[:0]
	for _, free := range n.gpus {
		p.room.Devices = append(p.room.Devices, int16(free))
	}
	slices.SortFunc(p.room.Devices, func(a, b int16) int { return int(b) - int(a) })
}

// changed tells that claims changed the node.
func (p *gpuPacker) changed(i int) {
	p.fill(&p.cluster.nodes[i])
	p.ranker.Set(i, &p.room)
}

// narrow confines the request to the best node, if there is one.
func (p *gpuPacker) narrow(req *placement.CandidateRequest, t *trace.Task) {
	d := p.demand(t)
	if p.relearn > 0 {
		p.mix.Add(d, 1)
		if p.mix.Total() == p.relearn {
			p.relearn *= 2
			p.learn()
		}
	}
	i, ok := p.ranker.Best(&d)
	if !ok {
		p.chosen, req.Limit = -1, 1 // the engine has to agree
		return
	}
	p.chosen = i
	p.fill(&p.cluster.nodes[i])
	for k := range req.Groups {
		req.Groups[k].InTree = providerUUID(i, 0)
	}
}

// rank scores a candidate on the node that narrow chose by what its claim
// would strand.
func (p *gpuPacker) rank(t *trace.Task, c *placement.Candidate) (score, error) {
	i, _ := position(c.Root)
	if i != p.chosen {
		return score{}, fmt.Errorf("wrong answer: candidate for task %s in tree %s", t.Name, c.Root)
	}
	d, first, left := p.demand(t), 0, int64(0)
	for _, a := range c.Allocations {
		if _, member := position(a.Provider); member > 0 && member <= len(p.cluster.nodes[i].gpus) {
			at := slices.Index(p.room.Devices, int16(p.cluster.nodes[i].gpus[member-1]))
			first = max(first, at-t.GPUs+1)
			left += p.cluster.nodes[i].gpus[member-1] - a.Amount
		}
	}
	return score{node: int64(1e6 * p.ranker.With(&p.room, &d, first)), inside: left}, nil
}
