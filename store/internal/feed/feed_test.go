package feed

import (
	"bytes"
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
)

func event(rev uint64, size int) store.Event {
	return store.Event{
		Revision: rev, ID: store.BatchID{byte(rev), byte(rev >> 8), 1}, Version: rev,
		Puts: []store.Put{{Value: bytes.Repeat([]byte("v"), size)}},
	}
}

func TestRingBounds(t *testing.T) {
	t.Parallel()
	r := New(10, 100, 5)
	for rev := uint64(6); rev <= 40; rev++ {
		r.Append(event(rev, 30))
		_, here := r.Event(rev)
		require.True(t, here)
	}
	require.Equal(t, uint64(40), r.Last())
	_, here := r.Event(38)
	require.True(t, here, "100 bytes hold three events of 30")
	_, here = r.Event(37)
	require.False(t, here)
	_, here = r.Event(41)
	require.False(t, here)
	for rev := uint64(6); rev <= 40; rev++ {
		got, known := r.Revision(event(rev, 0).ID)
		require.Equal(t, rev > 30, known, "ten IDs are remembered, whatever the bytes")
		if known {
			require.Equal(t, rev, got)
		}
	}
	r.Append(event(41, 1000))
	_, here = r.Event(41)
	require.True(t, here, "the newest event is always there")
}

func TestFollowEnds(t *testing.T) {
	t.Parallel()
	r := New(10, 0, 0)
	r.Append(event(1, 1), event(2, 1))
	r.Close()
	var seen []uint64
	var end error
	for ev, err := range r.Follow(context.Background(), 0) {
		if end = err; err == nil {
			seen = append(seen, ev.Revision)
		}
	}
	require.Equal(t, []uint64{1, 2}, seen, "what was there before the close")
	require.ErrorIs(t, end, store.ErrClosed)
}

func TestQueue(t *testing.T) {
	t.Parallel()
	var q queue[int]
	next, pushed := 0, 0
	for i := range 1000 {
		for range i % 7 {
			q.push(pushed)
			pushed++
		}
		for range min(i%5, q.len()) {
			require.Equal(t, next, q.at(0))
			require.Equal(t, next, q.pop())
			next++
		}
		require.Equal(t, pushed-next, q.len())
	}
}
