package moving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/kilonova-cloud/kilonova/placement"
)

// marker is the attachment of an engine whose import is unfinished.
const marker = "kilonova.import"

// ErrUnfinished is what an engine is whose import was cut off: it holds a part
// of a world.
var ErrUnfinished = errors.New("an import into it is unfinished")

// Unfinished reports whether an import into e began and did not end.
func Unfinished(e *placement.Engine) bool { return e.Attachment(marker) != nil }

// Begin marks e as the target of an import from where, which [Finish] ends.
func Begin(ctx context.Context, e *placement.Engine, where string) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Attachments: []placement.Attachment{{Key: marker, Value: []byte(where)}}})
}

// Finish takes the mark of [Begin] away.
func Finish(ctx context.Context, e *placement.Engine) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Attachments: []placement.Attachment{{Key: marker}}})
}

// applyWorkers is how many writes share a sync.
const applyWorkers = 64

// Apply makes e hold exactly what w says, and writes only what differs. Nobody
// else may write meanwhile. It can be cut off anywhere and called again. It
// returns how many providers and consumers it wrote or removed.
func Apply(ctx context.Context, e *placement.Engine, w *World, progress func(step string, done, total int)) (writes int, err error) {
	if progress == nil {
		progress = func(string, int, int) {}
	}
	a := applying{e: e, w: w, progress: progress}
	if err := a.simple(ctx); err != nil {
		return 0, err
	}
	for range maxRounds {
		before := OfEngine(e)
		todo := a.todo(before)
		if todo == 0 {
			return a.writes, a.forgetSymbols(ctx, before)
		}
		if err := a.round(ctx, todo); err != nil {
			return a.writes, err
		}
		if a.moved == 0 {
			return a.writes, fmt.Errorf("%d records cannot be written, the first: %w", todo, a.refused)
		}
	}
	return a.writes, fmt.Errorf("records refuse each other after %d rounds, the first: %w", maxRounds, a.refused)
}

// maxRounds is how often what was refused is tried again: each round clears
// the way for others, such as a name that somebody else gave up.
const maxRounds = 100

// applying is one call of Apply. What has to be done is found anew each round.
type applying struct {
	e        *placement.Engine
	w        *World
	progress func(string, int, int)
	writes   int

	providers     [][]placement.UUID // to restore, by depth
	consumers     []placement.UUID
	goneConsumers []placement.UUID
	goneProviders [][]placement.UUID // by depth

	mu      sync.Mutex
	done    int
	moved   int   // records that this round has written
	refused error // the first one that was not
}

// todo finds what e, which holds before, lacks.
func (a *applying) todo(before *World) (n int) {
	a.providers, a.goneProviders = a.w.byDepth(), before.byDepth()
	keep := func(list []placement.UUID, keep func(placement.UUID) bool) []placement.UUID {
		list = slices.DeleteFunc(list, func(u placement.UUID) bool { return !keep(u) })
		n += len(list)
		return list
	}
	for k := range a.providers {
		a.providers[k] = keep(a.providers[k], func(u placement.UUID) bool {
			want, have := a.w.Providers[u], before.Providers[u]
			return have.UUID != u || differs(func(d *differences) { d.provider(&want, &have) })
		})
	}
	for k := range a.goneProviders {
		a.goneProviders[k] = keep(a.goneProviders[k], func(u placement.UUID) bool { _, is := a.w.Providers[u]; return !is })
	}
	a.consumers = keep(sortedKeys(a.w.Consumers), func(u placement.UUID) bool {
		want, have := a.w.Consumers[u], before.Consumers[u]
		return have.UUID != u || differs(func(d *differences) { d.consumer(&want, &have) })
	})
	a.goneConsumers = keep(sortedKeys(before.Consumers), func(u placement.UUID) bool { _, is := a.w.Consumers[u]; return !is })
	return n
}

func differs(compare func(*differences)) bool {
	var d differences
	compare(&d)
	return len(d) > 0
}

// simple writes what nothing stands in the way of.
func (a *applying) simple(ctx context.Context) error {
	for _, name := range a.w.Classes {
		if _, err := a.e.CreateClass(ctx, name); err != nil {
			return err
		}
	}
	for _, name := range a.w.Traits {
		if _, err := a.e.CreateTrait(ctx, name); err != nil {
			return err
		}
	}
	for _, att := range a.w.Attachments {
		if string(a.e.Attachment(att.Key)) == string(att.Value) {
			continue
		}
		if err := a.e.SetAllocations(ctx, placement.AllocationWrite{Attachments: []placement.Attachment{att}}); err != nil {
			return err
		}
	}
	return nil
}

// round tries everything once: consumers go, providers come, consumers come,
// providers go.
func (a *applying) round(ctx context.Context, todo int) error {
	a.done, a.moved, a.refused = 0, 0, nil
	type step struct {
		list []placement.UUID
		do   func(context.Context, placement.UUID) error
	}
	steps := []step{{a.goneConsumers, a.e.DeleteAllocations}}
	for _, level := range a.providers {
		steps = append(steps, step{level, func(ctx context.Context, u placement.UUID) error { return a.e.RestoreProvider(ctx, a.w.Providers[u]) }})
	}
	steps = append(steps, step{a.consumers, func(ctx context.Context, u placement.UUID) error { return a.e.RestoreConsumer(ctx, a.w.Consumers[u]) }})
	for _, level := range slices.Backward(a.goneProviders) {
		steps = append(steps, step{level, a.e.DeleteProvider})
	}
	for _, s := range steps {
		if err := each(ctx, applyWorkers, s.list, func() { a.count(todo) }, a.attempt(s.do)); err != nil {
			return err
		}
	}
	a.writes += a.moved
	return nil
}

func (a *applying) count(todo int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.done++
	a.progress("writing", a.done, todo)
}

// attempt makes a refusal wait for the next round: what is in the way may go.
func (a *applying) attempt(do func(context.Context, placement.UUID) error) func(context.Context, placement.UUID) error {
	return func(ctx context.Context, u placement.UUID) error {
		err := do(ctx, u)
		refusal := (*placement.InputError)(nil)
		waits := errors.As(err, &refusal) || errors.Is(err, placement.ErrInUse) || errors.Is(err, placement.ErrExists) ||
			errors.Is(err, placement.ErrHasChildren) || errors.Is(err, placement.ErrCapacity)
		a.mu.Lock()
		defer a.mu.Unlock()
		switch {
		case err == nil:
			a.moved++
		case !waits:
			return fmt.Errorf("write %s: %w", u, err)
		case a.refused == nil:
			a.refused = fmt.Errorf("%s: %w", u, err)
		}
		return nil
	}
}

// forgetSymbols removes custom classes and traits that w does not have.
func (a *applying) forgetSymbols(ctx context.Context, before *World) error {
	for _, name := range before.Classes {
		if !slices.Contains(a.w.Classes, name) {
			if err := a.e.DeleteClass(ctx, name); err != nil {
				return err
			}
		}
	}
	for _, name := range before.Traits {
		if !slices.Contains(a.w.Traits, name) {
			if err := a.e.DeleteTrait(ctx, name); err != nil {
				return err
			}
		}
	}
	return nil
}
