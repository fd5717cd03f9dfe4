package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// What a Config has where it says nothing.
const (
	DefaultTimeout     = 1500 * time.Millisecond
	DefaultLongestWait = 5 * time.Second
)

// Config says how cells are reached. Its functions are called from several
// goroutines.
type Config[C any] struct {
	// Dial makes the client of a cell. It ends with its context, which ends
	// after Timeout, and is called again until it succeeds.
	Dial func(context.Context, Cell) (C, error)
	// HangUp is told of a client that nobody uses any more; nil: nobody is told.
	HangUp func(C)
	// Probe asks a cell that is away for as little as shows that it could
	// answer calls, so for its broker and its database when calls need both. It
	// ends with its context, which ends after Timeout.
	Probe func(context.Context, C) error
	// Judge says what an error of a call, or of Probe, tells of the cell. An
	// Answered is taken for Silent once the context of the call has ended. Nil:
	// all are answers.
	Judge func(error) Verdict
	// Timeout is the longest that cells that are asked together are waited for.
	// A cell that is asked for so long without an answer to anything is away.
	// 0: DefaultTimeout.
	Timeout time.Duration
	// LongestWait is the longest time between two probes of a cell that is away,
	// beside that of a probe itself. 0: DefaultLongestWait.
	LongestWait time.Duration
	// SummaryAge is how old a summary may be that lets a cell be skipped.
	// 0: DefaultSummaryAge.
	SummaryAge time.Duration
	Logger     *slog.Logger // nil: silent
}

// Verdict is what the error of a call tells of the cell.
type Verdict uint8

// What an error may tell.
const (
	Answered Verdict = iota // the cell has answered, if only to refuse
	Silent                  // no answer came in the time that the caller gave
	Absent                  // the cell, or what leads to it, is away
)

// Router knows cells and keeps a client for each.
type Router[C any] struct {
	cfg      Config[C]
	current  atomic.Pointer[snapshot[C]]
	loops    sync.WaitGroup
	mu       sync.Mutex // held while cells are set
	closed   bool
	outlooks outlooks
}

// New returns a router without cells. Its error names what is missing in cfg.
func New[C any](cfg Config[C]) (*Router[C], error) {
	switch {
	case cfg.Dial == nil:
		return nil, errors.New("Config.Dial is nil")
	case cfg.Probe == nil:
		return nil, errors.New("Config.Probe is nil")
	case cfg.Timeout < 0 || cfg.LongestWait < 0 || cfg.SummaryAge < 0:
		return nil, fmt.Errorf("Config.Timeout, LongestWait, SummaryAge are %v, %v, %v, allowed is nothing below 0",
			cfg.Timeout, cfg.LongestWait, cfg.SummaryAge)
	}
	for d, def := range map[*time.Duration]time.Duration{
		&cfg.Timeout: DefaultTimeout, &cfg.LongestWait: DefaultLongestWait, &cfg.SummaryAge: DefaultSummaryAge,
	} {
		if *d == 0 {
			*d = def
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Router[C]{cfg: cfg}
	r.current.Store(&snapshot[C]{})
	return r, nil
}

// Set replaces the cells. Those that stay keep their clients, and get a new one
// when an address has changed; the old one serves until the new one does. It
// does not wait for any cell; the end of ctx is of no matter to it. It returns [ErrClosed], or an error that names
// what is wrong with cells; then nothing has changed.
func (r *Router[C]) Set(ctx context.Context, cells []Cell) error {
	if err := check(cells); err != nil {
		return fmt.Errorf("set cells: %w", err)
	}
	old, err := r.swap(ctx, cells, false)
	for _, m := range old {
		m.remove()
	}
	return err
}

// swap makes cells the present ones and returns members that are to be removed.
func (r *Router[C]) swap(ctx context.Context, cells []Cell, closing bool) ([]*member[C], error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fmt.Errorf("set cells: %w", ErrClosed)
	}
	r.closed = closing
	before := r.current.Load()
	after := &snapshot[C]{byUUID: make(map[string]int, len(cells))}
	for i, c := range cells {
		m := before.member(c.UUID)
		if m == nil {
			m = newMember(&r.cfg, c)
			r.start(context.WithoutCancel(ctx), m)
		} else {
			m.change(c)
		}
		after.byUUID[c.UUID] = i
		after.cells = append(after.cells, placed[C]{c, m})
	}
	r.current.Store(after)
	old := gone(before, after)
	for _, m := range old {
		r.outlooks.forget(m.of().UUID)
	}
	return old, nil
}

// Close ends the watch over the cells and hangs up what is not in use; calls
// under way keep their clients until they end. Once it is closed it returns
// [ErrClosed].
func (r *Router[C]) Close() error {
	old, err := r.swap(context.Background(), nil, true)
	for _, m := range old {
		m.remove()
	}
	r.loops.Wait()
	return err
}

// Cells returns the cells, in the order in which they were set.
func (r *Router[C]) Cells() []Cell {
	present := r.current.Load().cells
	cells := make([]Cell, len(present))
	for i, p := range present {
		cells[i] = p.cell
	}
	return cells
}

// Call lets ask talk with a cell, and returns its error. The time that ctx
// leaves is all that bounds it. An error is an [*AwayError] when the cell is
// away, also when it did not answer in time, and [ErrUnknownCell] when there is
// none with this UUID. When ask was not called, nothing was asked of the cell.
func (r *Router[C]) Call(ctx context.Context, uuid string, ask func(context.Context, C) error) error {
	for {
		m := r.current.Load().member(uuid)
		if m == nil {
			return fmt.Errorf("call cell %q: %w", uuid, ErrUnknownCell)
		}
		err := m.call(ctx, ask)
		if !errors.Is(err, errGone) { // it was removed just now, and perhaps added again
			return err
		}
	}
}

// Status is how a cell is.
type Status struct {
	Cell  Cell
	Away  bool
	Since time.Time // away: the moment when it was noticed
	Err   error     // away: what it was noticed by
}

// Status returns how all cells are, in the order in which they were set. A
// cell that is being connected for the first time is not away yet.
func (r *Router[C]) Status() []Status {
	present := r.current.Load().cells
	all := make([]Status, len(present))
	for i, p := range present {
		all[i] = p.member.status(p.cell)
	}
	return all
}

func (m *member[C]) status(cell Cell) Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Cell: cell, Away: m.health.away}
	if s.Away {
		s.Since, s.Err = m.health.since, m.health.reason
	}
	return s
}
