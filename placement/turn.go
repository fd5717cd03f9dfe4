package placement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
)

// lonely is how long nothing of another engine must have come before an engine
// takes the turn to write alone.
const lonely = time.Second

// busy is how many batches an engine must have sent beside others since it
// last looked, to take the turn.
const busy = 2

// errTaken: the turn to write alone has to end first.
var errTaken = errors.New("the turn is taken")

// turns says how an engine shares the right to write (INV-13). Engine.plan
// guards it; only the follow loop changes now.
//
// An engine that has the turn knows all that there is to know: what it plans
// can be refused only by the end of the turn, which every batch expects not to
// have come. So its claims leave the records of states as they are, and
// consumers' records have the stamps of their providers instead: half the
// records. Since the newest of all these counts, batches that claim on the same
// host need not wait for each other. Any other engine that wants to write ends
// the turn first, and waits until its world has everything that was written in
// it.
type turns struct {
	now     intent.Turn // as of the world
	void    bool        // the turn must end first: batches may be on their way that nothing here knows of
	freeing *batch      // done when the turn has ended; nil: nobody sees to that
	heard   time.Time   // when something of another engine came
	beside  int         // batches sent beside others since the last look
}

// Alone reports whether this engine is the only one that writes, see
// [Engine.TakeTurn].
func (e *Engine) Alone() bool {
	e.plan.Lock()
	defer e.plan.Unlock()
	return e.alone()
}

// TakeTurn makes this engine the only one that writes to a store that several
// share, so that a claim is one record instead of two. It reports false when
// another engine is the only one already, while a write that is larger than a
// batch is under way, and where the store is not shared or knows no limits. The
// turn lasts until another engine wants to write; then that one ends it. An
// engine that writes much while no other does takes the turn by itself, so this
// is for who knows beforehand. Errors are the store's, or that of ctx.
func (e *Engine) TakeTurn(ctx context.Context) (bool, error) {
	if e.intents == nil {
		return false, nil
	}
	e.plan.Lock()
	now := e.turns.now
	e.plan.Unlock()
	if now.Holder != "" {
		return now.Holder == e.intents.Owner(), nil
	}
	took, err := e.intents.TakeTurn(ctx, now.Epoch)
	if err != nil {
		return false, fmt.Errorf("take the turn: %w", err)
	}
	return took, nil
}

// taken reports whether the turn must end before this engine writes; plan is
// held.
func (e *Engine) taken() bool {
	return e.turns.void || e.turns.now.Holder != "" && e.turns.now.Holder != e.intents.Owner()
}

// alone reports whether this engine writes alone; plan is held.
func (e *Engine) alone() bool {
	return e.intents != nil && e.turns.now.Holder == e.intents.Owner()
}

// turnTo notes whose turn it is as of what the store has told. What is planned
// but not sent is planned anew.
func (e *Engine) turnTo() {
	if e.intents == nil || e.intents.Turn() == e.turns.now {
		return
	}
	e.plan.Lock()
	defer e.plan.Unlock()
	e.turns.now, e.turns.void = e.intents.Turn(), false
	e.dropOpen(errDropped, 0)
	e.cfg.Logger.Debug("turn to write", slog.Uint64("epoch", e.turns.now.Epoch), slog.Bool("alone", e.alone()), slog.Bool("taken", e.taken()))
}

// turnDue reports whether it is worth to take the turn: nobody else has written
// for a while, and this engine writes much.
func (e *Engine) turnDue() bool {
	e.plan.Lock()
	defer e.plan.Unlock()
	much := e.turns.beside >= busy
	e.turns.beside = 0
	return much && e.turns.now.Holder == "" && e.cfg.Now().Sub(e.turns.heard) >= lonely
}

// freeTurn ends the turn, and waits until the world has all that was written in
// it. Who comes meanwhile waits for turns.freeing.
func (e *Engine) freeTurn(ctx context.Context) error {
	e.plan.Lock()
	epoch, freeing := e.turns.now.Epoch, e.turns.freeing
	e.plan.Unlock()
	err := e.intents.FreeTurn(ctx, epoch)
	switch {
	case err == nil:
		err = e.Fresh(ctx)
	case ctx.Err() != nil:
		err = e.fresh.late(ctx)
	default:
		err = fmt.Errorf("end the turn of epoch %d: %w", epoch, err)
	}
	e.plan.Lock()
	e.turns.freeing = nil
	e.plan.Unlock()
	close(freeing.done)
	return err
}

// commit commits b, as long as its turn is not over.
func (e *Engine) commit(ctx context.Context, b *batch) (store.Result, error) {
	if e.intents == nil {
		return e.cfg.Store.Commit(ctx, b.records)
	}
	return e.intents.CommitIn(ctx, b.epoch, b.records)
}

// tell finds the states that the records of consumers will tell, so that those
// of the states need not be written.
func (t *tx) tell() {
	t.alone = true
	for k := range t.consumers {
		for _, a := range t.consumers[k].allocs {
			t.state(a.provider).told = true
		}
	}
}

// stamp gives the consumers of b what the states of their providers will be.
func (w *world) stamp(b *batch) {
	for _, t := range b.txs {
		for k := range t.consumers {
			r, last := &t.consumers[k], none
			for _, a := range r.allocs {
				if a.provider != last {
					last = a.provider
					p := w.provider(last).pend
					r.stamps = append(r.stamps, stamp{last, p.generation, p.updated})
				}
			}
		}
	}
}
