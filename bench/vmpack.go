package bench

import (
	"github.com/kilonova-cloud/kilonova/bench/trace"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

// firstMix is how many arrivals vmPacker sees before it knows a mix; it looks
// again whenever their number has doubled.
const firstMix = 16

// vmPacker chooses among occupied hosts by fragmentation, with the mix of the
// virtual machines that have arrived.
type vmPacker struct {
	weights pack.Weights
	mix     pack.Mix
	ranker  *pack.Ranker
	relearn int64 // number of arrivals
}

func newVMPacker(host HostShape) *vmPacker {
	p := &vmPacker{relearn: firstMix}
	p.weights.Amounts = [pack.Amounts]float64{1 / float64(host.CPUMilli), 1 / float64(host.MemMilli)}
	p.learn(nil)
	return p
}

// learn makes futures of what has arrived so far.
func (p *vmPacker) learn(hosts []vmHost) {
	p.ranker = pack.NewRanker(pack.NewOffers(&p.mix, pack.OffersConfig{Weights: p.weights}))
	for i := range hosts {
		p.changed(i, &hosts[i])
	}
}

// changed tells what is free of a host: nothing while it is empty, as empty
// hosts are not chosen from.
func (p *vmPacker) changed(i int, h *vmHost) {
	var room pack.Room
	if h.vms > 0 {
		room.Free = [pack.Amounts]int64{h.free.CPUMilli, h.free.MemMilli}
	}
	p.ranker.Set(i, &room)
}

// narrow confines the request to the best host, if there is one.
func (p *vmPacker) narrow(req *placement.CandidateRequest, hosts []vmHost, vm *trace.VM) {
	d := pack.Demand{Need: [pack.Amounts]int64{vm.CPUMilli, vm.MemMilli}}
	p.mix.Add(d, 1)
	if p.mix.Total() == p.relearn {
		p.relearn *= 2
		p.learn(hosts)
	}
	if i, ok := p.ranker.Best(&d); ok {
		req.Groups[0].InTree = providerUUID(i, 0)
	}
	req.Limit = 1
}
