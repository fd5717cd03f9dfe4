package storetest

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func testLoadEmpty(e *env) {
	got, _ := e.load()
	require.Empty(e, got)
}

// testLoadIsOneMoment loads while a writer keeps two records equal in every
// batch, and checks the snapshot's revision against the writer's.
func testLoadIsOneMoment(e *env) {
	revisions := map[uint64]uint64{} // version to revision; read once the writer is done
	var stop atomic.Bool
	wait := background(func() {
		for v := uint64(1); !stop.Load() && v <= 300; v++ {
			value := strconv.FormatUint(v, 10)
			res, err := CommitRetry(e.ctx, e.s, store.Batch{
				ID: e.id(), Version: v,
				Puts:    []store.Put{put(key("left"), value), put(key("right"), value), put(key("%d", v), value)},
				Deletes: []store.Key{key("%d", v-1)},
			})
			if !assert.NoError(e, err) || !assert.Equal(e, store.Committed, res.Outcome) {
				return
			}
			revisions[v] = res.Revision
		}
	})
	type moment struct{ version, rev uint64 }
	var moments []moment
	for range 30 {
		got, rev := e.load()
		if len(got) == 0 {
			continue
		}
		left := got[key("left")]
		require.Len(e, got, 3, "records at revision %d", rev)
		require.Equal(e, left.Version, got[key("right")].Version)
		require.Contains(e, got, key("%d", left.Version))
		moments = append(moments, moment{left.Version, rev})
	}
	stop.Store(true)
	wait()
	for _, m := range moments {
		require.GreaterOrEqual(e, m.rev, revisions[m.version], "snapshot shows version %d", m.version)
		if next, ok := revisions[m.version+1]; ok {
			require.Less(e, m.rev, next, "snapshot does not show version %d", m.version+1)
		}
	}
}

func testLoadEnds(e *env) {
	for i := range 20 {
		e.must(store.Batch{Version: uint64(1 + i), Puts: []store.Put{put(key("%d", i), "v")}})
	}
	var rev uint64
	for _, err := range e.s.Load(e.ctx, &rev) { // the reader may stop early
		require.NoError(e, err)
		require.Positive(e, rev, "the revision comes before the first record")
		break
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	var last error
	for _, err := range e.s.Load(ctx, &rev) {
		require.NoError(e, last, "an error ends the sequence")
		last = err
	}
	require.ErrorIs(e, last, context.Canceled)
	e.must(store.Batch{Version: 50, Puts: []store.Put{put(key("after"), "v")}})
}
