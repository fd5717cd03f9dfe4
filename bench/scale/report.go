package scale

import (
	"fmt"

	"github.com/kilonova-cloud/kilonova/bench"
)

// Config is a matrix of cases.
type Config struct {
	Engines  []int
	Hosts    []int
	InFlight []int // claims in flight in all; one curve each
	Rate     []int // claims a second in all; one curve each
	Case     Case  // what all have in common
	Costs    Costs
	Progress func(done, all int) // nil: nobody is told
}

// Report is what a matrix came to, and beside it the engines and the cluster
// that were measured.
type Report struct {
	Seed  uint64 `json:"seed"`
	Rows  []Row  `json:"rows"`
	Check []Held `json:"held_to"`
}

// Held compares the model with a measurement.
type Held struct {
	Name      string  `json:"name"`
	Unit      string  `json:"unit"`
	Model     float64 `json:"model"`
	Measured  float64 `json:"measured"`
	Deviation float64 `json:"deviation"` // of the model, as a fraction of what was measured
}

// Measure simulates every number of engines with every number of hosts and
// every load.
func Measure(cfg Config) (*Report, error) {
	report := &Report{Seed: cfg.Case.Seed, Rows: []Row{}}
	var loads []Case
	for _, n := range cfg.InFlight {
		loads = append(loads, Case{InFlight: n})
	}
	for _, n := range cfg.Rate {
		loads = append(loads, Case{Rate: n})
	}
	all := len(loads) * len(cfg.Hosts) * len(cfg.Engines)
	for _, load := range loads {
		for _, hosts := range cfg.Hosts {
			for _, engines := range cfg.Engines {
				c := cfg.Case
				c.Engines, c.Hosts, c.InFlight, c.Rate = engines, hosts, load.InFlight, load.Rate
				row, err := Simulate(c, cfg.Costs)
				if err != nil {
					return nil, err
				}
				report.Rows = append(report.Rows, row)
				if cfg.Progress != nil {
					cfg.Progress(len(report.Rows), all)
				}
			}
		}
	}
	return report, nil
}

// Lines returns the report for people.
func (r *Report) Lines() []bench.Row {
	var lines []bench.Row
	for k := range r.Rows {
		row := &r.Rows[k]
		value := fmt.Sprintf("%.0f claims/s, %.1f a batch, %.1f %% of batches refused, %.2f plans anew a claim, latency p50 %.1f ms p99 %.0f ms",
			row.ClaimsPerSecond, row.ClaimsPerBatch, 100*row.Conflicts, row.Retries, row.Latency.P50, row.Latency.P99)
		if row.Engines > 1 {
			value += fmt.Sprintf(", staleness p50 %.2f ms p99 %.1f ms", row.Staleness.P50, row.Staleness.P99)
		}
		lines = append(lines, bench.Row{Name: fmt.Sprintf("%s, %d hosts, %d engines", row.Load(), row.Hosts, row.Engines), Value: value})
	}
	for _, h := range r.Check {
		lines = append(lines, bench.Row{
			Name: "held to: " + h.Name, Value: fmt.Sprintf("model %.4g %s, measured %.4g (%+.0f %%)", h.Model, h.Unit, h.Measured, 100*h.Deviation),
		})
	}
	return lines
}

// Load says how claims came.
func (r *Row) Load() string {
	if r.InFlight > 0 {
		return fmt.Sprintf("%d claims in flight", r.InFlight)
	}
	return fmt.Sprintf("%d claims/s", r.Rate)
}
