package bench

import (
	"context"

	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
)

// ContentionRow tells how two schedulers, each with 16 requests in flight,
// fill the hosts of one engine by best fit.
type ContentionRow struct {
	Hosts  int     `json:"hosts"`
	Subset int     `json:"host_subset_size"`
	Claims int64   `json:"claims"`
	Lost   int64   `json:"lost"`         // decisions in vain: another was faster
	Wasted float64 `json:"wasted_share"` // of all decisions
}

// contenders and how many requests each has in flight.
const (
	contenders = 2
	inFlight   = 16
)

// contention measures with each size of the subset of best hosts.
func contention(ctx context.Context, cfg *SchedulingConfig, hosts int) ([]ContentionRow, error) {
	var rows []ContentionRow
	for _, subset := range []int{1, 32} {
		row, err := contend(ctx, cfg, hosts, subset)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func contend(ctx context.Context, cfg *SchedulingConfig, hosts, subset int) (ContentionRow, error) {
	row := ContentionRow{Hosts: hosts, Subset: subset}
	engine, err := cfg.OpenStored(ctx)
	if err != nil {
		return row, err
	}
	defer func() { _ = engine.Close() }()
	table, err := fillWorld(ctx, cfg, engine, hosts)
	if err != nil {
		return row, err
	}
	all := make([]*live.Scheduler, contenders)
	for n := range all {
		all[n], err = live.New(live.Config{
			Engine: engine, Hosts: table, Filters: cfg.Filters, Weighers: []scheduler.Weigher{pack.NewBestFit(1)},
			Now: cfg.Now, Seed: uint64(n), Subset: subset,
		})
		if err != nil {
			return row, err
		}
	}
	err = each(ctx, cfg.Decisions, contenders*inFlight, func(ctx context.Context, n int) error {
		_, err := all[n%contenders].Schedule(ctx, requestOf(n%4, n, 1))
		return err
	})
	if err != nil {
		return row, err
	}
	for _, s := range all {
		stats := s.Stats()
		row.Claims, row.Lost = row.Claims+stats.Claims, row.Lost+stats.Lost
	}
	row.Wasted = float64(row.Lost) / float64(row.Claims+row.Lost)
	_, err = checkUsage(engine, hosts, cfg.Decisions)
	return row, err
}
