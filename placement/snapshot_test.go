package placement_test

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/twin"
	"github.com/kilonova-cloud/kilonova/placement"
)

// TestSnapshotIsOneMoment moves consumers between hosts, one unit each: every
// snapshot must show all units, and each consumer with its host's usage.
func TestSnapshotIsOneMoment(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, e *placement.Engine) {
		t.Helper()
		const hosts, consumers, movers, readers = 200, 300, 4, 4 // several chunks of rows
		for n := range hosts {
			newHost(t, e, n, placement.UUID{}, consumers)
		}
		for n := range consumers {
			require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(id('h', n%hosts), 1))))
		}
		ctx := t.Context()
		reading, done := context.WithCancel(context.Background())
		defer done()
		var moving, looking sync.WaitGroup
		for m := range movers {
			moving.Go(func() {
				rng := rand.New(rand.NewPCG(1, uint64(m)))
				for reading.Err() == nil {
					host := id('h', rng.IntN(hosts))
					assert.NoError(t, e.SetAllocations(ctx, claimOf(id('c', rng.IntN(consumers)), placement.AnyGeneration, vcpus(host, 1))))
				}
			})
		}
		for range readers {
			looking.Go(func() {
				for range 15 {
					sumsUp(t, e, consumers)
				}
			})
		}
		looking.Wait()
		done()
		moving.Wait()
	})
}

// sumsUp takes a snapshot and demands that its parts agree.
func sumsUp(t *testing.T, e *placement.Engine, consumers int64) {
	t.Helper()
	s := e.Snapshot()
	defer s.Close()
	used, held := map[placement.UUID]int64{}, map[placement.UUID]int64{}
	var total int64
	for c := range s.Consumers() {
		for _, a := range c.Allocations {
			held[a.Provider] += a.Amount
		}
	}
	for p := range s.Providers() {
		total += p.Inventories[0].Used
		if p.Inventories[0].Used > 0 {
			used[p.UUID] = p.Inventories[0].Used
		}
	}
	assert.Equal(t, consumers, total)
	assert.Equal(t, used, held)
	assert.LessOrEqual(t, s.LastChange, e.LastChange())
}

// TestSnapshotsKeepTheirMoments takes snapshots of random worlds as they
// change. Read at the end, each must show what was read at its moment.
func TestSnapshotsKeepTheirMoments(t *testing.T) {
	t.Parallel()
	for seed := range rounds(10, 60, 3_000) {
		rng := rand.New(rand.NewPCG(seed, 5))
		e := open(t, placement.Config{Seed: seed + 1})
		w, ops := twin.RandomWorld(rng, twin.RandomSize(rng))
		for _, op := range ops {
			require.NoError(t, op.To(t.Context(), e), "seed %d", seed)
		}
		var kept []*placement.Snapshot
		var want []contents
		for n := range 80 {
			if n%10 == 0 {
				kept, want = append(kept, e.Snapshot()), append(want, dump(e))
			}
			op := twin.RandomOp(rng, w)
			if n%4 == 0 {
				op.Write.Guards = []placement.Guard{{Key: fmt.Sprint("g", n%5), Version: e.Guard(fmt.Sprint("g", n%5))}}
				op.Write.Attachments = []placement.Attachment{{Key: fmt.Sprint("a", n%5), Value: []byte{byte(n)}}}
			}
			if op.To(t.Context(), e) == nil {
				_ = w.Apply(op)
			}
		}
		for k := range kept {
			same(t, want[k], dumpOf(kept[k]), fmt.Sprintf("seed %d, snapshot %d", seed, k))
			kept[k].Close()
		}
		sound(t, e)
	}
}

// TestSnapshotOfReusedRows reads a snapshot in part, replaces everything
// behind and ahead of the reader, and reads on.
func TestSnapshotOfReusedRows(t *testing.T) {
	t.Parallel()
	const hosts = 300
	e := open(t, placement.Config{})
	for n := range hosts {
		newHost(t, e, n, placement.UUID{}, 4)
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('c', n), placement.NewConsumer, vcpus(id('h', n), 2))))
	}
	want, s := dump(e), e.Snapshot()
	defer s.Close()
	nextProvider, stopProviders := iter.Pull(s.Providers())
	defer stopProviders()
	nextConsumer, stopConsumers := iter.Pull(s.Consumers())
	defer stopConsumers()
	for n := range hosts {
		p, ok := nextProvider()
		require.True(t, ok)
		require.Equal(t, want.Providers[p.UUID], p)
		c, ok := nextConsumer()
		require.True(t, ok)
		require.Equal(t, want.Consumers[c.UUID], c)
		if n%50 == 0 {
			replaceAll(t, e, hosts, n)
		}
	}
	_, more := nextProvider()
	require.False(t, more)
	_, more = nextConsumer()
	require.False(t, more)
	sound(t, e)
}

// replaceAll deletes every provider and consumer and makes others in their
// rows, in other trees.
func replaceAll(t *testing.T, e *placement.Engine, hosts, round int) {
	t.Helper()
	s := e.Snapshot()
	defer s.Close()
	for c := range s.Consumers() {
		require.NoError(t, e.DeleteAllocations(t.Context(), c.UUID))
	}
	var children, roots []placement.UUID
	for p := range s.Providers() {
		if p.Parent.IsZero() {
			roots = append(roots, p.UUID)
		} else {
			children = append(children, p.UUID)
		}
	}
	for _, u := range append(children, roots...) {
		require.NoError(t, e.DeleteProvider(t.Context(), u))
	}
	var parent placement.UUID
	for n := range hosts {
		if n%10 == 0 {
			parent = placement.UUID{}
		}
		host := newHost(t, e, 1000*(round+1)+n, parent, 8)
		if n%10 == 0 {
			parent = host
		}
		require.NoError(t, e.SetAllocations(t.Context(), claimOf(id('d', 1000*(round+1)+n), placement.NewConsumer, vcpus(host, 3))))
	}
}
