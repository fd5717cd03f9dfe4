package bench

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// NUMAReport is what a replay of requests with rules came to. A report exists
// only when every rule was kept.
type NUMAReport struct {
	Trace       string `json:"trace"`   // "numa"
	Variant     string `json:"variant"` // the sequence
	Policy      string `json:"policy"`
	Seed        uint64 `json:"seed"`
	Store       string `json:"store"`
	Hosts       int    `json:"hosts"`
	Requests    int    `json:"requests"`
	Placed      int    `json:"placed"`
	PlacedBound int    `json:"placed_bound"` // more are impossible
	// Refused counts by rule; "" are requests without one.
	Refused         map[string]int `json:"refused"`
	HostsUsed       int            `json:"hosts_used"`
	AllocatedVCPU   float64        `json:"allocated_vcpu_share"`
	AllocatedMemory float64        `json:"allocated_memory_share"`
	Seconds         float64        `json:"seconds"` // spent on deciding and claiming
	ClaimsPerSecond float64        `json:"claims_per_second"`
	Latency         Latency        `json:"latency_us"`
}

// Rows returns the report for people.
func (r *NUMAReport) Rows() []Row {
	rows := []Row{
		{"trace", fmt.Sprintf("%s (%s)", r.Trace, r.Variant)},
		{"policy", fmt.Sprintf("%s, seed %d", r.Policy, r.Seed)},
		{"store", r.Store},
		{"hosts", strconv.Itoa(r.Hosts)},
		{"requests placed", fmt.Sprintf("%d of %d, at most %d are possible", r.Placed, r.Requests, r.PlacedBound)},
	}
	for _, rule := range slices.Sorted(maps.Keys(r.Refused)) {
		name := rule
		if rule == "" {
			name = "no rule"
		}
		rows = append(rows, Row{"refused, " + name, strconv.Itoa(r.Refused[rule])})
	}
	return append(rows, []Row{
		{"hosts used", strconv.Itoa(r.HostsUsed)},
		{"vCPU allocated", percent(r.AllocatedVCPU)},
		{"memory allocated", percent(r.AllocatedMemory)},
		{"deciding and claiming", fmt.Sprintf("%.3f s", r.Seconds)},
		{"claims per second", fmt.Sprintf("%.0f", r.ClaimsPerSecond)},
		{"latency p50, p99", fmt.Sprintf("%.1f us, %.1f us", r.Latency.P50, r.Latency.P99)},
	}...)
}
