package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// BenchmarkCloud plays the cloud of these tests, checks included. Figures are
// steps per second of processor time.
func BenchmarkCloud(b *testing.B) { benchmark(b, scenario(sound)) }

func benchmark(b *testing.B, sc *sim.Scenario) {
	b.Helper()
	played := 0
	seed := uint64(0)
	for b.Loop() {
		rep, err := sc.Run(sim.Options{Seed: seed, Steps: steps})
		require.NoError(b, err)
		require.Nil(b, rep.Failure)
		played += rep.Played
		seed++
	}
	b.ReportMetric(float64(played)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkMarket(b *testing.B) { benchmark(b, marketScenario(sound)) }
