package intent_test

import (
	"fmt"
	"testing"

	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/intent"
	"github.com/kilonova-cloud/kilonova/store/mem"
	"github.com/kilonova-cloud/kilonova/store/storetest"
)

// limits make the batch of TestBytesAreOpaque, and nothing else in the suite,
// an intent with records of their own size.
func limits(records int) store.Limits {
	return store.Limits{Records: records, Bytes: 33200, KeyBytes: 300, InFlight: 8}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, records := range []int{6, 8, 16} {
		t.Run(fmt.Sprint(records, " records"), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store {
				return intent.Wrap(mem.New(mem.Config{Limits: limits(records), History: 4096}), intent.Config{})
			})
		})
	}
}

func TestConformanceUnderFaults(t *testing.T) {
	t.Parallel()
	for seed := range int64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store {
				inner := mem.New(mem.Config{Limits: limits(8), History: 4096})
				return intent.Wrap(storetest.Faulty(inner, storetest.Noise(seed)), intent.Config{})
			})
		})
	}
}

// TestConformanceOfIntents runs the suite with every batch of two changes or
// more as an intent.
func TestConformanceOfIntents(t *testing.T) {
	t.Parallel()
	for seed := range int64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(*testing.T) store.Store {
				var inner store.Store = mem.New(mem.Config{Limits: limits(8), History: 1 << 14})
				if seed > 0 {
					inner = storetest.Faulty(inner, storetest.Noise(seed))
				}
				return intent.WrapEager(inner, intent.Config{}, 2)
			})
		})
	}
}
