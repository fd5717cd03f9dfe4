package badger_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/badger"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

func open(tb testing.TB, cfg badger.Config) *badger.Store {
	tb.Helper()
	if cfg.Dir == "" {
		cfg.Dir = tb.TempDir()
	}
	s, err := badger.Open(cfg)
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = s.Close() })
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, badger.Config{History: 1024})
	})
}

// TestConformanceWithCheckpoints makes segments so small that most tests go
// through several checkpoints.
func TestConformanceWithCheckpoints(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store {
		t.Helper()
		return open(t, badger.Config{History: 1024, SegmentBytes: 2048, CheckpointBytes: 4096})
	})
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range int64(2) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) store.Store {
				t.Helper()
				return storetest.Faulty(open(t, badger.Config{History: 4096, SegmentBytes: 64 << 10}), storetest.Noise(seed))
			})
		})
	}
}
