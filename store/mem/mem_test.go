package mem_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return mem.New(mem.Config{History: 1024}) })
}

func TestConformanceWithLimits(t *testing.T) {
	t.Parallel()
	limits := store.Limits{Records: 10, Weight: 10, Bytes: 64 << 10, KeyBytes: 300, InFlight: 8, Shared: true}
	storetest.Run(t, func(*testing.T) store.Store { return mem.New(mem.Config{Limits: limits}) })
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range int64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store {
				return storetest.Faulty(mem.New(mem.Config{History: 4096}), storetest.Noise(seed))
			})
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, store.Limits{KeyBytes: 1024, InFlight: 4}, mem.New(mem.Config{}).Limits())
}

func TestCompacted(t *testing.T) {
	t.Parallel()
	s := mem.New(mem.Config{History: 3})
	for i := range byte(5) {
		_, err := s.Commit(t.Context(), store.Batch{ID: store.BatchID{i + 1}, Version: 1})
		require.NoError(t, err)
	}
	for after, want := range map[uint64]error{0: store.ErrCompacted, 1: store.ErrCompacted, 2: nil, 4: nil, 6: store.ErrCompacted} {
		for _, err := range s.Follow(t.Context(), after) {
			require.ErrorIs(t, err, want, "after revision %d", after)
			break
		}
	}
}

// TestLoadOrderRepeats guards what simulations rely on.
func TestLoadOrderRepeats(t *testing.T) {
	t.Parallel()
	run := func() (order []string) {
		s := mem.New(mem.Config{})
		for i := range 100 {
			k := store.Key{ID: fmt.Sprint(i * 7 % 31)}
			b := store.Batch{ID: store.BatchID{byte(i + 1)}, Version: 1, Puts: []store.Put{{Key: k}}}
			if i%3 == 0 {
				b.Puts, b.Deletes = nil, []store.Key{k}
			}
			_, err := s.Commit(context.Background(), b)
			require.NoError(t, err)
		}
		var rev uint64
		for r, err := range s.Load(context.Background(), &rev) {
			require.NoError(t, err)
			order = append(order, r.Key.ID)
		}
		return order
	}
	require.Equal(t, run(), run())
}
