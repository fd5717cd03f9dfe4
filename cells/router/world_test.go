package router

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	errRefused = errors.New("connection refused")
	errNo      = errors.New("that is not allowed")
)

// mode is how a fake cell behaves.
type mode int32

const (
	fine mode = iota
	hung      // says nothing until the context ends
	deaf      // says nothing, and does not even look at the context
	refusing
)

// fake is a cell; what it is reached by is its client.
type fake struct {
	mode  atomic.Int32
	asked atomic.Int64
	dials atomic.Int64
	wake  chan struct{} // closed: the deaf hear again
}

// client is one line to a fake cell.
type client struct {
	to     *fake
	at     string // the database it was dialled for
	inUse  atomic.Int64
	hungUp atomic.Int64
}

func (f *fake) set(m mode) { f.mode.Store(int32(m)) }

// touch is any call.
func (f *fake) touch(ctx context.Context) error {
	switch mode(f.mode.Load()) {
	case fine:
	case hung:
		<-ctx.Done()
		return fmt.Errorf("query: %w", ctx.Err())
	case deaf:
		<-f.wake
	case refusing:
		return fmt.Errorf("dial: %w", errRefused)
	}
	return nil
}

// ask is a call on a line.
func (c *client) ask(ctx context.Context) error {
	c.inUse.Add(1)
	defer c.inUse.Add(-1)
	if c.hungUp.Load() > 0 {
		return errors.New("client was hung up")
	}
	c.to.asked.Add(1)
	return c.to.touch(ctx)
}

// world is four fake cells and a router over them.
type world struct {
	cells  []Cell
	fakes  map[string]*fake
	router *Router[*client]
	early  atomic.Int64 // clients that were hung up in use

	mu      sync.Mutex
	clients []*client
}

func newWorld(t testing.TB, cfg Config[*client]) *world {
	t.Helper()
	w := &world{fakes: map[string]*fake{}}
	for _, name := range []string{"north", "east", "south", "west"} {
		w.cells = append(w.cells, Cell{UUID: "uuid-" + name, Name: name, Database: "db", Transport: "mq"})
		w.fakes["uuid-"+name] = &fake{wake: make(chan struct{})}
	}
	cfg.Dial = func(ctx context.Context, c Cell) (*client, error) {
		f := w.fakes[c.UUID]
		f.dials.Add(1)
		if err := f.touch(ctx); err != nil {
			return nil, err
		}
		made := &client{to: f, at: c.Database}
		w.mu.Lock()
		w.clients = append(w.clients, made)
		w.mu.Unlock()
		return made, nil
	}
	cfg.Probe = func(ctx context.Context, c *client) error { return c.to.touch(ctx) }
	cfg.Judge = absent(errRefused)
	cfg.HangUp = func(c *client) {
		if c.inUse.Load() > 0 {
			w.early.Add(1)
		}
		c.hungUp.Add(1)
	}
	r, err := New(cfg)
	require.NoError(t, err)
	w.router = r
	require.NoError(t, r.Set(t.Context(), w.cells))
	return w
}

func (w *world) of(name string) *fake { return w.fakes["uuid-"+name] }

func (w *world) call(ctx context.Context, name string) error {
	return w.router.Call(ctx, "uuid-"+name, func(ctx context.Context, c *client) error { return c.ask(ctx) })
}

// list asks all cells, and returns which answered, which did not, and how
// long it took.
func (w *world) list(ctx context.Context) (answered, missing []string, took time.Duration) {
	start := time.Now()
	got := Gather(ctx, w.router, nil, func(ctx context.Context, c *client) (string, error) { return "", c.ask(ctx) })
	for _, a := range got.Answers {
		answered = append(answered, a.Cell.Name)
	}
	for _, m := range got.Missing {
		missing = append(missing, m.Cell.Name)
	}
	return answered, missing, time.Since(start)
}

// absent returns a Judge by which one error says that a cell is away.
func absent(what error) func(error) Verdict {
	return func(err error) Verdict {
		if errors.Is(err, what) {
			return Absent
		}
		return Answered
	}
}
