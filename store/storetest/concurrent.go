package storetest

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// testConcurrentCounters lets writers count in the same records, each change
// expecting the version read: no count may be lost or doubled.
func testConcurrentCounters(e *env) {
	const writers, each, counters = 8, 15, 3
	var clock atomic.Uint64
	parallel(writers, func(w int) {
		for i := range each {
			e.countUp(key("%d", (w+i)%counters), &clock)
		}
	})
	got, _ := e.load()
	total := 0
	for i := range counters {
		n, err := strconv.Atoi(string(got[key("%d", i)].Value))
		require.NoError(e, err)
		total += n
	}
	require.Equal(e, writers*each, total)
}

// countUp adds one to the number in record k. It reads what is there from the
// conflicts that it meets.
func (e *env) countUp(k store.Key, clock *atomic.Uint64) {
	present := store.Record{Key: k}
	for {
		n := 0
		if present.Version != 0 {
			n, _ = strconv.Atoi(string(present.Value))
		}
		res, err := CommitRetry(e.ctx, e.s, store.Batch{
			ID: e.id(), Version: clock.Add(1),
			Expect: []store.Expectation{{Key: k, Version: present.Version}},
			Puts:   []store.Put{put(k, strconv.Itoa(n+1))},
		})
		if !assert.NoError(e, err) || res.Outcome != store.Conflict {
			return
		}
		present = res.Conflicts[0]
	}
}

// testConcurrentResends sends each batch from two goroutines at once.
func testConcurrentResends(e *env) {
	const batches = 50
	var revisions [2 * batches]uint64
	ids := make([]store.BatchID, batches)
	for i := range ids {
		ids[i] = e.id()
	}
	parallel(2*batches, func(i int) {
		k := key("%d", i/2)
		res, err := CommitRetry(e.ctx, e.s, store.Batch{
			ID: ids[i/2], Version: 1, Expect: []store.Expectation{{Key: k}}, Puts: []store.Put{put(k, "v")},
		})
		if assert.NoError(e, err) && assert.Equal(e, store.Committed, res.Outcome) {
			revisions[i] = res.Revision
		}
	})
	distinct := map[uint64]bool{}
	for i := range batches {
		require.Equal(e, revisions[2*i], revisions[2*i+1], "revision of batch %d", i)
		distinct[revisions[2*i]] = true
	}
	require.Len(e, distinct, batches)
}

// testContextEndsMidway gives commits so little time that some of them end
// with their context, and sends all of them again: each takes effect once.
func testContextEndsMidway(e *env) {
	const batches = 100
	revisions := make([]uint64, batches)
	parallel(batches, func(i int) {
		k := key("%d", i)
		b := store.Batch{ID: e.id(), Version: 1, Expect: []store.Expectation{{Key: k}}, Puts: []store.Put{put(k, "v")}}
		ctx, cancel := context.WithTimeout(e.ctx, time.Duration(i)*10*time.Microsecond)
		defer cancel()
		first, err := e.s.Commit(ctx, b)
		if err != nil {
			assert.ErrorIs(e, err, store.ErrNoSpace)
		}
		b.Expect[0].Version, b.Puts[0].Key = 99, key("reused") // the lists are the caller's again
		b.Expect, b.Puts = []store.Expectation{{Key: k}}, []store.Put{put(k, "v")}
		res, err := CommitRetry(e.ctx, e.s, b)
		assert.NoError(e, err)
		assert.Equal(e, store.Committed, res.Outcome)
		if first.Outcome == store.Committed {
			assert.Equal(e, first.Revision, res.Revision)
		}
		revisions[i] = res.Revision
	})
	got, _ := e.load()
	require.Len(e, got, batches)
	require.NotContains(e, got, key("reused"))
	rev := slices.Max(revisions) // not the load's: others may share the revisions
	seen := map[store.BatchID]int{}
	for _, ev := range own(e.follow(0, func(ev store.Event) bool { return ev.Revision >= rev })) {
		seen[ev.ID]++
	}
	require.Len(e, seen, batches)
	for id, n := range seen {
		require.Equal(e, 1, n, "times that batch %x took effect", id)
	}
}

// testVersionsInFlight sends batches that expect what the one before writes
// without waiting for its answer. One that overtakes meets a conflict with an
// older version and is sent again.
func testVersionsInFlight(e *env) {
	const chain = 60
	inFlight := max(2, e.s.Limits().InFlight)
	k := key("chain")
	revisions := make([]uint64, chain+1)
	parallel(inFlight, func(w int) {
		for v := 1 + w; v <= chain; v += inFlight {
			revisions[v] = e.link(k, uint64(v))
		}
	})
	for v := 1; v <= chain; v++ {
		require.Greater(e, revisions[v], revisions[v-1], "revision of version %d", v)
	}
	e.holds(record(k, chain, strconv.Itoa(chain)))
}

// link commits version v of record k on top of version v-1.
func (e *env) link(k store.Key, v uint64) uint64 {
	b := store.Batch{
		ID: e.id(), Version: v,
		Expect: []store.Expectation{{Key: k, Version: v - 1}},
		Puts:   []store.Put{put(k, strconv.FormatUint(v, 10))},
	}
	for {
		res, err := CommitRetry(e.ctx, e.s, b)
		if !assert.NoError(e, err) || !assert.NoError(e, e.ctx.Err()) {
			return 0
		}
		if res.Outcome == store.Committed {
			return res.Revision
		}
		if !assert.Less(e, res.Conflicts[0].Version, v, "a conflict that nobody caused") {
			return 0
		}
	}
}
