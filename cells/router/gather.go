package router

import (
	"context"
	"errors"
	"fmt"
)

// Answer is what a cell has answered.
type Answer[A any] struct {
	Cell  Cell
	Value A
}

// Missing is a cell that did not answer, and why: an [*AwayError], or the
// error that was its answer.
type Missing struct {
	Cell Cell
	Err  error
}

// Gathered is what cells have answered together.
type Gathered[A any] struct {
	Answers []Answer[A] // in the order of the cells; nil when there are none
	Missing []Missing   // likewise
}

// Err returns nil when every cell has answered, or an error that names those
// that did not and wraps why.
func (g *Gathered[A]) Err() error { return missed(g.Missing) }

func missed(missing []Missing) error {
	var all []error
	for _, m := range missing {
		if errors.Is(m.Err, ErrAway) {
			all = append(all, m.Err) // names its cell
		} else {
			all = append(all, fmt.Errorf("cell %s: %w", m.Cell, m.Err))
		}
	}
	return errors.Join(all...)
}

// Gather asks the cells for which among holds (nil: all of them), all at once,
// and returns what has come when all have answered, Config.Timeout is over, or
// ctx has ended. It returns then even if ask goes on.
func Gather[C, A any](ctx context.Context, r *Router[C], among func(Cell) bool, ask func(context.Context, C) (A, error)) Gathered[A] {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	asked := r.current.Load().among(among)
	var all Gathered[A]
	for i, res := range fan(ctx, asked, func(ctx context.Context, _ int, client C) (A, error) { return ask(ctx, client) }) {
		switch {
		case res.err == nil:
			all.Answers = append(all.Answers, Answer[A]{asked[i].cell, res.value})
		case !errors.Is(res.err, errGone):
			all.Missing = append(all.Missing, Missing{asked[i].cell, res.err})
		}
	}
	return all
}

// result is how a cell has answered.
type result[A any] struct {
	i     int
	value A
	err   error
}

// fan asks cells, all at once, and returns their answers in their order when
// all have answered or ctx has ended.
func fan[C, A any](ctx context.Context, asked []placed[C], ask func(context.Context, int, C) (A, error)) []result[A] {
	start := now()
	heard := make(chan result[A], len(asked))
	each(len(asked), func(i int) {
		res := result[A]{i: i}
		res.err = asked[i].member.call(ctx, func(ctx context.Context, client C) (err error) {
			res.value, err = ask(ctx, i, client)
			return err
		})
		heard <- res
	})
	results := make([]result[A], len(asked))
	open := make([]bool, len(asked))
	for i := range open {
		open[i] = true
	}
	take := func(res result[A]) { results[res.i], open[res.i] = res, false }
	for range asked {
		select {
		case res := <-heard:
			take(res)
			continue
		case <-ctx.Done():
		}
		for len(heard) > 0 {
			take(<-heard)
		}
		break
	}
	for i := range asked {
		if open[i] {
			results[i].err = asked[i].member.overdue(ctx, start)
		}
	}
	return results
}
