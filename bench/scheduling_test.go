package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
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
	cfg := SchedulingConfig{Hosts: []int{50}, Shapes: []int{1, 3}, Decisions: 99, Filters: filters, Weighers: weighers, Now: time.Now}
	report, err := MeasureScheduling(t.Context(), cfg)
	require.NoError(t, err)
	require.Len(t, report.Rows, 4)
	require.Len(t, report.Lines(), 4)
	for _, row := range report.Rows {
		require.Positive(t, row.PerSecond)
		require.Equal(t, 99, row.Decisions)
		if row.Shapes == 1 {
			want := 2 // of 99 instances on 50 hosts
			if row.Profile == "indexed" {
				want = 22 // and 1,001 more
				require.Positive(t, row.ThousandMS)
				require.Positive(t, row.RankBytes)
			}
			require.Equal(t, want, row.MostOnAHost, row.Profile)
		}
	}
	cfg.Decisions = 0
	_, err = MeasureScheduling(t.Context(), cfg)
	require.Error(t, err)
}
