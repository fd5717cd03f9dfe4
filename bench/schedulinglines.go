package bench

import "fmt"

// PeerRow is what another scheduler needed, as it reported itself.
type PeerRow struct {
	Peer      string  `json:"peer"`
	Hosts     int     `json:"hosts"`
	Decisions int     `json:"decisions"`
	CPU       float64 `json:"cpu_us"` // processor time of a decision, median
}

// Ratio returns how many times the processor time of our decisions, of a
// profile with the first policy and one shape, the peer needs; 0 when that was
// not measured.
func (r *SchedulingReport) Ratio(p *PeerRow, profile string) float64 {
	for _, row := range r.Rows {
		if row.Profile == profile && row.Hosts == p.Hosts && row.Policy == r.Rows[0].Policy && row.Shapes == r.Rows[0].Shapes && row.CPU > 0 {
			return p.CPU / row.CPU
		}
	}
	return 0
}

// Lines returns the report for people, a row of words for each measurement.
func (r *SchedulingReport) Lines() []Row {
	var rows []Row
	for _, m := range r.Rows {
		value := fmt.Sprintf("CPU %.2f us, p50 %.1f us, p99 %.1f us, 1,000 servers at once %.1f ms", m.CPU, m.Latency.P50, m.Latency.P99, m.ThousandMS)
		if m.RankBytes > 0 {
			value += fmt.Sprintf(", ranks %.1f MiB", float64(m.RankBytes)/(1<<20))
		}
		rows = append(rows, Row{fmt.Sprintf("%s, %s, %d hosts, %d shapes", m.Profile, m.Policy, m.Hosts, m.Shapes), value})
	}
	for _, c := range r.Contention {
		rows = append(rows, Row{
			fmt.Sprintf("two schedulers, %d hosts, host_subset_size %d", c.Hosts, c.Subset),
			fmt.Sprintf("%d claims, %d decisions in vain (%.2f %%)", c.Claims, c.Lost, 100*c.Wasted),
		})
	}
	for k := range r.Peers {
		p := &r.Peers[k]
		rows = append(rows, Row{
			fmt.Sprintf("%s, %d hosts", p.Peer, p.Hosts),
			fmt.Sprintf("CPU %.0f us: %.0fx of indexed, %.0fx of nova", p.CPU, r.Ratio(p, "indexed"), r.Ratio(p, "nova")),
		})
	}
	return rows
}
