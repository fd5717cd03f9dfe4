package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/bench/chart"
)

// readScheduling reads a report of kilonova bench scheduler. Figures of the
// matrix go by profile/policy/hosts/shapes, those of others by their name.
func readScheduling(in io.Reader) (figures, error) {
	var r bench.SchedulingReport
	if err := json.NewDecoder(in).Decode(&r); err != nil {
		return nil, err
	}
	f := figures{}
	for _, m := range r.Rows {
		name := fmt.Sprintf("%s/%s/%d/%d ", m.Profile, m.Policy, m.Hosts, m.Shapes)
		f[name+"cpu-us"] = []float64{m.CPU}
		f[name+"p50-us"] = []float64{m.Latency.P50}
		f[name+"thousand-ms"] = []float64{m.ThousandMS}
		f[name+"rank-GiB"] = []float64{float64(m.RankBytes) / (1 << 30)}
	}
	for _, c := range r.Contention {
		f[fmt.Sprintf("contention/%d/%d wasted-%%", c.Hosts, c.Subset)] = []float64{100 * c.Wasted}
	}
	for _, p := range r.Peers {
		f[fmt.Sprintf("%s/%d cpu-us", p.Peer, p.Hosts)] = []float64{p.CPU}
	}
	if len(f) == 0 {
		return nil, errEmpty
	}
	return f, nil
}

func schedulingTable(out *bytes.Buffer, f figures) { writeRows(out, schedulingRows, f) }

// perCPUSecond is how many decisions a second of processor time makes.
func perCPUSecond(what string) func(figures) float64 {
	return func(f figures) float64 { return 1e6 / f.median(what+" cpu-us") }
}

// figure is one as it was measured.
func figure(what string) func(figures) float64 {
	return func(f figures) float64 { return f.median(what) }
}

// ratioOf is of two figures, the first of them ours where less is better.
func ratioOf(a, b string) func(figures) float64 {
	return func(f figures) float64 { return f.median(a) / f.median(b) }
}

// says prints a figure beside another.
func says(format, what string) func(figures) string {
	return func(f figures) string { return fmt.Sprintf(format, f.median(what)) }
}

var schedulingRows = []tableRow{
	{what: "select + claim, indexed, 10 k hosts, 1 shape", floor: 50e3, goal: 200e3, format: "%.0f/s", value: perCPUSecond("indexed/spread/10000/1"), beside: says("p50 %.1f us", "indexed/spread/10000/1 p50-us")},
	{what: "the same, 16 shapes", floor: 40e3, goal: 150e3, format: "%.0f/s", value: perCPUSecond("indexed/spread/10000/16"), beside: says("p50 %.1f us", "indexed/spread/10000/16 p50-us")},
	{what: "the same, 100 shapes", floor: 20e3, goal: 60e3, format: "%.0f/s", value: perCPUSecond("indexed/spread/10000/100"), beside: says("p50 %.1f us", "indexed/spread/10000/100 p50-us")},
	{what: "the same by best fit, whose ranks are one a shape", floor: 20e3, goal: 60e3, format: "%.0f/s", value: perCPUSecond("indexed/best-fit/10000/100"), beside: says("p50 %.1f us", "indexed/best-fit/10000/100 p50-us")},
	{what: "memory of the ranks, 100 shapes at 1 M hosts (best fit)", floor: 8, goal: 2, less: true, format: "%.2f GiB", value: figure("indexed/best-fit/1000000/100 rank-GiB"), beside: says("at 100 k %.2f GiB", "indexed/best-fit/100000/100 rank-GiB")},
	{what: "growth of its cost, 1 k to 1 M hosts, 16 shapes", floor: 5, goal: 2.5, less: true, format: "%.2fx", value: ratioOf("indexed/spread/1000000/16 cpu-us", "indexed/spread/1000/16 cpu-us"), beside: says("%.1f us at 1 M", "indexed/spread/1000000/16 cpu-us")},
	{what: "profile nova, 1 k hosts, a decision", floor: 100, goal: 15, less: true, format: "%.1f us", value: figure("nova/spread/1000/1 cpu-us"), beside: says("16 shapes %.1f us", "nova/spread/1000/16 cpu-us")},
	{what: "profile nova, 10 k hosts", floor: 500, goal: 100, less: true, format: "%.1f us", value: figure("nova/spread/10000/1 cpu-us"), beside: says("16 shapes %.1f us", "nova/spread/10000/16 cpu-us")},
	{what: "profile nova, 100 k hosts", floor: 5000, goal: 1000, less: true, format: "%.1f us", value: figure("nova/spread/100000/1 cpu-us"), beside: says("16 shapes %.1f us", "nova/spread/100000/16 cpu-us")},
	{what: "ratio to Nova's filters and weighers, 1 k hosts, profile nova", floor: 300, goal: 3000, format: "%.0fx", value: ratioOf("nova/1000 cpu-us", "nova/spread/1000/1 cpu-us"), beside: says("Nova %.0f us", "nova/1000 cpu-us")},
	{what: "the same, 10 k hosts", floor: 300, goal: 3000, format: "%.0fx", value: ratioOf("nova/10000 cpu-us", "nova/spread/10000/1 cpu-us"), beside: says("Nova %.0f us", "nova/10000 cpu-us")},
	{what: "ratio to Nomad, 10 k nodes, indexed", floor: 300, goal: 3000, format: "%.0fx", value: ratioOf("nomad/10000 cpu-us", "indexed/spread/10000/1 cpu-us"), beside: says("Nomad %.0f us", "nomad/10000 cpu-us")},
	{what: "one request for 1,000 servers, 10 k hosts, indexed", floor: 50, goal: 3, less: true, format: "%.1f ms", value: figure("indexed/spread/10000/1 thousand-ms"), beside: says("profile nova %.1f ms", "nova/spread/10000/1 thousand-ms")},
	{what: "two schedulers on one engine, 10 k hosts, best fit, decisions in vain", floor: 5, goal: 0.5, less: true, format: "%.2f %%", value: figure("contention/10000/1 wasted-%"), beside: says("host_subset_size 32: %.2f %%", "contention/10000/32 wasted-%")},
}

// schedulingPlot draws cost against hosts.
func schedulingPlot(w io.Writer, f figures) error {
	var r bench.SchedulingReport
	for _, profile := range []string{"indexed", "nova"} {
		for _, hosts := range []int{1e3, 1e4, 1e5, 1e6} {
			r.Rows = append(r.Rows, bench.SchedulingRow{
				Profile: profile, Policy: "spread", Hosts: hosts, Shapes: 16, CPU: f.median(fmt.Sprintf("%s/spread/%d/16 cpu-us", profile, hosts)),
			})
		}
	}
	for _, peer := range []string{"nova", "nomad"} {
		for _, hosts := range []int{1e3, 1e4} {
			r.Peers = append(r.Peers, bench.PeerRow{Peer: peer, Hosts: hosts, CPU: f.median(fmt.Sprintf("%s/%d cpu-us", peer, hosts))})
		}
	}
	return chart.Scheduling(w, "svg", &r)
}
