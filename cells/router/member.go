package router

import (
	"context"
	"sync"
	"time"
)

// line is a client, hung up when nobody uses it any more.
type line[C any] struct {
	client C
	to     address
	users  int // guarded by the member's mu; the member itself is one while the line is its own
}

// member is what serves one cell, for as long as the router has it.
type member[C any] struct {
	cfg     *Config[C]
	stop    context.CancelFunc
	wake    chan struct{} // of one: something is to be done
	settled chan struct{} // closed when the first dial has ended, or the cell was removed

	mu     sync.Mutex
	cell   Cell
	line   *line[C] // nil: not connected
	health health
	known  bool // settled is closed
	gone   bool // the cell was removed
}

func newMember[C any](cfg *Config[C], cell Cell) *member[C] {
	return &member[C]{cfg: cfg, cell: cell, wake: make(chan struct{}, 1), settled: make(chan struct{})}
}

// rouse makes the member's loop look what is to be done.
func (m *member[C]) rouse() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// change tells the member what the cell is now. The old line serves until
// there is one to the new address.
func (m *member[C]) change(cell Cell) {
	m.mu.Lock()
	defer m.mu.Unlock()
	moved := m.cell.address() != cell.address()
	m.cell = cell
	if moved {
		m.rouse()
	}
}

// remove ends the member. Calls under way keep their line.
func (m *member[C]) remove() {
	m.stop()
	m.mu.Lock()
	old := m.line
	m.line, m.gone = nil, true
	m.settle()
	m.mu.Unlock()
	m.release(old)
}

// settle ends the time in which calls wait for the first dial. It needs mu.
func (m *member[C]) settle() {
	if !m.known {
		m.known = true
		close(m.settled)
	}
}

// connect makes a dialled client the one in use, if the cell is still there.
func (m *member[C]) connect(client C, to address, now time.Time) {
	m.mu.Lock()
	old := m.line
	fresh := &line[C]{client: client, to: to, users: 1}
	if m.gone {
		old = fresh
	} else {
		m.line = fresh
		m.health = health{answered: now}
	}
	m.settle()
	m.mu.Unlock()
	m.release(old)
}

// unconnected notes a dial in vain. A line to an earlier address goes on.
func (m *member[C]) unconnected(now time.Time, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.line == nil && !m.health.away {
		m.health.leave(now, err)
	}
	m.settle()
}

// acquire returns the line to the cell, to be released, or an [*AwayError] at
// once when it is away. It waits while the first dial is under way.
func (m *member[C]) acquire(ctx context.Context) (*line[C], error) {
	if err := m.wait(ctx); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.gone:
		return nil, errGone
	case m.health.away:
		return nil, &AwayError{m.cell, m.health.since, m.health.reason}
	}
	m.line.users++
	return m.line, nil
}

// wait waits until the first dial has ended.
func (m *member[C]) wait(ctx context.Context) error {
	select {
	case <-m.settled:
		return nil
	default:
	}
	select {
	case <-m.settled:
		return nil
	case <-ctx.Done():
	}
	if ctx.Err() == context.Canceled {
		return context.Canceled // nobody waits for it any more
	}
	return &AwayError{m.of(), now(), errConnecting}
}

// release gives a line back, which may be nil.
func (m *member[C]) release(l *line[C]) {
	if l == nil {
		return
	}
	m.mu.Lock()
	l.users--
	last := l.users == 0
	m.mu.Unlock()
	if last && m.cfg.HangUp != nil {
		m.cfg.HangUp(l.client)
	}
}

func (m *member[C]) of() Cell {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.cell
}

// heard learns from the end of a call on a line: whether it was an answer. It
// returns what the caller is told.
func (m *member[C]) heard(ctx context.Context, l *line[C], start time.Time, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := now()
	if l != m.line {
		return err // of an address of the past
	}
	was := m.health.away
	told := err
	verdict := m.judge(ctx, err)
	switch verdict {
	case Answered:
		m.health.answer(end)
	case Silent:
		m.health.silence(start, end, patience(m.cfg.Timeout))
	case Absent:
		m.health.failure(start, end, err)
	}
	if verdict != Answered && ctx.Err() != context.Canceled { // or else nobody waits for it any more
		told = &AwayError{m.cell, end, err}
	}
	if m.health.away && !was {
		m.rouse()
	}
	return told
}

// judge says what the end of a call tells.
func (m *member[C]) judge(ctx context.Context, err error) Verdict {
	if err == nil {
		return Answered
	}
	verdict := Answered
	if m.cfg.Judge != nil {
		verdict = m.cfg.Judge(err)
	}
	if verdict == Answered && ctx.Err() != nil {
		return Silent
	}
	return verdict
}

// overdue notes that a call which began at start goes on although ctx has
// ended. It returns what the caller is told.
func (m *member[C]) overdue(ctx context.Context, start time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := now()
	if m.line != nil && !m.health.away {
		m.health.silence(start, end, patience(m.cfg.Timeout))
		if m.health.away {
			m.rouse()
		}
	}
	if ctx.Err() == context.Canceled {
		return context.Canceled // nobody waits for it any more
	}
	return &AwayError{m.cell, end, errNoAnswer}
}

// call lets ask talk with the cell.
func (m *member[C]) call(ctx context.Context, ask func(context.Context, C) error) error {
	l, err := m.acquire(ctx)
	if err != nil {
		return err
	}
	defer m.release(l)
	start := now()
	return m.heard(ctx, l, start, ask(ctx, l.client))
}
