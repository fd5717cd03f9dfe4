package live

import (
	"context"
	"sync"

	"github.com/kilonova-cloud/kilonova/placement"
)

// turns lets requests of one server group go one after the other: at once,
// all but one of them would lose the race for its guard.
type turns struct {
	engine  *placement.Engine // waits
	mu      sync.Mutex
	waiting map[string]*turn
}

type turn struct {
	slot chan struct{} // holds one thing while nobody has the turn
	n    int           // that hold it or wait
}

// enter waits for the turn of key.
func (t *turns) enter(ctx context.Context, key string) error {
	t.mu.Lock()
	own := t.waiting[key]
	if own == nil {
		own = &turn{slot: make(chan struct{}, 1)}
		own.slot <- struct{}{}
		t.waiting[key] = own
	}
	own.n++
	t.mu.Unlock()
	if err := t.engine.Await(ctx, own.slot); err != nil {
		t.drop(key)
		return err
	}
	return nil
}

// leave ends the turn.
func (t *turns) leave(key string) {
	t.mu.Lock()
	t.waiting[key].slot <- struct{}{}
	t.mu.Unlock()
	t.drop(key)
}

func (t *turns) drop(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if own := t.waiting[key]; own.n == 1 {
		delete(t.waiting, key)
	} else {
		own.n--
	}
}
