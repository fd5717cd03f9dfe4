package bench

import (
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/bench/trace"
)

// groupKey names a group of requests.
type groupKey struct {
	rule  trace.Rule
	group int
}

// numaGroup is where the members of a group are.
type numaGroup struct {
	host   int          // of the last member, -1: none yet
	on     map[int]bool // hosts with a member
	domain map[int]int  // of the members in a rack
}

// numaRules keeps the groups of a replay.
type numaRules struct {
	hosts  []trace.NUMAHost
	groups map[groupKey]*numaGroup
}

func newNUMARules(hosts []trace.NUMAHost) *numaRules {
	return &numaRules{hosts: hosts, groups: map[groupKey]*numaGroup{}}
}

// group returns the group of a request, nil without a rule.
func (r *numaRules) group(q *trace.NUMARequest) *numaGroup {
	if q.Rule == trace.NoRule {
		return nil
	}
	key := groupKey{q.Rule, q.Group}
	g := r.groups[key]
	if g == nil {
		g = &numaGroup{host: -1, on: map[int]bool{}, domain: map[int]int{}}
		r.groups[key] = g
	}
	return g
}

// allows reports whether the request's rule lets it go to the host.
func (r *numaRules) allows(q *trace.NUMARequest, g *numaGroup, host int) bool {
	switch q.Rule {
	case trace.Affinity:
		return g.host < 0 || g.host == host
	case trace.AntiAffinity:
		return !g.on[host]
	case trace.FaultDomain:
		domain, taken := g.domain[r.hosts[host].Rack]
		return !taken || domain == q.Domain
	default:
		return true
	}
}

// put books a request that went to a host.
func (r *numaRules) put(q *trace.NUMARequest, host int) {
	if g := r.group(q); g != nil {
		g.host, g.on[host] = host, true
		g.domain[r.hosts[host].Rack] = q.Domain
	}
}

// numaPlace is where a request went.
type numaPlace struct {
	host  int // -1: refused
	cells [trace.Cells]bool
}

// checkNUMA looks at the places of all requests in their order: at each pair
// of a group, at each cell, and for a refused request at each host. It returns
// an error for the first that is wrong, and shares no code with the replay.
func checkNUMA(hosts []trace.NUMAHost, requests []trace.NUMARequest, places []numaPlace) error {
	free := make([][trace.Cells]trace.Cell, len(hosts))
	for h := range hosts {
		free[h] = hosts[h].Cells
	}
	for i, p := range places {
		peers := peersOf(requests, places, i)
		if p.host < 0 {
			if h := roomFor(hosts, free, requests, peers, i); h >= 0 {
				return fmt.Errorf("wrong answer: request %d was refused, but host %d may take it", i, h)
			}
			continue
		}
		taken := 0
		for c := range p.cells {
			if p.cells[c] {
				taken++
				free[p.host][c].VCPUs -= requests[i].Part.VCPUs
				free[p.host][c].GiB -= requests[i].Part.GiB
			}
			if free[p.host][c].VCPUs < 0 || free[p.host][c].GiB < 0 {
				return fmt.Errorf("wrong answer: cell %d of host %d has %+v left after request %d", c, p.host, free[p.host][c], i)
			}
		}
		if taken != requests[i].Cells {
			return fmt.Errorf("wrong answer: request %d is on %d cells, asked for %d", i, taken, requests[i].Cells)
		}
		for _, j := range peers {
			if breaks(hosts, &requests[i], &requests[j.request], p.host, j.host) {
				return fmt.Errorf("wrong answer: requests %d and %d of %v group %d are on hosts %d and %d",
					j.request, i, requests[i].Rule, requests[i].Group, j.host, p.host)
			}
		}
	}
	return nil
}

// peer is an earlier member of a request's group and its host.
type peer struct{ request, host int }

func peersOf(requests []trace.NUMARequest, places []numaPlace, i int) []peer {
	var peers []peer
	for j := range i {
		if requests[j].Rule == requests[i].Rule && requests[j].Group == requests[i].Group && places[j].host >= 0 {
			peers = append(peers, peer{j, places[j].host})
		}
	}
	return peers
}

// roomFor returns a host that may take request i, -1 if there is none.
func roomFor(hosts []trace.NUMAHost, free [][trace.Cells]trace.Cell, requests []trace.NUMARequest, peers []peer, i int) int {
	for h := range hosts {
		enough := 0
		for _, cell := range free[h] {
			if cell.VCPUs >= requests[i].Part.VCPUs && cell.GiB >= requests[i].Part.GiB {
				enough++
			}
		}
		if enough >= requests[i].Cells && !slices.ContainsFunc(peers, func(j peer) bool {
			return breaks(hosts, &requests[i], &requests[j.request], h, j.host)
		}) {
			return h
		}
	}
	return -1
}

// breaks reports whether two requests of one group on two hosts break their
// rule.
func breaks(hosts []trace.NUMAHost, a, b *trace.NUMARequest, hostA, hostB int) bool {
	switch a.Rule {
	case trace.Affinity:
		return hostA != hostB
	case trace.AntiAffinity:
		return hostA == hostB
	case trace.FaultDomain:
		return a.Domain != b.Domain && hosts[hostA].Rack == hosts[hostB].Rack
	default:
		return false
	}
}
