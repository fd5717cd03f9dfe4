package sim

// A queue holds what is still to happen, earliest first; what happens at the
// same moment comes in the order in which it was added. It is a heap with four
// children a node, of small entries that point to the items.
type queue struct {
	heap []entry
	free []*item
	next uint64
}

type entry struct {
	at   int64 // nanoseconds of virtual time
	seq  uint64
	item *item
}

func (e entry) before(o entry) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// add queues an item, whose memory it returns to be filled in.
func (q *queue) add(at int64) *item {
	var it *item
	if n := len(q.free); n > 0 {
		it, q.free = q.free[n-1], q.free[:n-1]
	} else {
		it = new(item)
	}
	q.put(at, it)
	return it
}

// put queues an item.
func (q *queue) put(at int64, it *item) {
	q.next++
	q.heap = append(q.heap, entry{at, q.next, it})
	q.up(len(q.heap) - 1)
}

// recycle takes back the memory of an item that has happened.
func (q *queue) recycle(it *item) {
	*it = item{}
	q.free = append(q.free, it)
}

// pop takes the earliest item out, and the moment it happens at.
func (q *queue) pop() (it *item, at int64, ok bool) {
	if len(q.heap) == 0 {
		return nil, 0, false
	}
	first := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap = q.heap[:last]
	q.down()
	return first.item, first.at, true
}

func (q *queue) up(i int) {
	e := q.heap[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

func (q *queue) down() {
	n := len(q.heap)
	if n == 0 {
		return
	}
	i, e := 0, q.heap[0]
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(4*i+5, n); c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(e) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = e
}
