package router

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// List reads rows of all cells as if they were one table.
type List[C, R any] struct {
	Order Order[R]
	// Fetch returns the first rows of a cell in the order that come after a row,
	// which need not exist and of which only the columns of the order are set;
	// nil: from the first row. It returns limit rows, or all when there are fewer.
	Fetch func(ctx context.Context, client C, after *R, limit int) ([]R, error)
	// Get returns the row of a cell with a key, or [ErrNotFound]. Only Find and
	// After need it.
	Get func(ctx context.Context, client C, key string) (R, error)
	// Where returns the UUID of the cell that has the row with a key, or
	// [ErrNotFound]; nil: all cells are asked.
	Where func(ctx context.Context, key string) (string, error)
	Among func(Cell) bool // the cells that are listed; nil: all
}

// Page is a part of a list.
type Page[R any] struct {
	Rows []R // in order; nil when there are none
	// Missing names the cells that have not told all that belongs into the page,
	// in their order. What they told before is in it.
	Missing []Missing
}

// Err returns nil when the page is whole, or an error that names the cells
// that are missing and wraps why.
func (p *Page[R]) Err() error { return missed(p.Missing) }

// Page returns the first rows of all cells that come after a row, or from the
// first one when after is nil, within Config.Timeout. There are fewer than
// limit only when the list is at its end, or cells are missing. It returns an
// error when limit is below 1, or ctx has been cancelled.
func (l *List[C, R]) Page(ctx context.Context, r *Router[C], after *R, limit int) (Page[R], error) {
	if limit < 1 {
		return Page[R]{}, fmt.Errorf("limit is %d, allowed is 1 or more", limit)
	}
	limited, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	asked := r.current.Load().among(l.Among)
	m := merge[C, R]{list: l, asked: asked, streams: make([]stream[R], len(asked))}
	m.fill(limited, after, share(limit, len(asked)))
	page := Page[R]{Rows: m.take(limited, limit)}
	if errors.Is(ctx.Err(), context.Canceled) {
		return Page[R]{}, fmt.Errorf("page of a list: %w", ctx.Err())
	}
	for i := range m.streams {
		if err := m.streams[i].err; err != nil && !errors.Is(err, errGone) {
			page.Missing = append(page.Missing, Missing{asked[i].cell, err})
		}
	}
	return page, nil
}

// share returns how many rows each of n cells is asked for at first: of rows
// that are spread by chance more are hardly ever needed, so that most pages
// take one round.
func share(limit, n int) int {
	if n <= 1 {
		return limit
	}
	mean := float64(limit) / float64(n)
	return min(limit, int(mean+4*math.Sqrt(mean))+16)
}

// Find returns the row with a key, from the cell that has it. It returns
// [ErrNotFound] only when that is certain, and [ErrAway] when it is not.
func (l *List[C, R]) Find(ctx context.Context, r *Router[C], key string) (*R, error) {
	if l.Where == nil {
		return l.seek(ctx, r, key)
	}
	uuid, err := l.Where(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("cell of row %q: %w", key, err)
	}
	limited, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	var row R
	err = r.Call(limited, uuid, func(ctx context.Context, client C) (err error) {
		row, err = l.Get(ctx, client, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", key, err)
	}
	return &row, nil
}

// seek asks all cells for a row.
func (l *List[C, R]) seek(ctx context.Context, r *Router[C], key string) (*R, error) {
	got := Gather(ctx, r, l.Among, func(ctx context.Context, client C) (*R, error) {
		row, err := l.Get(ctx, client, key)
		if errors.Is(err, ErrNotFound) {
			return nil, nil
		}
		return &row, err
	})
	for _, a := range got.Answers {
		if a.Value != nil {
			return a.Value, nil
		}
	}
	if err := got.Err(); err != nil {
		return nil, fmt.Errorf("row %q: %w", key, err)
	}
	return nil, fmt.Errorf("row %q: %w", key, ErrNotFound)
}

// After returns the row that a marker stands for, to begin a page after: the
// text of [Order.Marker], or a key as OpenStack's clients send it, whose row is
// then looked up. It is nil for "". It returns [ErrMarker], and what Find
// returns.
func (l *List[C, R]) After(ctx context.Context, r *Router[C], marker string) (*R, error) {
	switch {
	case marker == "":
		return nil, nil
	case isMarker(marker):
		return l.Order.Parse(marker)
	}
	return l.Find(ctx, r, marker)
}
