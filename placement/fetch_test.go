package placement

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

// TestFileEqualsMove files the room of random providers at once and one by
// one: every bitmap must be the same.
func TestFileEqualsMove(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var moved, filed freeIndex
		rooms := map[uint32]int64{}
		for range rng.IntN(2000) {
			i := rng.Uint32N(3 * pageBits)
			room := rng.Int64N(1 << rng.IntN(32))
			moved.move(i, rooms[i], room)
			moved.any.set(i)
			filed.any.set(i)
			rooms[i] = room
		}
		filed.file(func(i uint32) int64 { return rooms[i] })
		for k := range moved.level {
			require.Equal(t, moved.level[k].n, filed.level[k].n, "seed %d, bitmap %d", seed, k)
			moved.level[k].each(func(i uint32) {
				require.True(t, filed.level[k].has(i), "seed %d, bitmap %d, provider %d", seed, k, i)
			})
		}
	}
}

// TestFetch reads ahead in records that fit and that do not: it must find the
// provider of a consumer's first allocation and never panic.
func TestFetch(t *testing.T) {
	t.Parallel()
	w := fuzzWorld(t)
	own := testUUID('x', 1)
	value := w.encodeConsumer(nil, &consumerRecord{project: "p", user: "u", kind: "T", generation: 1, allocs: []allocRow{{0, 0, 4}}})
	u, ok := firstHolder(value)
	require.True(t, ok)
	require.Equal(t, fuzzHost, u)
	i, ok := w.byUUID.guess(w.hashUUID(&fuzzHost))
	require.True(t, ok)
	require.Zero(t, i)
	_, ok = w.byConsumer.guess(w.hashUUID(&own))
	require.False(t, ok, "the index is empty")
	for size := range value {
		_, ok := firstHolder(value[:size])
		f := fetcher{w: w}
		f.fetch([]store.Record{
			{Key: store.Key{Kind: kindConsumer, ID: string(own[:])}, Value: value[:size]},
			{Key: store.Key{Kind: kindProvider, ID: string(own[:])}, Value: value[:size]},
			{Key: store.Key{Kind: kindConsumer, ID: "short"}, Value: value[:size]},
		})
		require.Equal(t, size > len(value)-3, ok, "%d bytes of %d", size, len(value))
	}
}
