package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"
)

// now is the clock of the goroutines here.
func now() time.Time { return time.Now() }

// start begins to watch over a cell, until it is removed.
func (r *Router[C]) start(ctx context.Context, m *member[C]) {
	ctx, stop := context.WithCancel(ctx)
	m.stop = stop
	r.loops.Go(func() { m.loop(ctx) })
}

// loop dials and probes a cell whenever there is reason to, and again after a
// while when it was in vain.
func (m *member[C]) loop(ctx context.Context) {
	pause := backoff{longest: m.cfg.LongestWait}
	for {
		if m.tend(ctx) {
			pause.recovered(now())
			select {
			case <-m.wake:
			case <-ctx.Done():
				return
			}
			if m.status(m.of()).Away && !m.rest(ctx, pause.before(now())) {
				return
			}
			continue
		}
		pause.failed()
		if !m.rest(ctx, pause.wait) {
			return
		}
	}
}

// rest waits for about d, or for news, and reports whether to go on after it.
func (m *member[C]) rest(ctx context.Context, d time.Duration) bool {
	if d > 0 {
		d = d/2 + rand.N(d/2+1) // so that not everybody asks at once
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-m.wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// tend does what is to be done, and reports whether all is well then.
func (m *member[C]) tend(ctx context.Context) bool {
	m.mu.Lock()
	cell, current, away := m.cell, m.line, m.health.away
	m.mu.Unlock()
	well := true
	if current == nil || current.to != cell.address() {
		well = m.dial(ctx, cell)
	}
	if current != nil && away {
		well = m.probe(ctx) && well
	}
	return well
}

func (m *member[C]) dial(ctx context.Context, cell Cell) bool {
	limited, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	client, err := m.cfg.Dial(limited, cell)
	if err != nil {
		if ctx.Err() == nil {
			m.cfg.Logger.WarnContext(ctx, "cell cannot be connected", slog.Any("cell", cell), slog.Any("error", err))
		}
		m.unconnected(now(), fmt.Errorf("connect: %w", err))
		return false
	}
	m.connect(client, cell.address(), now())
	return true
}

// probe asks a cell that is away, and reports whether it has answered.
func (m *member[C]) probe(ctx context.Context) bool {
	m.mu.Lock()
	l, cell := m.line, m.cell
	if l == nil {
		m.mu.Unlock()
		return true // removed
	}
	l.users++
	m.mu.Unlock()
	defer m.release(l)
	limited, cancel := context.WithTimeout(ctx, m.cfg.Timeout)
	defer cancel()
	err := m.heard(limited, l, now(), m.cfg.Probe(limited, l.client))
	if errors.Is(err, ErrAway) || ctx.Err() != nil {
		return false
	}
	m.cfg.Logger.InfoContext(ctx, "cell answers again", slog.Any("cell", cell))
	return true
}

// each calls ask for every number below n, each in a goroutine of its own.
func each(n int, ask func(int)) {
	for i := range n {
		go ask(i)
	}
}

// Follow keeps the cells as src tells them, until ctx ends or the router is
// closed, and returns why. While src fails, the cells stay as they are.
func (r *Router[C]) Follow(ctx context.Context, src Source) error {
	pause := backoff{longest: r.cfg.LongestWait}
	for {
		cells, revision, err := src.Cells(ctx)
		if err == nil {
			err = r.Set(ctx, cells)
		}
		if err == nil {
			pause.wait = 0
			err = src.Changed(ctx, revision)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrClosed):
			return err
		case err == nil:
			continue
		}
		r.cfg.Logger.WarnContext(ctx, "cells are not known anew", slog.Any("error", err))
		pause.failed()
		select {
		case <-time.After(pause.wait):
		case <-ctx.Done():
		}
	}
}
