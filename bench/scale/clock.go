package scale

import (
	"container/heap"
	"time"
)

// clock is virtual time: what is due is done in order, at equal times in the
// order in which it was asked for.
type clock struct {
	now  time.Duration
	next uint64
	due  dueHeap
}

type task struct {
	at  time.Duration
	seq uint64
	do  func()
}

// at has do called at a time that is not before now.
func (c *clock) at(when time.Duration, do func()) {
	c.next++
	heap.Push(&c.due, task{max(when, c.now), c.next, do})
}

func (c *clock) after(wait time.Duration, do func()) { c.at(c.now+wait, do) }

// step does what is due next, and reports whether there was anything.
func (c *clock) step() bool {
	if len(c.due) == 0 {
		return false
	}
	t, _ := heap.Pop(&c.due).(task)
	c.now = t.at
	t.do()
	return true
}

type dueHeap []task

func (h *dueHeap) Len() int { return len(*h) }

func (h *dueHeap) Less(a, b int) bool {
	x, y := &(*h)[a], &(*h)[b]
	return x.at < y.at || x.at == y.at && x.seq < y.seq
}
func (h *dueHeap) Swap(a, b int) { (*h)[a], (*h)[b] = (*h)[b], (*h)[a] }

// Push implements [heap.Interface].
func (h *dueHeap) Push(x any) {
	t, _ := x.(task)
	*h = append(*h, t)
}

// Pop implements [heap.Interface].
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = task{}
	*h = (*h)[:last]
	return t
}
