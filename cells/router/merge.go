package router

import (
	"context"
	"fmt"
)

// stream is what one cell has told of a page and was not taken yet.
type stream[R any] struct {
	rows []R
	next int
	last *R    // the row before next; nil: the one that the page begins after
	end  bool  // the cell has no more rows
	err  error // why the cell tells no more
}

func (s *stream[R]) head() *R { return &s.rows[s.next] }

// dry reports whether rows of the cell may be missing.
func (s *stream[R]) dry() bool { return s.next == len(s.rows) && !s.end && s.err == nil }

// merge makes one list of several. The heap holds the streams with rows, the
// one with the first row on top.
type merge[C, R any] struct {
	list    *List[C, R]
	asked   []placed[C]
	streams []stream[R]
	heap    []int
}

// fill asks the cells that have run dry for n rows after the last ones taken.
func (m *merge[C, R]) fill(ctx context.Context, first *R, n int) {
	var who []int
	var cells []placed[C]
	var afters []*R
	for i := range m.streams {
		if s := &m.streams[i]; s.dry() {
			who, cells, afters = append(who, i), append(cells, m.asked[i]), append(afters, s.after(first))
		}
	}
	told := fan(ctx, cells, func(ctx context.Context, k int, client C) ([]R, error) {
		return m.list.Fetch(ctx, client, afters[k], n)
	})
	for k, res := range told {
		s := &m.streams[who[k]]
		s.rows, s.next, s.err = res.value, 0, res.err
		s.end = len(res.value) < n
		if s.err == nil {
			s.err = m.inOrder(afters[k], res.value)
		}
		if s.err != nil {
			s.rows = nil
		}
		if len(s.rows) > 0 {
			m.push(who[k])
		}
	}
}

func (s *stream[R]) after(first *R) *R {
	if s.last != nil {
		return s.last
	}
	return first
}

// inOrder returns an error when rows are not in order or not after a row.
func (m *merge[C, R]) inOrder(after *R, rows []R) error {
	for i := range rows {
		if after != nil && m.list.Order.Compare(after, &rows[i]) >= 0 {
			return fmt.Errorf("row %q comes after %q: %w", m.list.Order.key(&rows[i]).text, m.list.Order.key(after).text, ErrDisorder)
		}
		after = &rows[i]
	}
	return nil
}

// take returns the first limit rows. Cells that run dry are asked for all that
// is still needed. A row that two cells have, or that moved in the order while
// a cell was asked again, is taken once.
func (m *merge[C, R]) take(ctx context.Context, limit int) []R {
	if len(m.heap) == 0 {
		return nil
	}
	enough := min(limit, m.held())
	taken := make([]R, 0, enough)
	keys := make(map[Value]struct{}, enough)
	for len(m.heap) > 0 && len(taken) < limit {
		s := &m.streams[m.heap[0]]
		keys[m.list.Order.key(s.head())] = struct{}{}
		if len(keys) > len(taken) {
			taken = append(taken, *s.head())
		}
		s.last = s.head()
		s.next++
		if s.next < len(s.rows) {
			m.down(0)
			continue
		}
		m.pop()
		if s.dry() && len(taken) < limit {
			m.fill(ctx, nil, limit-len(taken))
		}
	}
	return taken
}

// held returns how many rows there are to take without asking again.
func (m *merge[C, R]) held() int {
	n := 0
	for i := range m.streams {
		n += len(m.streams[i].rows)
	}
	return n
}

// before reports whether the stream at a place of the heap has the earlier row.
func (m *merge[C, R]) before(a, b int) bool {
	return m.list.Order.Compare(m.streams[m.heap[a]].head(), m.streams[m.heap[b]].head()) < 0
}

func (m *merge[C, R]) push(stream int) {
	m.heap = append(m.heap, stream)
	for i := len(m.heap) - 1; i > 0 && m.before(i, (i-1)/2); i = (i - 1) / 2 {
		m.heap[i], m.heap[(i-1)/2] = m.heap[(i-1)/2], m.heap[i]
	}
}

// pop takes the stream on top away.
func (m *merge[C, R]) pop() {
	last := len(m.heap) - 1
	m.heap[0] = m.heap[last]
	m.heap = m.heap[:last]
	m.down(0)
}

// down puts the stream at a place where it belongs.
func (m *merge[C, R]) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(m.heap); child++ {
			if m.before(child, least) {
				least = child
			}
		}
		if least == i {
			return
		}
		m.heap[i], m.heap[least] = m.heap[least], m.heap[i]
		i = least
	}
}
