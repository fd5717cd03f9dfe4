package placement

import (
	"errors"

	"github.com/kilonova-cloud/kilonova/store"
)

// noteSpace notes what the store said of a batch: that it has no space, or that
// it is committed.
func (e *Engine) noteSpace(err error) {
	if err != nil && !errors.Is(err, store.ErrNoSpace) {
		return
	}
	e.plan.Lock()
	defer e.plan.Unlock()
	if e.full = err; err == nil {
		return
	}
	select {
	case e.fill <- struct{}{}:
	default:
	}
}

// probe sends a batch, if need be an empty one, where the store is still known
// to be full. It reports whether it was.
func (e *Engine) probe() bool {
	e.plan.Lock()
	defer e.plan.Unlock()
	if e.full == nil || e.failed != nil {
		return false
	}
	if len(e.flying) == 0 {
		e.openBatch()
		e.seal()
	}
	return true
}
