//go:build integration

package etcdtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/etcdtest"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/etcd"
)

const (
	engines  = 4
	writers  = 16
	deadline = 15 * time.Second // of one write
	pace     = 10 * time.Millisecond
)

// soak reports whether to take the long form of these tests.
func soak() bool { return os.Getenv("KILONOVA_SOAK") != "" }

func lasting(short, long time.Duration) time.Duration {
	if soak() {
		return long
	}
	return short
}

func id(kind byte, n int) placement.UUID {
	return placement.UUID{kind, 0, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}
}

// fleet is a few engines on one store, each with a network of its own.
type fleet struct {
	c       *etcdtest.Cluster
	cfg     etcd.Config
	engines []*placement.Engine
	links   []*etcdtest.Link
	history history
	began   time.Time
	turns   atomic.Int64 // that engines took

	mu       sync.Mutex
	acked    []time.Time // when each engine last acknowledged a write
	acks     [][]time.Time
	gaps     []time.Duration
	latest   time.Time
	gap      time.Duration // the longest time without an acknowledgement by anybody
	slowest  time.Duration // of acknowledged writes
	done     int
	refused  int
	unknown  int
	expired  int // the deadline passed before they were sent
	surprise []error
}

func newFleet(t *testing.T, c *etcdtest.Cluster, count int) *fleet {
	t.Helper()
	f := &fleet{c: c, began: time.Now(), latest: time.Now(), cfg: etcd.Config{Endpoints: c.Endpoints(), Prefix: prefix}}
	for range count {
		link, err := etcdtest.NewLink(t.Context(), c.Endpoints())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, link.Close()) })
		cfg := f.cfg
		cfg.Endpoints = link.Endpoints()
		f.links, f.engines = append(f.links, link), append(f.engines, engineOn(t, cfg))
	}
	f.acked, f.acks, f.gaps = make([]time.Time, engines), make([][]time.Time, engines), make([]time.Duration, engines)
	for k := range f.acked {
		f.acked[k] = f.began
	}
	for h := range hosts {
		inv := placement.NewInventory(int64(min(roomOf(h), 1<<20)))
		_, err := f.engines[0].CreateProvider(t.Context(), placement.Provider{UUID: id('h', h), Name: fmt.Sprint("host-", h)})
		require.NoError(t, err)
		_, err = f.engines[0].SetInventories(t.Context(), id('h', h), map[string]placement.Inventory{"VCPU": inv}, placement.AnyGeneration)
		require.NoError(t, err)
	}
	f.caughtUp(t)
	return f
}

// engineOn opens an engine of its own on the store, until the test ends.
func engineOn(t *testing.T, cfg etcd.Config) *placement.Engine {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	e, err := placement.Open(t.Context(), placement.Config{Store: s, Now: time.Now})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

var marks atomic.Int64

// caughtUp waits until every engine has seen whatever was acknowledged before.
func (f *fleet) caughtUp(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	mark := fmt.Sprint("CUSTOM_MARK_", marks.Add(1))
	_, err := f.engines[0].CreateTrait(ctx, mark)
	require.NoError(t, err)
	for k, e := range f.engines {
		require.Eventually(t, func() bool { return e.HasTrait(mark) }, 30*time.Second, 5*time.Millisecond, "engine %d", k)
	}
}

// load has every writer move consumers from host to host until ctx ends, and
// watches that no engine ever shows a host over its capacity.
func (f *fleet) load(ctx context.Context, seed uint64) {
	var wg sync.WaitGroup
	f.latest = time.Now()
	for k := range f.acked {
		f.acked[k] = f.latest
	}
	for w := range writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for ctx.Err() == nil {
				f.write(ctx, w, rng)
				time.Sleep(time.Duration(rng.Int64N(int64(2 * pace))))
			}
		})
	}
	for k, e := range f.engines {
		wg.Go(func() {
			for ctx.Err() == nil {
				for h := range hosts {
					used, _, err := e.Usages(id('h', h))
					if err != nil || int(used["VCPU"]) > roomOf(h) {
						f.surprised(fmt.Errorf("engine %d: host %d has %v in use: %w", k, h, used, err))
					}
				}
				time.Sleep(pace)
			}
		})
	}
	wg.Wait()
}

func (f *fleet) surprised(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.surprise = append(f.surprise, err)
}

// write moves one consumer, as writer w sees it, and enters how that ended.
func (f *fleet) write(ctx context.Context, w int, rng *rand.Rand) {
	e := f.engines[w%engines]
	if rng.IntN(100) == 0 && takeTurn(ctx, e) {
		f.turns.Add(1)
	}
	c := rng.IntN(consumers)
	from, to := step(e, rng, c)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deadline) // the last ones are answered too
	defer cancel()
	call := time.Now()
	err := put(ctx, e, c, from, to)
	f.enter(w, call, time.Now(), move{c, from, to, errors.Is(err, placement.ErrUnknownOutcome)}, err)
}

// takeTurn makes e write alone, until another engine of the fleet wants to.
func takeTurn(ctx context.Context, e *placement.Engine) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	took, err := e.TakeTurn(ctx)
	return took && err == nil
}

// step chooses where consumer c goes from where the engine has it.
func step(e *placement.Engine, rng *rand.Rand, c int) (from, to place) {
	from = placeOf(e, c)
	to = place{from.generation + 1, 1 + rng.IntN(hosts-1), 1 + rng.IntN(4)}
	if rng.IntN(3) == 0 {
		to.host = yard
	}
	return from, to
}

func put(ctx context.Context, e *placement.Engine, c int, from, to place) error {
	return e.SetAllocations(ctx, placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{{
		Consumer: id('c', c), Project: "p", User: "u", Generation: generationOf(from),
		Allocations: []placement.Allocation{{Provider: id('h', to.host), Class: "VCPU", Amount: int64(to.amount)}},
	}}})
}

// enter notes how a write ended.
func (f *fleet) enter(w int, call, answer time.Time, m move, err error) {
	if err == nil || m.unknown {
		f.history.add(w, call, answer, m)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.done++
		k := w % engines
		f.gaps[k] = max(f.gaps[k], answer.Sub(f.acked[k]))
		f.gap = max(f.gap, answer.Sub(f.latest))
		f.acked[k], f.latest, f.acks[k] = answer, answer, append(f.acks[k], answer)
		f.slowest = max(f.slowest, answer.Sub(call))
	case m.unknown:
		f.unknown++
	case errors.Is(err, placement.ErrCapacity), errors.Is(err, placement.ErrConcurrentUpdate):
		f.refused++
	case errors.Is(err, context.DeadlineExceeded):
		f.expired++
	default:
		f.surprise = append(f.surprise, fmt.Errorf("writer %d after %v: %w", w, answer.Sub(f.began), err))
	}
	if took := answer.Sub(call); took > deadline+time.Second {
		f.surprise = append(f.surprise, fmt.Errorf("writer %d was answered after %v, its deadline was %v", w, took, deadline))
	}
}

func generationOf(p place) placement.Generation {
	if p.generation == 0 {
		return placement.NewConsumer
	}
	return placement.Generation(p.generation)
}

// placeOf reads where an engine has consumer c.
func placeOf(e *placement.Engine, c int) place {
	consumer, allocations, err := e.Consumer(id('c', c))
	if err != nil || len(allocations) != 1 {
		return place{host: nowhere}
	}
	return place{consumer.Generation, int(allocations[0].Provider[7]), int(allocations[0].Amount)}
}

// judge waits until the engines have caught up and demands that they agree,
// with one that opens now too, and that the history is linearizable with what
// each of them shows.
func (f *fleet) judge(t *testing.T) {
	t.Helper()
	f.caughtUp(t)
	all := append([]*placement.Engine{engineOn(t, f.cfg)}, f.engines...)
	for k, e := range all {
		call := time.Now()
		f.readAll(t, -1-k, e, call)
		found, err := e.Verify(t.Context())
		require.NoError(t, err)
		require.Empty(t, found)
		require.NoError(t, e.Err(), "engine %d", k)
	}
	t.Logf("%d moves in %d turns, %d refused, %d unknown, %d not sent in time; longest time without an acknowledgement %v (by engine: %v); slowest acknowledged %v",
		f.done, f.turns.Load(), f.refused, f.unknown, f.expired, f.gap, f.gaps, f.slowest)
	require.Empty(t, f.surprise)
	require.Positive(t, f.done)
	require.NoError(t, f.history.linearizable(2*time.Minute))
}

// readAll enters what an engine shows.
func (f *fleet) readAll(t *testing.T, client int, e *placement.Engine, call time.Time) {
	t.Helper()
	for c := range consumers {
		f.history.add(client, call, time.Now(), look{consumer: c, at: placeOf(e, c)})
	}
	for h := range hosts {
		l := look{ofHost: true, host: h}
		held, _, err := e.ProviderAllocations(id('h', h))
		require.NoError(t, err)
		for _, a := range held {
			l.held[a.Consumer.UUID[7]] = int8(a.Used[0].Amount)
		}
		f.history.add(client, call, time.Now(), l)
	}
}
