package bench

import (
	"slices"

	"github.com/kilonova-cloud/kilonova/bench/trace"
)

// numaBound returns how many of the requests any algorithm can place at most,
// even one that knows them all: of an affinity group no more than fit on one
// host, of the others all.
func numaBound(hosts []trace.NUMAHost, requests []trace.NUMARequest) int {
	groups := map[int][]trace.NUMARequest{}
	bound := 0
	for _, q := range requests {
		if q.Rule == trace.Affinity {
			groups[q.Group] = append(groups[q.Group], q)
		} else {
			bound++
		}
	}
	shapes := slices.Clone(hosts)
	slices.SortFunc(shapes, compareCells)
	shapes = slices.CompactFunc(shapes, func(a, b trace.NUMAHost) bool { return a.Cells == b.Cells })
	for _, members := range groups {
		most := 0
		for i := range shapes {
			most = max(most, atMost(&shapes[i].Cells, members))
		}
		bound += most
	}
	return bound
}

func compareCells(a, b trace.NUMAHost) int {
	for c := range a.Cells {
		if d := a.Cells[c].VCPUs - b.Cells[c].VCPUs; d != 0 {
			return int(d)
		}
		if d := a.Cells[c].GiB - b.Cells[c].GiB; d != 0 {
			return int(d)
		}
	}
	return 0
}

// atMost bounds how many of the members fit on an empty host: those that take
// the least fit together, in vCPUs and in memory, and each cell for itself
// holds no more parts than the smallest ones.
func atMost(cells *[trace.Cells]trace.Cell, members []trace.NUMARequest) int {
	var whole trace.Cell
	var parts [trace.Cells]int
	each, one := func(q *trace.NUMARequest) int64 { return int64(q.Cells) }, func(*trace.NUMARequest) int64 { return 1 }
	for c, room := range cells {
		whole.VCPUs += room.VCPUs
		whole.GiB += room.GiB
		parts[c] = smallest(room, members, one)
	}
	n := smallest(whole, members, each)
	if slices.ContainsFunc(members, func(q trace.NUMARequest) bool { return q.Cells == 1 }) {
		return min(n, parts[0]+parts[1])
	}
	return min(n, parts[0], parts[1]) // each takes a part of both
}

// smallest returns how many of the members fit into the room when only vCPUs
// or only memory count, whichever is fewer; times says how often each takes
// its part.
func smallest(room trace.Cell, members []trace.NUMARequest, times func(*trace.NUMARequest) int64) int {
	vcpus, gib := make([]int64, len(members)), make([]int64, len(members))
	for i := range members {
		n := times(&members[i])
		vcpus[i], gib[i] = n*members[i].Part.VCPUs, n*members[i].Part.GiB
	}
	return min(prefix(vcpus, room.VCPUs), prefix(gib, room.GiB))
}

// prefix returns how many of the smallest values add up to at most room.
func prefix(values []int64, room int64) int {
	slices.Sort(values)
	for n, v := range values {
		if room -= v; room < 0 {
			return n
		}
	}
	return len(values)
}
