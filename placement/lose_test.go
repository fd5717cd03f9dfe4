package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// tallied is a shared store that notes what became of the tries to commit.
type tallied struct {
	store.Store
	store.Shared
	slow  time.Duration // every try takes as long
	mu    sync.Mutex
	tries []try
}

type try struct {
	id      store.BatchID
	version uint64
	puts    int
	outcome store.Outcome
}

func (s *tallied) Commit(ctx context.Context, b store.Batch) (store.Result, error) {
	time.Sleep(s.slow)
	res, err := s.Store.Commit(ctx, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, try{b.ID, b.Version, len(b.Puts), res.Outcome})
	return res, err
}

// parted is how many batches were refused and sent again without some of
// their writes.
func (s *tallied) parted() int {
	found := map[store.BatchID]bool{}
	for k, t := range s.tries {
		for _, next := range s.tries[k+1:] {
			if t.outcome == store.Conflict && next.version == t.version && next.id != t.id && next.puts < t.puts {
				found[t.id] = true
			}
		}
	}
	return len(found)
}

// TestRestOfALosingBatch has another engine take one of three hosts that a
// batch under way claims: the claims of the other two are sent again at once.
func TestRestOfALosingBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 9, InFlight: 2}})
		g := newGate()
		g.Store = shared
		g.open()
		seen := &tallied{Store: g, Shared: shared}
		slow, fast := open(t, placement.Config{Store: seen}), open(t, placement.Config{Store: shared})
		answers := make([]chan error, 5)
		for n := range answers {
			newHost(t, slow, n, placement.UUID{}, 5)
			answers[n] = make(chan error, 1)
		}
		require.NoError(t, fast.Fresh(t.Context()))
		g.shut()
		for n, answer := range answers { // the first goes alone, three gather, and go when one is too many
			go func() {
				answer <- slow.SetAllocations(t.Context(), claimOf(id('s', n), placement.NewConsumer, vcpus(id('h', n), 1)))
			}()
			synctest.Wait()
		}
		require.NoError(t, fast.SetAllocations(t.Context(), claimOf(id('f', 0), placement.NewConsumer, vcpus(id('h', 2), 5))))
		g.open()
		for n, answer := range answers {
			if err := <-answer; n == 2 {
				require.ErrorIs(t, err, placement.ErrCapacity)
			} else {
				require.NoError(t, err)
			}
		}
		require.Equal(t, 1, seen.parted(), "%v", seen.tries)
		settled(t, [2]*placement.Engine{slow, fast})
	})
}

// TestPartedBatches lets two engines claim on many hosts, so that batches lose
// a part of their writes, and looks that no unit is given away twice.
func TestPartedBatches(t *testing.T) {
	t.Parallel()
	const hosts, writers, moves = 30, 24, 60
	shared := mem.New(mem.Config{Limits: store.Limits{Shared: true, Records: 67, InFlight: 4}})
	var seen [2]*tallied
	for k := range seen {
		seen[k] = &tallied{Store: shared, Shared: shared, slow: time.Millisecond}
	}
	engines := [2]*placement.Engine{open(t, placement.Config{Store: seen[0]}), open(t, placement.Config{Store: seen[1]})}
	for n := range hosts {
		newHost(t, engines[0], n, placement.UUID{}, 12)
	}
	require.NoError(t, engines[1].Fresh(t.Context()))
	var wg sync.WaitGroup
	for w := range 2 * writers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 11))
			for range moves {
				err := claimSomewhere(t.Context(), rng, engines[w%2], hosts)
				if err != nil && !errors.Is(err, placement.ErrCapacity) && !errors.Is(err, placement.ErrConcurrentUpdate) && !errors.Is(err, placement.ErrNotFound) {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	wg.Wait()
	settled(t, engines)
	require.Positive(t, seen[0].parted()+seen[1].parted(), "none lost a part")
}

// claimSomewhere claims on one or two hosts for a consumer that others claim
// for too, under a guard now and then, or removes it.
func claimSomewhere(ctx context.Context, rng *rand.Rand, e *placement.Engine, hosts int) error {
	consumer := id('c', rng.IntN(120))
	if rng.IntN(4) == 0 {
		return e.DeleteAllocations(ctx, consumer)
	}
	generation := placement.NewConsumer
	if c, _, err := e.Consumer(consumer); err == nil {
		generation = placement.Generation(c.Generation)
	}
	on := []placement.Allocation{vcpus(id('h', rng.IntN(hosts)), 1+rng.Int64N(4))}
	if other := id('h', rng.IntN(hosts)); rng.IntN(3) == 0 && other != on[0].Provider {
		on = append(on, vcpus(other, 1))
	}
	w := claimOf(consumer, generation, on...)
	switch rng.IntN(12) {
	case 0, 1, 2, 3:
		w.Guards = []placement.Guard{{Key: "owner", Version: e.Guard("owner"), Keep: true}}
	case 4:
		w.Guards = []placement.Guard{{Key: "owner", Version: e.Guard("owner")}}
	case 5, 6:
		key := fmt.Sprint("group ", rng.IntN(5))
		w.Guards = []placement.Guard{{Key: key, Version: e.Guard(key)}}
		w.Attachments = []placement.Attachment{{Key: key, Value: consumer[:]}}
	}
	return e.SetAllocations(ctx, w)
}
