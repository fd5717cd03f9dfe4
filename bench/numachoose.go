package bench

import (
	"math/rand/v2"

	"github.com/kilonova-cloud/kilonova/bench/trace"
)

// numaChooser chooses hosts and cells for a policy.
type numaChooser struct {
	replay *numaReplay
	policy Policy
	rng    *rand.Rand  // for Random
	packer *numaPacker // for FGD
}

func newNUMAChooser(r *numaReplay, rng *rand.Rand) *numaChooser {
	c := &numaChooser{replay: r, policy: r.cfg.Policy, rng: rng}
	if c.policy == FGD {
		c.packer = newNUMAPacker(r)
	}
	return c
}

// host returns the host for a request and the first cell it takes there, -1
// when no host has room and is allowed. Of equals the lowest number is taken.
func (c *numaChooser) host(q *trace.NUMARequest) (host, cell int) {
	if c.packer != nil {
		return c.packer.host(q)
	}
	host, cell = -1, 0
	var best score
	g, n := c.replay.rules.group(q), 0
	for i := range c.replay.hosts {
		h := &c.replay.hosts[i]
		first, ok := c.cell(h, q)
		if !ok || !c.replay.rules.allows(q, g, i) {
			continue
		}
		n++
		s := c.score(i, q)
		if host < 0 || c.policy == Random && c.rng.IntN(n) == 0 || c.policy != Random && s.less(best) {
			host, cell, best = i, first, s
		}
		if c.policy == FirstFit {
			break
		}
	}
	return host, cell
}

// score ranks a host, the lowest is preferred.
func (c *numaChooser) score(i int, q *trace.NUMARequest) score {
	h := &c.replay.hosts[i]
	switch c.policy {
	case HostAge:
		if h.opened == 0 {
			return score{node: unopened}
		}
		return score{node: int64(h.opened)}
	case BestFit, Lifetime:
		return score{node: c.left(i, q)}
	case WorstFit:
		return score{node: -c.left(i, q)}
	default:
		return score{}
	}
}

// left is the sum, over vCPUs and memory, of the share of the host's own
// total that stays free, in millionths.
func (c *numaChooser) left(i int, q *trace.NUMARequest) int64 {
	var total, free trace.Cell
	for k, room := range c.replay.cfg.Hosts[i].Cells {
		total = trace.Cell{VCPUs: total.VCPUs + room.VCPUs, GiB: total.GiB + room.GiB}
		free = trace.Cell{VCPUs: free.VCPUs + c.replay.hosts[i].free[k].VCPUs, GiB: free.GiB + c.replay.hosts[i].free[k].GiB}
	}
	n := int64(q.Cells)
	return share(free.VCPUs-n*q.Part.VCPUs, total.VCPUs) + share(free.GiB-n*q.Part.GiB, total.GiB)
}

// cell returns the first cell that the request takes on a host: of two that
// will do the one with less vCPUs free, or with worst-fit the one with more;
// false when it does not fit.
func (c *numaChooser) cell(h *numaHost, q *trace.NUMARequest) (int, bool) {
	a, b := holds(h.free[0], q.Part), holds(h.free[1], q.Part)
	if q.Cells == trace.Cells {
		return 0, a && b
	}
	if more := h.free[1].VCPUs - h.free[0].VCPUs; a && b {
		if c.policy == WorstFit && more > 0 || c.policy != WorstFit && more < 0 {
			return 1, true
		}
		return 0, true
	}
	if b {
		return 1, true
	}
	return 0, a
}

func holds(room, part trace.Cell) bool { return part.VCPUs <= room.VCPUs && part.GiB <= room.GiB }

// changed tells that a claim changed a host.
func (c *numaChooser) changed(host int) {
	if c.packer != nil {
		c.packer.changed(host)
	}
}
