package bench

import "github.com/kilonova-cloud/kilonova/bench/trace"

// departure is one virtual machine that will leave.
type departure struct {
	at   int64 // microseconds
	seq  int   // number of its arrival
	host int
	vm   *trace.VM
}

// departures is a heap (for container/heap) by time, then by arrival.
type departures []departure

func (d *departures) Len() int { return len(*d) }

func (d *departures) Less(i, j int) bool {
	a, b := &(*d)[i], &(*d)[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (d *departures) Swap(i, j int) { (*d)[i], (*d)[j] = (*d)[j], (*d)[i] }

// Push adds a departure, which x must be.
func (d *departures) Push(x any) { *d = append(*d, x.(departure)) }

// Pop removes the last element.
func (d *departures) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
