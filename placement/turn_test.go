package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// ticking is a clock for several engines that moves with every look at it.
func ticking() func() time.Time {
	var n atomic.Int64
	return func() time.Time { return time.Unix(0, n.Add(1)) }
}

// takeTurn makes e write alone.
func takeTurn(t *testing.T, e *placement.Engine) {
	t.Helper()
	waitFor(t, func() bool {
		_, err := e.TakeTurn(t.Context())
		require.NoError(t, err)
		require.NoError(t, e.Fresh(t.Context()))
		return e.Alone()
	})
}

// TestAloneWritesHalf has an engine claim alone: one record a claim, and every
// generation and time is right elsewhere, also after all kinds of writes.
func TestAloneWritesHalf(t *testing.T) {
	t.Parallel()
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 40, InFlight: 4}})
	seen := &tallied{Store: shared, Shared: shared}
	now := ticking()
	engines := [2]*placement.Engine{open(t, placement.Config{Store: seen, Now: now}), open(t, placement.Config{Store: shared, Now: now})}
	for n := range 3 {
		newHost(t, engines[0], n, placement.UUID{}, 100)
	}
	takeTurn(t, engines[0])
	before := len(seen.tries)
	for n := range 30 {
		require.NoError(t, engines[0].SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(id('h', n%3), 1))))
	}
	puts := 0
	for _, try := range seen.tries[before:] {
		puts += try.puts
	}
	require.Equal(t, 30, puts, "one record a claim")
	same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")
	p, err := engines[0].Provider(id('h', 0))
	require.NoError(t, err)
	require.EqualValues(t, 11, p.Generation, "one for the inventory, ten for claims")

	ctx := t.Context()
	require.NoError(t, engines[0].DeleteAllocations(ctx, id('c', 29)), "the newest stamp goes")
	require.NoError(t, engines[0].SetAllocations(ctx, claimOf(id('c', 28), 1, vcpus(id('h', 2), 1))), "another moves away")
	_, err = engines[0].SetTraits(ctx, id('h', 1), []string{"HW_CPU_X86_AVX"}, placement.AnyGeneration)
	require.NoError(t, err)
	require.NoError(t, engines[0].SetAllocations(ctx, claimOf(id('c', 27), 1, vcpus(id('h', 0), 1), vcpus(id('h', 1), 2))))
	held, _, err := engines[0].Consumer(id('c', 26))
	require.NoError(t, err)
	require.NoError(t, engines[0].RestoreConsumer(ctx, placement.ConsumerRecord{
		Consumer: held, Allocations: []placement.Allocation{vcpus(id('h', 2), 3)},
	}), "a provider keeps its time")
	require.True(t, engines[0].Alone())
	same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")

	// The other engine ends the turn, and goes on from there.
	require.NoError(t, engines[1].SetAllocations(ctx, claimOf(id('d', 0), placement.NewConsumer, vcpus(id('h', 0), 1))))
	settled(t, engines)
	require.False(t, engines[0].Alone())
	for n := range 3 {
		require.NoError(t, engines[0].SetAllocations(ctx, claimOf(id('e', n), placement.NewConsumer, vcpus(id('h', n), 1))))
	}
	settled(t, engines)
	same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")
}

// TestLateAlone holds back a batch of an engine that writes alone, as if it
// had been paused, while another one ends the turn and takes the last unit.
func TestLateAlone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]error{"lost": placement.ErrCapacity, "elsewhere": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 40, InFlight: 2}})
			g := newGate()
			g.Store = shared
			g.open()
			slow, fast := open(t, placement.Config{Store: &tallied{Store: g, Shared: shared}}), open(t, placement.Config{Store: shared})
			newHost(t, slow, 1, placement.UUID{}, 1)
			newHost(t, slow, 2, placement.UUID{}, 1)
			takeTurn(t, slow)
			g.shut()
			late := make(chan error, 1)
			go func() {
				late <- slow.SetAllocations(t.Context(), claimOf(id('s', 1), placement.NewConsumer, vcpus(id('h', 1), 1)))
			}()
			<-g.arrived
			host := 1
			if answer == nil {
				host = 2
			}
			require.NoError(t, fast.SetAllocations(t.Context(), claimOf(id('f', 1), placement.NewConsumer, vcpus(id('h', host), 1))))
			g.open()
			if err := <-late; answer == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, answer)
			}
			settled(t, [2]*placement.Engine{slow, fast})
			same(t, dump(slow), dump(open(t, placement.Config{Store: shared})), "a third engine")
		})
	}
}

// TestTurnsChangeHands lets two engines on one store do everything at once and
// take the turn every now and then; with every other seed their stores
// misbehave too, and small batches make some writes intents.
func TestTurnsChangeHands(t *testing.T) {
	t.Parallel()
	for seed := range rounds(3, 8, 400) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			now := ticking()
			shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 8 + int(seed%3)*8, InFlight: 3}})
			sane := open(t, placement.Config{Store: shared, Now: now})
			for n := range 6 {
				newHost(t, sane, 10+n, placement.UUID{}, 12)
			}
			var engines [2]*placement.Engine
			for k := range engines {
				var s store.Store = shared
				if seed%2 == 1 {
					s = storetest.Faulty(shared, faults(10*int64(seed)+int64(k)))
				}
				slow := time.Duration(seed/2%2) * time.Millisecond // batches of several writes
				engines[k] = open(t, placement.Config{Store: &tallied{Store: s, Shared: shared, slow: slow}, Now: now})
			}
			var wg sync.WaitGroup
			taken := 0
			for w := range 10 {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(seed, uint64(w)))
					for n := range 50 {
						if w < 2 && n%3 == 0 {
							if ok, err := engines[w].TakeTurn(ctx); err != nil {
								expected(t, err)
							} else if ok && w == 0 {
								taken++
							}
						}
						if rng.IntN(2) == 0 {
							expected(t, again(func() error { return tradePlaces(ctx, rng, engines[w%2]) }))
							continue
						}
						expected(t, again(func() error { return severalAtOnce(ctx, rng, engines[w%2]) }))
					}
				})
			}
			wg.Wait()
			settled(t, engines)
			same(t, dump(engines[0]), dump(open(t, placement.Config{Store: shared})), "a third engine")
			t.Logf("engine 0 took the turn %d times", taken)
		})
	}
}

// severalAtOnce claims for some consumers on some hosts in one write.
func severalAtOnce(ctx context.Context, rng *rand.Rand, e *placement.Engine) error {
	var w placement.AllocationWrite
	for n := range 1 + rng.IntN(12) {
		c := claimOf(id('m', 12*rng.IntN(3)+n), placement.AnyGeneration, vcpus(id('h', 10+rng.IntN(6)), 1)).Consumers[0]
		if rng.IntN(3) == 0 {
			c.Allocations = nil
		}
		w.Consumers = append(w.Consumers, c)
	}
	return e.SetAllocations(ctx, w)
}

// TestTurnIsTaken has an engine write much while no other does, and another
// come along: it ends the turn, and none is taken while both write.
func TestTurnIsTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 300, InFlight: 4}})
		var engines [2]*placement.Engine
		for k := range engines {
			engines[k] = open(t, placement.Config{Store: &tallied{Store: shared, Shared: shared, slow: time.Millisecond}, Now: time.Now})
		}
		newHost(t, engines[0], 1, placement.UUID{}, 1<<20)
		next := 0
		load := func(e *placement.Engine, d time.Duration) {
			for until := time.Now().Add(d); time.Now().Before(until); {
				var wg sync.WaitGroup
				for range 2 * 70 {
					next++
					w := claimOf(id('c', next), placement.NewConsumer, vcpus(id('h', 1), 1))
					wg.Go(func() {
						if err := e.SetAllocations(t.Context(), w); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				time.Sleep(50 * time.Millisecond)
			}
		}
		load(engines[0], 500*time.Millisecond)
		require.False(t, engines[0].Alone(), "another may have written a moment ago")
		load(engines[0], 2*time.Second)
		require.True(t, engines[0].Alone())
		for range 4 {
			require.NoError(t, engines[1].SetAllocations(t.Context(), claimOf(id('d', next), placement.AnyGeneration, vcpus(id('h', 1), 1))))
			load(engines[0], 300*time.Millisecond)
			require.False(t, engines[0].Alone())
		}
		settled(t, engines)
	})
}

// TestTurnEndsInVain has the store fail while an engine ends another's turn:
// the write ends with its deadline, and the next one ends the turn.
func TestTurnEndsInVain(t *testing.T) {
	t.Parallel()
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 40, InFlight: 2}})
	g := newGate()
	g.Store = shared
	g.open()
	lone, other := open(t, placement.Config{Store: shared}), open(t, placement.Config{Store: &tallied{Store: g, Shared: shared}})
	newHost(t, lone, 1, placement.UUID{}, 4)
	takeTurn(t, lone)
	require.NoError(t, other.Fresh(t.Context()))
	g.shut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			err := other.SetAllocations(ctx, claimOf(id('o', n), placement.NewConsumer, vcpus(id('h', 1), 1)))
			if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, placement.ErrUnknownOutcome) {
				t.Errorf("write %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	g.open()
	require.NoError(t, other.SetAllocations(t.Context(), claimOf(id('o', 9), placement.NewConsumer, vcpus(id('h', 1), 1))))
	settled(t, [2]*placement.Engine{lone, other})
}

// TestLateAloneReload has an engine that writes alone load its store again
// while a batch is on its way: what it writes next must reckon with it.
func TestLateAloneReload(t *testing.T) {
	t.Parallel()
	const units = 70
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 40, InFlight: 4}})
	w := &wire{gate: newGate()}
	w.Store = shared
	w.open()
	e := open(t, placement.Config{Store: w})
	newHost(t, e, 1, placement.UUID{}, units)
	takeTurn(t, e)
	passes := w.pass
	w.shut()
	late := w.pass
	var given atomic.Int64
	claim := func(n, amount int) {
		err := e.SetAllocations(t.Context(), claimOf(id('s', n), placement.NewConsumer, vcpus(id('h', 1), int64(amount))))
		if err == nil {
			given.Add(int64(amount))
		} else if !errors.Is(err, placement.ErrCapacity) {
			t.Errorf("claim %d: %v", n, err)
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { claim(0, units) })
	<-w.arrived
	w.compact(t, e)
	w.gate.mu.Lock()
	w.pass = passes // whatever comes from now on passes at once
	w.gate.mu.Unlock()
	for n := range units {
		wg.Go(func() { claim(n+1, 1) })
	}
	other := open(t, placement.Config{Store: shared})
	used := func(e *placement.Engine) int64 {
		usages, _, err := e.Usages(id('h', 1))
		require.NoError(t, err)
		return usages["VCPU"]
	}
	waitFor(t, func() bool { return used(other) > 0 })
	close(late)
	wg.Wait()
	require.EqualValues(t, units, given.Load())
	require.EqualValues(t, units, used(e))
	sound(t, e)
	same(t, dump(e), dump(open(t, placement.Config{Store: shared})), "a third engine")
}
