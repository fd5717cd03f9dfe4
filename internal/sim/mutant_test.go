package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// TestMutants is the test of the simulator itself: it finds each planted bug
// within a minute, and shrinks what it found to a few faults that still show it.
// Short tests leave out those that take the most seeds, and the minute.
func TestMutants(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cloud  func(bug) *sim.Scenario
		bug    bug
		check  string
		faults int // at most, after shrinking
	}{
		{scenario, droppedUndo, "records", 2},
		{scenario, ignoredUnknown, "answers", 2},
		{scenario, noIdempotency, "records", 4},
		{scenario, staleTimer, "answers", 2},
		{scenario, earlyAnswer, "answers", 2},
		{marketScenario, staleRead, "answers", 2},
		{marketScenario, guess, "answers", 4},
		{marketScenario, gapless, "answers", 2},
		{ownerScenario, unfenced, "owners", 2},
	} {
		t.Run(string(tt.bug), func(t *testing.T) {
			if testing.Short() && (tt.bug == guess || tt.bug == noIdempotency) {
				t.Skip("takes many seeds to be found, in one goroutine, where the race detector finds nothing; make test runs it")
			}
			t.Parallel()
			began := time.Now()
			sc := tt.cloud(tt.bug)
			failed, seeds := find(t, sc, 2000)
			require.NotNil(t, failed.Failure, "%d seeds do not find it", seeds)
			require.True(t, testing.Short() || time.Since(began) < time.Minute, "took %v", time.Since(began))
			least, err := sc.Shrink(failed, 1000)
			require.NoError(t, err)
			t.Logf("seed %d of %d, %d faults and counts %v shrunk to %v and %v, in %v: %v",
				failed.Seed, seeds, len(failed.Faults), failed.Counts, least.Only, least.Counts, time.Since(began), least.Failure)
			require.LessOrEqual(t, len(least.Only), tt.faults)
			var text strings.Builder
			o := least.Options
			o.Trace = &text
			again, err := sc.Twice(o)
			require.NoError(t, err)
			require.Equal(t, least.Failure.String(), again.Failure.String())
			require.Equal(t, len(least.Only), strings.Count(text.String(), "FAULT"), "the trace shows every fault")
			require.True(t, strings.HasSuffix(text.String(), least.Failure.String()+"\n"))
		})
	}
}

// find plays seeds until one fails.
func find(tb testing.TB, sc *sim.Scenario, limit uint64) (sim.Report, uint64) {
	tb.Helper()
	var rep sim.Report
	for seed := range limit {
		var err error
		rep, err = sc.Run(sim.Options{Seed: seed, Steps: steps})
		require.NoError(tb, err)
		if rep.Failure != nil {
			return rep, seed + 1
		}
	}
	return rep, limit
}
