package placement

import "context"

// TakeTurn takes the turn now if nobody has it.
func (e *Engine) TakeTurn(ctx context.Context) (bool, error) {
	e.plan.Lock()
	epoch := e.turns.now.Epoch
	e.plan.Unlock()
	return e.intents.TakeTurn(ctx, epoch)
}

// Alone reports whether e knows that it writes alone.
func (e *Engine) Alone() bool {
	e.plan.Lock()
	defer e.plan.Unlock()
	return e.alone()
}
