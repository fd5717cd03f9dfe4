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

// errTaken: another engine writes alone; its turn has to be ended.
var errTaken = errors.New("another engine has the turn")

// turns says how an engine shares the right to write (INV-17). Engine.plan
// guards it; only the follow loop changes now.
//
// An engine that has the turn knows all that there is to know: what it plans
// can be refused only by the end of the turn, which every batch expects not to
// have come. So its claims leave the records of states as they are, and
// consumers' records have the stamps of their providers instead: half the
// records. Any other engine that wants to write ends the turn first, and waits
// until its world has everything that was written in it.
type turns struct {
	now     intent.Turn // as of the world
	freeing *batch      // done when another engine's turn has ended; nil: nobody sees to that
	heard   time.Time   // when something of another engine came
	full    int         // batches sent beside others since the last look
}

// taken reports whether another engine writes alone; plan is held.
func (e *Engine) taken() bool {
	return e.intents != nil && e.turns.now.Holder != "" && e.turns.now.Holder != e.intents.Owner()
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
	e.turns.now = e.intents.Turn()
	e.dropOpen(errDropped, 0)
	e.cfg.Logger.Debug("turn to write", slog.Uint64("epoch", e.turns.now.Epoch), slog.Bool("alone", e.alone()), slog.Bool("taken", e.taken()))
}

// takeTurn takes the turn when nobody has it, nobody else has written for a
// while, and it is worth it.
func (e *Engine) takeTurn(ctx context.Context) error {
	e.plan.Lock()
	now, full := e.turns.now, e.turns.full
	due := now.Holder == "" && full >= busy && e.cfg.Now().Sub(e.turns.heard) >= lonely
	e.turns.full = 0
	e.plan.Unlock()
	if !due {
		return nil
	}
	_, err := e.intents.TakeTurn(ctx, now.Epoch)
	return err
}

// freeTurn ends another engine's turn, and waits until the world has all that
// was written in it. Who comes meanwhile waits for turns.freeing.
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
		err = fmt.Errorf("end another engine's turn: %w", err)
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
