package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
)

// SchedulingConfig says what to measure of the scheduler.
type SchedulingConfig struct {
	Hosts     []int         // numbers of hosts
	Shapes    []int         // numbers of shapes of request, which take turns
	Decisions int           // to measure, of each
	Repeat    int           // how often to measure; the median counts. 0: once
	AtMost    time.Duration // for the decisions of each; those that are left are not made. 0: a minute
	Filters   []scheduler.Filter
	Policies  []SchedulingPolicy // at least one
	Profiles  []string           // indexed, nova; nil: both
	Now       func() time.Time
	CPU       func() time.Duration // processor time used so far; nil: time that passed
	Progress  func(done, all int)  // nil: nobody is told

	// OpenStored opens an empty engine on a store, for two schedulers to
	// contend on; nil: that is not measured.
	OpenStored func(context.Context) (*placement.Engine, error)
}

// SchedulingPolicy is a set of weighers under a name.
type SchedulingPolicy struct {
	Name     string
	Weighers []scheduler.Weigher
}

// SchedulingReport is a matrix of measurements.
type SchedulingReport struct {
	Rows       []SchedulingRow `json:"rows"`
	Contention []ContentionRow `json:"contention,omitempty"`
	Peers      []PeerRow       `json:"peers,omitempty"`
}

// SchedulingRow is one measurement. The profile indexed selects and claims, on
// an engine in memory; nova only selects, on a [scheduler.HostSet].
type SchedulingRow struct {
	Profile     string  `json:"profile"`
	Policy      string  `json:"policy"`
	Hosts       int     `json:"hosts"`
	Shapes      int     `json:"shapes"`
	Decisions   int     `json:"decisions"`
	PerSecond   float64 `json:"decisions_per_second"`
	CPU         float64 `json:"cpu_us"` // processor time of a decision
	Latency     Latency `json:"latency_us"`
	RankBytes   int64   `json:"rank_bytes"`  // of the profile indexed
	ThousandMS  float64 `json:"thousand_ms"` // one request for 1,000 servers, processor time
	MostOnAHost int     `json:"most_on_a_host"`
}

// MeasureScheduling measures every policy with every number of hosts and of
// shapes. It checks that each instance holds what it asked for, and that none
// was placed beyond a capacity.
func MeasureScheduling(ctx context.Context, cfg SchedulingConfig) (*SchedulingReport, error) {
	if len(cfg.Policies) == 0 || cfg.Decisions < 1 {
		return nil, fmt.Errorf("policies, decisions are %d, %d, allowed are: 1 or more of each", len(cfg.Policies), cfg.Decisions)
	}
	if cfg.CPU == nil {
		begun := cfg.Now()
		cfg.CPU = func() time.Duration { return cfg.Now().Sub(begun) }
	}
	var report SchedulingReport
	measures := cfg.measures()
	all, done := len(cfg.Hosts)*len(cfg.Shapes)*len(cfg.Policies)*len(measures), 0
	for _, hosts := range cfg.Hosts {
		for _, shapes := range cfg.Shapes {
			for k := range cfg.Policies {
				for _, measure := range measures {
					row, err := median(ctx, &cfg, measure, spot{hosts, shapes, &cfg.Policies[k]})
					if err != nil {
						return nil, fmt.Errorf("%d hosts, %d shapes, %s: %w", hosts, shapes, cfg.Policies[k].Name, err)
					}
					report.Rows = append(report.Rows, row)
					if done++; cfg.Progress != nil {
						cfg.Progress(done, all)
					}
				}
			}
		}
		if cfg.OpenStored == nil {
			continue
		}
		rows, err := contention(ctx, &cfg, hosts)
		if err != nil {
			return nil, fmt.Errorf("two schedulers, %d hosts: %w", hosts, err)
		}
		report.Contention = append(report.Contention, rows...)
	}
	return &report, nil
}

// measures are those of the profiles.
func (cfg *SchedulingConfig) measures() []measure {
	var list []measure
	if cfg.Profiles == nil || slices.Contains(cfg.Profiles, "indexed") {
		list = append(list, indexed)
	}
	if cfg.Profiles == nil || slices.Contains(cfg.Profiles, "nova") {
		list = append(list, nova)
	}
	return list
}

// atMost is how long a measurement may take.
func (cfg *SchedulingConfig) atMost() time.Duration {
	if cfg.AtMost > 0 {
		return cfg.AtMost
	}
	return time.Minute
}

// spot is one of the matrix.
type spot struct {
	hosts, shapes int
	policy        *SchedulingPolicy
}

type measure func(context.Context, *SchedulingConfig, spot) (SchedulingRow, error)

// median measures Repeat times and returns the row of median processor time.
func median(ctx context.Context, cfg *SchedulingConfig, m measure, c spot) (SchedulingRow, error) {
	if c.hosts < 1 || c.shapes < 1 {
		return SchedulingRow{}, errors.New("hosts and shapes are 1 or more")
	}
	rows := make([]SchedulingRow, max(1, cfg.Repeat))
	for n := range rows {
		var err error
		if rows[n], err = m(ctx, cfg, c); err != nil {
			return SchedulingRow{}, err
		}
	}
	slices.SortFunc(rows, func(a, b SchedulingRow) int { return cmp.Compare(a.CPU, b.CPU) })
	return rows[len(rows)/2], nil
}

// indexed measures select and claim.
func indexed(ctx context.Context, cfg *SchedulingConfig, c spot) (SchedulingRow, error) {
	row := SchedulingRow{Profile: "indexed", Policy: c.policy.Name, Hosts: c.hosts, Shapes: c.shapes}
	engine, err := placement.Open(ctx, placement.Config{Now: cfg.Now})
	if err != nil {
		return row, err
	}
	defer func() { _ = engine.Close() }()
	table, err := fillWorld(ctx, cfg, engine, c.hosts)
	if err != nil {
		return row, err
	}
	s, err := live.New(live.Config{Engine: engine, Hosts: table, Filters: cfg.Filters, Weighers: c.policy.Weighers, Now: cfg.Now, Seed: 1})
	if err != nil {
		return row, err
	}
	requests := make([]*live.Request, c.shapes)
	for k := range requests { // ranks are made before time counts
		requests[k] = requestOf(k, k, 1)
		if _, err := s.Schedule(ctx, requests[k]); err != nil {
			return row, err
		}
	}
	names := instanceNames(c.shapes, cfg.Decisions)
	runtime.GC() // of what made the world
	watch, cpu := stopwatch{now: cfg.Now}, cfg.CPU()
	for n := 0; n < len(names) && watch.total < cfg.atMost(); n++ {
		r := requests[n%c.shapes]
		r.Spec.Instances[0] = names[n]
		watch.start()
		_, err := s.Schedule(ctx, r)
		if watch.stop(true); err != nil {
			return row, err
		}
	}
	row.Decisions = len(watch.claims)
	row.CPU = micros(cfg.CPU()-cpu) / float64(row.Decisions)
	row.PerSecond, row.Latency, row.RankBytes = watch.perSecond(), watch.percentiles(), s.Stats().RankBytes
	more := 0
	row.ThousandMS, err = thousands(cfg, c.hosts, func(n int) (int, error) {
		more += thousand
		chosen, err := s.Schedule(ctx, requestOf(0, c.shapes+row.Decisions+n, thousand))
		return len(chosen), err
	})
	if err != nil {
		return row, err
	}
	row.MostOnAHost, err = checkUsage(engine, c.hosts, c.shapes+row.Decisions+more)
	return row, err
}

// thousands returns the median processor time, in milliseconds, of fewTimes
// requests for 1,000 servers, or of those that time is left for and half of the
// hosts' room; do gets the number of the first.
func thousands(cfg *SchedulingConfig, hosts int, do func(first int) (int, error)) (float64, error) {
	var taken []time.Duration
	for begun := cfg.CPU(); len(taken) < min(fewTimes, 2*hosts) && cfg.CPU()-begun < cfg.atMost(); {
		since := cfg.CPU()
		placed, err := do(len(taken) * thousand)
		if taken = append(taken, cfg.CPU()-since); err != nil {
			return 0, err
		}
		if placed != thousand {
			return 0, fmt.Errorf("%d of %d instances were placed", placed, thousand)
		}
	}
	slices.Sort(taken)
	return micros(taken[len(taken)/2]) / 1e3, nil
}

// instanceNames returns the UUIDs of count instances.
func instanceNames(first, count int) []string {
	names := make([]string, count)
	for n := range names {
		names[n] = numbered(kindInstance, first+n).String()
	}
	return names
}

// nova measures decisions as Nova makes them; what a choice takes is taken
// from the host before the next.
func nova(ctx context.Context, cfg *SchedulingConfig, c spot) (SchedulingRow, error) {
	row := SchedulingRow{Profile: "nova", Policy: c.policy.Name, Hosts: c.hosts, Shapes: c.shapes}
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{Filters: cfg.Filters, Weighers: c.policy.Weighers, MaxAttempts: 1})
	if err != nil {
		return row, err
	}
	now := cfg.Now()
	states, at := make([]*scheduler.HostState, c.hosts), make(map[string]int, c.hosts)
	for n := range states {
		states[n] = hostRecord(n, now)
		at[states[n].Host] = n
	}
	set := p.NewHostSet(states)
	specs := make([]scheduler.RequestSpec, c.shapes)
	for k := range specs {
		specs[k] = *requestOf(k, k, 1).Spec
	}
	names := instanceNames(0, cfg.Decisions)
	runtime.GC()
	watch, cpu := stopwatch{now: cfg.Now}, cfg.CPU()
	for n := 0; n < len(names) && watch.total < cfg.atMost() && ctx.Err() == nil; n++ {
		spec := &specs[n%c.shapes]
		spec.Instances[0] = names[n]
		watch.start()
		chosen, err := set.Select(spec, now, nil)
		if watch.stop(true); err != nil {
			return row, err
		}
		next := *chosen[0].Host
		next.FreeRAMMiB -= spec.Flavor.MemoryMiB
		next.FreeDiskMiB -= spec.Flavor.RootGiB << 10
		next.VCPUsUsed += spec.Flavor.VCPUs
		next.NumInstances++
		row.MostOnAHost = max(row.MostOnAHost, int(next.NumInstances))
		set.Set(at[next.Host], &next)
	}
	row.Decisions = len(watch.claims)
	row.CPU = micros(cfg.CPU()-cpu) / float64(row.Decisions)
	row.PerSecond, row.Latency = watch.perSecond(), watch.percentiles()
	row.ThousandMS, err = thousands(cfg, c.hosts, func(n int) (int, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		chosen, err := set.Select(requestOf(0, row.Decisions+n, thousand).Spec, now, nil)
		return len(chosen), err
	})
	return row, err
}
