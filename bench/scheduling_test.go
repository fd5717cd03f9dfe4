package bench

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// TestMeasureScheduling holds both profiles to spreading evenly by memory.
func TestMeasureScheduling(t *testing.T) {
	t.Parallel()
	o := &scheduler.Options{
		EnabledFilters: []string{"ComputeFilter"}, WeightClasses: []string{"RAMWeigher"}, RAMWeightMultiplier: 1, ServiceDownTime: time.Hour,
	}
	filters, err := filter.Choose(o)
	require.NoError(t, err)
	weighers, err := weigh.Choose(o)
	require.NoError(t, err)
	cfg := SchedulingConfig{
		Hosts: []int{50}, Shapes: []int{1, 3}, Decisions: 99, Repeat: 3, Filters: filters, Now: time.Now,
		Policies: []SchedulingPolicy{{"spread", weighers}},
		OpenStored: func(ctx context.Context) (*placement.Engine, error) {
			return placement.Open(ctx, placement.Config{Store: mem.New(mem.Config{}), Now: time.Now})
		},
	}
	report, err := MeasureScheduling(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, report.Rows, 4)
	report.Peers = []PeerRow{{"peer", 50, 1, 2 * report.Rows[0].CPU}, {"peer", 51, 1, 1}}
	require.InDelta(t, 2, report.Ratio(&report.Peers[0], "indexed"), 1e-9)
	require.Zero(t, report.Ratio(&report.Peers[1], "indexed"))
	require.Len(t, report.Lines(), 4+2+2)
	for _, row := range report.Contention {
		require.EqualValues(t, 99, row.Claims)
	}
	for _, row := range report.Rows {
		require.Positive(t, row.PerSecond)
		require.Positive(t, row.ThousandMS)
		require.Equal(t, 99, row.Decisions)
		if row.Shapes == 1 {
			want := 2 // of 99 instances on 50 hosts
			if row.Profile == "indexed" {
				want = 302 // and 15,001 more
				require.Positive(t, row.RankBytes)
			}
			require.Equal(t, want, row.MostOnAHost, row.Profile)
		}
	}
	cfg.Decisions = 0
	_, err = MeasureScheduling(t.Context(), cfg)
	require.Error(t, err)
}
