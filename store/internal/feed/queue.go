package feed

// queue is a first-in first-out list. Its zero value is empty.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) len() int { return len(q.items) - q.head }

func (q *queue[T]) at(i int) T { return q.items[q.head+i] }

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }

// pop removes the oldest item. It moves the rest down when half of the array
// is free, so an item moves once on average.
func (q *queue[T]) pop() T {
	var zero T
	v := q.items[q.head]
	q.items[q.head] = zero
	q.head++
	if q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}
