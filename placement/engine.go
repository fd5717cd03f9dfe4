package placement

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
)

// Config makes an engine. The zero value is an engine in memory only.
type Config struct {
	// Store keeps every accepted change before it is acknowledged; nil: memory
	// only, everything is gone with the engine. The engine does not close it.
	// What is larger than one batch of it is written as an intent.
	Store store.Store
	// Now gives creation and update times, and says when an intent of another
	// engine is left behind; nil: it stays at 1970.
	Now func() time.Time
	// FeedSize is how many changes the feed remembers, 0: 65,536.
	FeedSize int
	// Seed makes hash tables hard to attack and record versions' batch IDs
	// unique; 0: drawn at random. Answers do not depend on it.
	Seed uint64
	// StaleAfter is how old, by Now, an engine on a store that others write to
	// may find its world before Err and Staleness say so; 0: DefaultStaleAfter.
	StaleAfter time.Duration
	// Logger hears about trouble with the store; nil: nobody does.
	Logger *slog.Logger
	// Tasks runs what an engine with a store does beside the calls of its users;
	// nil: goroutines. A simulator has its own.
	Tasks Tasks
}

// Tasks are functions that take turns, each until it waits.
type Tasks interface {
	// Go lets f take turns too. It may begin before Go returns.
	Go(f func())
	// Wait returns when it could receive from one of two channels, which may
	// be nil, and which of them it was, 0 or 1; or -1 after a time above 0; or
	// -2 when ctx ends.
	Wait(ctx context.Context, d time.Duration, one, two <-chan struct{}) int
}

// Engine is a placement inventory. It is safe for concurrent use. Readers see
// committed state only and never wait for the store.
type Engine struct {
	cfg       Config
	limit     int           // of tx.weight in one batch of the store; 0 and less: none
	weighs    bool          // the store has a limit on what expectations weigh
	inFlight  int           // batches under way at once
	intents   *intent.Store // whose turns the engine takes; nil: it takes none
	feed      *feed
	fresh     freshness
	txs       sync.Pool
	scans     sync.Pool
	summaries sync.Pool

	mu     sync.RWMutex // guards world and stamp; writers hold it for microseconds
	world  *world
	closed error  // why a memory-only engine takes no more writes
	stamp  uint64 // version of the latest batch seen; a Lamport clock

	plan   sync.Mutex // guards what follows; taken before mu
	ahead  *ahead     // nil: memory only
	open   *batch     // takes new writes; nil: none waits
	flying []*batch   // are being committed, in the order in which they were sealed
	sealed []*batch   // those of them that no commit loop has begun with
	work   chan struct{}
	loaded uint64 // revision of the snapshot that the world began with
	failed error  // the store or its feed is gone for good
	turns  turns
	full   error         // the store has no space: what it said
	fill   chan struct{} // wakes the loop that waits for space
	ids    *rand.Rand

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Open makes an engine and loads what its store holds. It returns
// [store.ErrDamaged] or [store.ErrNewerFormat] when the records cannot be
// trusted or read.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	if cfg.FeedSize == 0 {
		cfg.FeedSize = 1 << 16
	}
	if cfg.FeedSize < 0 {
		return nil, badInput("FeedSize", cfg.FeedSize, "0 or more")
	}
	if cfg.StaleAfter < 0 {
		return nil, badInput("StaleAfter", cfg.StaleAfter, "0 or more")
	}
	cfg.StaleAfter = cmp.Or(cfg.StaleAfter, DefaultStaleAfter)
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Unix(0, 0) }
	}
	for cfg.Seed == 0 {
		cfg.Seed = rand.Uint64() //nolint:forbidigo // an unpredictable seed is the point
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		cfg: cfg, feed: newFeed(cfg.FeedSize), world: newWorld(cfg.Seed),
		work: make(chan struct{}, 1), fill: make(chan struct{}, 1), ids: rand.New(rand.NewPCG(cfg.Seed, rand.Uint64())), //nolint:forbidigo // batch IDs are unique, not replayable
		stop: func() {},
	}
	e.txs.New = func() any { return new(tx) }
	e.scans.New = func() any { return new(scan) }
	e.summaries.New = func() any { return new(summaryReader) }
	if cfg.Store == nil {
		return e, nil
	}
	l := cfg.Store.Limits()
	if shared, able := cfg.Store.(store.Shared); able && l.Shared {
		e.fresh.shared, e.fresh.kick, e.fresh.asOf = shared, make(chan struct{}, 1), cfg.Now()
	}
	if l.Records > 0 || l.Bytes > 0 {
		e.limit, e.weighs = l.Records-intent.DirectoryWeight, l.Weight > 0
		if e.weighs {
			e.limit = min(e.limit, l.Weight-intent.DirectoryWeight)
		}
		e.cfg.Store = intent.Wrap(cfg.Store, intent.Config{Now: cfg.Now})
	}
	if it, able := e.cfg.Store.(*intent.Store); able && e.Shared() {
		e.intents = it
	}
	e.inFlight = max(1, e.cfg.Store.Limits().InFlight)
	var err error
	if e.world, e.loaded, err = e.load(ctx); err != nil {
		return nil, fmt.Errorf("load placement: %w", err)
	}
	e.ahead = newAhead()
	e.turns.heard = cfg.Now()
	e.turnTo()
	e.fresh.advance(e.loaded)
	e.start(e.loaded) //nolint:contextcheck // the engine outlives the call that opens it
	return e, nil
}

// Await waits until c has something to receive, in whatever way the engine's
// own waiting is done (see [Tasks]), or returns the error of ctx.
func (e *Engine) Await(ctx context.Context, c <-chan struct{}) error {
	if e.wait(ctx, 0, c, nil) == stopWaiting {
		return ctx.Err()
	}
	return nil
}

// Close stops the engine. Writes that are waiting end with [ErrClosed] or
// [ErrUnknownOutcome]; the store stays open.
func (e *Engine) Close() error {
	e.stop()
	e.stopped.Wait()
	e.fail(ErrClosed)
	return nil
}

// Err returns nil while the engine can accept writes and is not stale, for
// readiness checks. It is [ErrNoSpace] from the first write that found the
// store full until one that did not; without any, the engine tries by itself.
func (e *Engine) Err() error {
	e.plan.Lock()
	failed, full := e.failed, e.full
	e.plan.Unlock()
	if failed != nil {
		return failed
	}
	if full != nil {
		return fmt.Errorf("writes are refused: %w", full)
	}
	_, stale := e.Staleness()
	return stale
}

// write plans a change and returns when it is durable and visible.
func (e *Engine) write(ctx context.Context, plan func(*tx) error) error {
	if e.ahead == nil {
		return e.writeMemory(plan)
	}
	fresh := !e.Shared()
	for tries := 0; ; {
		t, b, err := e.enqueue(plan)
		if errors.Is(err, errTaken) {
			if err := e.freeTurn(ctx); err != nil {
				return err
			}
			continue
		}
		if b == nil && !fresh { // is that still so?
			if err := e.Fresh(ctx); err != nil {
				return err
			}
			fresh = true
			continue
		}
		if err != nil {
			return err
		}
		if b == nil {
			return nil // nothing to change
		}
		if t == nil {
			if e.wait(ctx, 0, b.done, nil) == stopWaiting {
				return ctx.Err() // was still waiting for its turn
			}
			continue
		}
		if b = e.outcome(ctx, t, b); b == nil {
			return fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
		}
		switch {
		case errors.Is(b.err, errDropped):
			continue
		case !errors.Is(b.err, errConflict):
			t.reset()
			e.txs.Put(t)
			return b.err
		}
		// Another writer came first, here or in another engine. Its change is
		// in the feed, if not yet in the world.
		tries++
		if err := e.pause(ctx, tries, b.after); err != nil {
			return err
		}
	}
}

// outcome waits for the end of the batch that t is in, and returns it, or what
// t was put in when it was taken out; nil when ctx ends first.
func (e *Engine) outcome(ctx context.Context, t *tx, b *batch) *batch {
	for parted := t.parted; ; {
		switch e.wait(ctx, 0, b.done, parted) {
		case 0:
			return t.batch
		case stopWaiting:
			return nil
		}
		e.plan.Lock()
		out := t.batch != b
		parted = b.parted
		e.plan.Unlock()
		if out {
			return t.batch
		}
	}
}

// writeMemory plans and applies at once.
func (e *Engine) writeMemory(plan func(*tx) error) error {
	t, _ := e.txs.Get().(*tx)
	e.mu.Lock()
	t.w, t.now = e.world, e.cfg.Now().UnixNano()
	err := e.closed
	if err == nil {
		err = plan(t)
	}
	if err == nil {
		e.stamp++
		e.world.apply(t, e.stamp, e.feed)
	}
	e.mu.Unlock()
	t.reset()
	e.txs.Put(t)
	return err
}

// enqueue plans a change and puts it into the open batch, which it returns.
// Without a tx, the batch is what the plan has to wait for.
func (e *Engine) enqueue(plan func(*tx) error) (t *tx, b *batch, err error) {
	e.plan.Lock()
	defer e.plan.Unlock()
	if e.failed != nil {
		return nil, nil, e.failed
	}
	if e.taken() {
		if e.turns.freeing != nil {
			return nil, e.turns.freeing, nil
		}
		e.turns.freeing = &batch{done: make(chan struct{})}
		return nil, nil, errTaken
	}
	t, _ = e.txs.Get().(*tx)
	e.mu.RLock()
	t.w, t.ahead, t.now = e.world, e.ahead, e.cfg.Now().UnixNano()
	err = plan(t)
	e.mu.RUnlock()
	if err == nil && e.alone() {
		t.tell()
	}
	if err == nil && e.crowded(t) {
		if len(e.flying) < e.inFlight {
			e.seal()
		} else {
			t.blocked, err = e.flying[0], errBlocked
		}
	}
	if err != nil || t.empty() {
		b := t.blocked
		t.reset()
		e.txs.Put(t)
		if errors.Is(err, errBlocked) {
			return nil, b, nil
		}
		return nil, nil, err
	}
	b = e.openBatch()
	e.ahead.take(t, b)
	e.kick()
	return t, b, nil
}

// kick wakes a commit loop when there is something to send; plan is held.
func (e *Engine) kick() {
	if !e.due() && len(e.sealed) == 0 {
		return
	}
	select {
	case e.work <- struct{}{}:
	default:
	}
}

func (t *tx) empty() bool {
	return len(t.consumers)+len(t.gone)+len(t.states)+len(t.defs)+len(t.dropped)+
		len(t.symbols)+len(t.guards)+len(t.attached) == 0
}

// fail ends every write that waits, now and later.
func (e *Engine) fail(err error) {
	e.plan.Lock()
	defer e.plan.Unlock()
	if e.failed == nil {
		e.failed = err
		e.mu.Lock()
		e.closed = err
		e.mu.Unlock()
	}
	for _, b := range e.flying {
		e.ahead.settle(e.world, b)
		if b.settled {
			b.finish(b.err)
		} else {
			b.finish(fmt.Errorf("%w: %w", ErrUnknownOutcome, err))
		}
	}
	if e.open != nil {
		e.ahead.settle(e.world, e.open)
		e.open.finish(err)
	}
	e.open, e.flying = nil, nil
	e.fresh.end(err)
}
