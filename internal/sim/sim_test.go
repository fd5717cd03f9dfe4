package sim_test

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/sim"
)

const steps = 2000

// clouds are what make sim can play; each has bugs of its own.
var clouds = map[string]func(bug) *sim.Scenario{"conductor": scenario, "market": marketScenario, "owner": ownerScenario}

// TestSeeds plays the clouds from many seeds, each twice.
func TestSeeds(t *testing.T) {
	t.Parallel()
	seeds := uint64(200)
	if testing.Short() {
		seeds = 20
	}
	everyCloud(t, 0, seeds)
}

func everyCloud(t *testing.T, first, seeds uint64) {
	t.Helper()
	for name, cloud := range clouds {
		seeds := seeds
		if name != "conductor" {
			seeds /= 5 // their events cost more
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, cloud(sound), first, seeds)
		})
	}
}

// TestOne plays one seed, for make sim: SEED and STEPS come from the
// environment. It prints the whole trace when TRACE is set, and that of the
// least run that fails in the same way when a check fails.
func TestOne(t *testing.T) {
	t.Parallel()
	if os.Getenv("KILONOVA_SIM_SEED") == "" {
		t.Skip("set KILONOVA_SIM_SEED, or use make sim SEED=7")
	}
	seed, length := fromEnv(t, "KILONOVA_SIM_SEED", 0), fromEnv(t, "KILONOVA_SIM_STEPS", steps)
	cloud := clouds[cmp.Or(os.Getenv("KILONOVA_SIM_CLOUD"), "conductor")]
	require.NotNil(t, cloud, "KILONOVA_SIM_CLOUD: conductor, market or owner")
	sc, o := cloud(sound), sim.Options{Seed: seed, Steps: int(length)}
	if os.Getenv("KILONOVA_SIM_TRACE") != "" {
		o.Trace = os.Stdout
	}
	rep, err := sc.Twice(o)
	require.NoError(t, err)
	t.Logf("seed %d: %d steps, %v of virtual time, %d faults, trace %x", seed, rep.Played, rep.Took, len(rep.Faults), rep.Hash)
	if rep.Failure != nil {
		t.Fatalf("%v\n%s", rep.Failure, explain(t, sc, rep))
	}
}

// TestSoak plays many seeds, for make soak-sim.
func TestSoak(t *testing.T) {
	t.Parallel()
	if os.Getenv("KILONOVA_SOAK") == "" {
		t.Skip("set KILONOVA_SOAK, or use make soak-sim")
	}
	everyCloud(t, 1000, fromEnv(t, "KILONOVA_SIM_SEEDS", 2000))
}

// play plays seeds and says what happened in them.
func play(t *testing.T, sc *sim.Scenario, first, seeds uint64) {
	t.Helper()
	hits, played := map[sim.FaultKind]int{}, 0
	for seed := first; seed < first+seeds; seed++ {
		rep, err := sc.Twice(sim.Options{Seed: seed, Steps: steps})
		require.NoError(t, err)
		if rep.Failure != nil {
			t.Fatalf("seed %d: %v\n%s", seed, rep.Failure, explain(t, sc, rep))
		}
		played += rep.Played
		for _, f := range rep.Faults {
			hits[f.Kind]++
		}
	}
	t.Logf("%d seeds, each played twice with equal traces: %d steps; faults: %v", seeds, played, hits)
	for kind := range sc.Rates {
		if sc.Rates[kind] == 0 {
			continue
		}
		require.Positive(t, hits[sim.FaultKind(kind)], "no fault of kind %v happened", sim.FaultKind(kind))
	}
}

func fromEnv(tb testing.TB, name string, otherwise uint64) uint64 {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	require.NoError(tb, err, name)
	return n
}

// explain is the trace of the least run that fails in the same way.
func explain(tb testing.TB, sc *sim.Scenario, failed sim.Report) string {
	tb.Helper()
	least, err := sc.Shrink(failed, 1000)
	require.NoError(tb, err)
	var text strings.Builder
	o := least.Options
	o.Trace = &text
	_, err = sc.Run(o)
	require.NoError(tb, err)
	return text.String()
}
