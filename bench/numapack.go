package bench

import "github.com/kilonova-cloud/kilonova/bench/trace"

// openScarce weighs what opening a host costs in copies, per request seen,
// against the size of the host in average cells.
const openScarce = 1e5

// numaPacker chooses hosts by the copies of each demand that still fit
// somewhere: the fewer of a demand are left, and the more often it is asked
// for, the more a copy of it is worth.
type numaPacker struct {
	replay  *numaReplay
	unit    [2]float64 // of a vCPU and of a GiB: 1 is an average cell
	demands []numaDemand
	copies  [][]int32 // that fit on a host, by host and demand
	bound   []bool    // hosts with members of an affinity group
}

// numaDemand is a size of requests.
type numaDemand struct {
	part  trace.Cell
	cells int
	seen  int64   // requests
	total int64   // copies on all hosts
	worth float64 // of a copy, at the present request
}

// numaRank orders hosts, the lowest first.
type numaRank struct {
	alike int32   // less the copies of the request that fit, for the first of an affinity group
	class int     // used, unused, used by an affinity group
	cost  float64 // worth of the copies that will no longer fit
}

func (a *numaRank) less(b *numaRank) bool {
	if a.alike != b.alike {
		return a.alike < b.alike
	}
	if a.class != b.class {
		return a.class < b.class
	}
	return a.cost < b.cost
}

func newNUMAPacker(r *numaReplay) *numaPacker {
	p := &numaPacker{replay: r, copies: make([][]int32, len(r.hosts)), bound: make([]bool, len(r.hosts))}
	var total trace.Cell
	for i := range r.hosts {
		total = plus(total, plus(r.hosts[i].free[0], r.hosts[i].free[1]))
	}
	n := float64(trace.Cells * len(r.hosts))
	p.unit = [2]float64{n / float64(total.VCPUs), n / float64(total.GiB)}
	return p
}

func plus(a, b trace.Cell) trace.Cell {
	return trace.Cell{VCPUs: a.VCPUs + b.VCPUs, GiB: a.GiB + b.GiB}
}

func minus(a, b trace.Cell) trace.Cell {
	return trace.Cell{VCPUs: a.VCPUs - b.VCPUs, GiB: a.GiB - b.GiB}
}

// fitting returns how many copies of the demand fit into the cells.
func (d *numaDemand) fitting(free *[trace.Cells]trace.Cell) int32 {
	a, b := times(free[0], d.part), times(free[1], d.part)
	if d.cells == trace.Cells {
		return int32(min(a, b))
	}
	return int32(a + b)
}

// times returns how often the part fits into a cell.
func times(room, part trace.Cell) int64 { return min(room.VCPUs/part.VCPUs, room.GiB/part.GiB) }

// changed counts the copies on a host anew.
func (p *numaPacker) changed(i int) {
	for d := range p.demands {
		n := p.demands[d].fitting(&p.replay.hosts[i].free)
		p.demands[d].total += int64(n - p.copies[i][d])
		p.copies[i][d] = n
	}
}

// see counts a request, and returns the number of its demand.
func (p *numaPacker) see(q *trace.NUMARequest) int {
	at := len(p.demands)
	for d := range p.demands {
		if p.demands[d].part == q.Part && p.demands[d].cells == q.Cells {
			at = d
		}
	}
	if at == len(p.demands) {
		p.demands = append(p.demands, numaDemand{part: q.Part, cells: q.Cells})
		for i := range p.copies {
			n := p.demands[at].fitting(&p.replay.hosts[i].free)
			p.copies[i] = append(p.copies[i], n)
			p.demands[at].total += int64(n)
		}
	}
	p.demands[at].seen++
	for d := range p.demands {
		p.demands[d].worth = float64(p.demands[d].seen) / float64(max(1, p.demands[d].total))
	}
	return at
}

// cost is what the copies are worth that no longer fit on the host when the
// request takes its cells from the first on.
func (p *numaPacker) cost(i int, q *trace.NUMARequest, first int) float64 {
	free, sum := p.replay.hosts[i].free, 0.0
	for c := range q.Cells {
		free[first+c] = minus(free[first+c], q.Part)
	}
	for d := range p.demands {
		sum += p.demands[d].worth * float64(p.copies[i][d]-p.demands[d].fitting(&free))
	}
	return sum
}

// host is numaChooser.host.
func (p *numaPacker) host(q *trace.NUMARequest) (host, cell int) {
	own := p.see(q)
	host, cell = -1, 0
	var best numaRank
	g, seen := p.replay.rules.group(q), float64(len(p.replay.places)+1)
	for i := range p.replay.hosts {
		h := &p.replay.hosts[i]
		if p.copies[i][own] == 0 || !p.replay.rules.allows(q, g, i) {
			continue
		}
		var r numaRank
		if q.Rule == trace.Affinity && g.host < 0 {
			r.alike = -p.copies[i][own]
		}
		for first := range 1 + trace.Cells - q.Cells {
			if !holds(h.free[first], q.Part) {
				continue
			}
			if r.class = p.class(i, q); host >= 0 && (r.alike > best.alike || r.alike == best.alike && r.class > best.class) {
				break // whatever it costs
			}
			r.cost = p.cost(i, q, first)
			if h.opened == 0 { // the largest first
				r.cost = openScarce*r.cost/seen - p.size(h)
			}
			if host < 0 || r.less(&best) {
				host, cell, best = i, first, r
			}
		}
	}
	if host >= 0 && q.Rule == trace.Affinity {
		p.bound[host] = true
	}
	return host, cell
}

// class ranks hosts: used ones, unused ones, and those that an affinity group
// may still need.
func (p *numaPacker) class(i int, q *trace.NUMARequest) int {
	switch {
	case p.replay.hosts[i].opened == 0:
		return 1
	case p.bound[i] && q.Rule != trace.Affinity:
		return 2
	default:
		return 0
	}
}

// size is what is free of a host, in average cells.
func (p *numaPacker) size(h *numaHost) float64 {
	all := plus(h.free[0], h.free[1])
	return p.unit[0]*float64(all.VCPUs) + p.unit[1]*float64(all.GiB)
}
