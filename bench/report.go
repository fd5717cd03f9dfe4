package bench

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// GPUReport is what a replay of a GPU cluster came to. Shares are fractions
// of what the cluster has in all.
type GPUReport struct {
	Trace           string  `json:"trace"`
	Variant         string  `json:"variant"`
	Policy          string  `json:"policy"`
	Seed            uint64  `json:"seed"`
	Inflation       float64 `json:"inflation"` // 0: the tasks once, in order
	Store           string  `json:"store"`
	Nodes           int     `json:"nodes"`
	Tasks           int     `json:"tasks"`
	Placed          int     `json:"placed"`
	Refused         int     `json:"refused"`
	RequestedGPU    float64 `json:"requested_gpu_share"`
	AllocatedGPU    float64 `json:"allocated_gpu_share"`
	AllocatedCPU    float64 `json:"allocated_cpu_share"`
	AllocatedMemory float64 `json:"allocated_memory_share"`
	// AllocatedGPUAt100 is the share allocated once the GPUs asked for add up
	// to those of the cluster; nil when they never do.
	AllocatedGPUAt100 *float64 `json:"allocated_gpu_share_at_100"`
	Seconds           float64  `json:"seconds"` // spent on deciding and claiming
	ClaimsPerSecond   float64  `json:"claims_per_second"`
	Latency           Latency  `json:"latency_us"`
	Curve             []Point  `json:"-"` // the empty cluster, then one point a task
}

// Latency is the time from asking for candidates to the acknowledged claim,
// over the tasks that were placed, in microseconds.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Point is a moment of a replay, as shares of the cluster.
type Point struct {
	RequestedGPU, AllocatedGPU, AllocatedCPU, AllocatedMemory float64
}

// Row is one line of a report for people.
type Row struct{ Name, Value string }

// Rows returns the report for people.
func (r *GPUReport) Rows() []Row {
	at100 := "not reached"
	if r.AllocatedGPUAt100 != nil {
		at100 = percent(*r.AllocatedGPUAt100)
	}
	order := "once, in order"
	if r.Inflation > 0 {
		order = fmt.Sprintf("drawn up to %s of the GPUs", percent(r.Inflation))
	}
	return []Row{
		{"trace", fmt.Sprintf("%s (%s), %s", r.Trace, r.Variant, order)},
		{"policy", fmt.Sprintf("%s, seed %d", r.Policy, r.Seed)},
		{"store", r.Store},
		{"nodes", strconv.Itoa(r.Nodes)},
		{"tasks", strconv.Itoa(r.Tasks)},
		{"tasks placed", strconv.Itoa(r.Placed)},
		{"tasks refused", strconv.Itoa(r.Refused)},
		{"GPU requested", percent(r.RequestedGPU)},
		{"GPU allocated", percent(r.AllocatedGPU)},
		{"GPU allocated at 100 % requested", at100},
		{"CPU allocated", percent(r.AllocatedCPU)},
		{"memory allocated", percent(r.AllocatedMemory)},
		{"deciding and claiming", fmt.Sprintf("%.3f s", r.Seconds)},
		{"claims per second", fmt.Sprintf("%.0f", r.ClaimsPerSecond)},
		{"latency p50, p99", fmt.Sprintf("%.1f us, %.1f us", r.Latency.P50, r.Latency.P99)},
	}
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", 100*share) }

// WriteCurve writes the curve as CSV with a header line.
func (r *GPUReport) WriteCurve(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"requested_gpu_share", "allocated_gpu_share", "allocated_cpu_share", "allocated_memory_share"}}
	for _, p := range r.Curve {
		rows = append(rows, []string{cell(p.RequestedGPU), cell(p.AllocatedGPU), cell(p.AllocatedCPU), cell(p.AllocatedMemory)})
	}
	if err := out.WriteAll(rows); err != nil {
		return fmt.Errorf("write curve: %w", err)
	}
	return nil
}

func cell(v float64) string { return strconv.FormatFloat(v, 'f', 6, 64) }

// VMReport is what a replay of virtual machines came to.
type VMReport struct {
	Trace  string `json:"trace"` // "vm"
	Policy string `json:"policy"`
	Seed   uint64 `json:"seed"`
	Store  string `json:"store"`
	VMs    int    `json:"vms"`
	// PeakHosts is the most hosts occupied at once, PeakBound the highest
	// bound of any moment: the hosts that the demand needs if it could be cut
	// at will.
	PeakHosts      int64   `json:"peak_hosts"`
	PeakBound      int64   `json:"peak_bound"`
	PeakRatio      float64 `json:"peak_ratio"`
	HostHours      float64 `json:"host_hours"`
	HostHoursBound float64 `json:"host_hours_bound"`
	Usage          float64 `json:"usage"` // HostHours / HostHoursBound
	// StrandedVCPU is the free share of the vCPUs of occupied hosts, averaged
	// over the time in which a host is occupied.
	StrandedVCPU    float64 `json:"stranded_vcpu_share"`
	Seconds         float64 `json:"seconds"` // spent on deciding, claiming and releasing
	ClaimsPerSecond float64 `json:"claims_per_second"`
	Latency         Latency `json:"latency_us"`
}

// Rows returns the report for people.
func (r *VMReport) Rows() []Row {
	return []Row{
		{"policy", fmt.Sprintf("%s, seed %d", r.Policy, r.Seed)},
		{"store", r.Store},
		{"virtual machines", strconv.Itoa(r.VMs)},
		{"peak hosts", fmt.Sprintf("%d, at least %d needed, ratio %.4f", r.PeakHosts, r.PeakBound, r.PeakRatio)},
		{"host hours", fmt.Sprintf("%.1f, at least %.1f needed, ratio %.4f", r.HostHours, r.HostHoursBound, r.Usage)},
		{"stranded vCPU", percent(r.StrandedVCPU)},
		{"deciding, claiming, releasing", fmt.Sprintf("%.3f s", r.Seconds)},
		{"claims per second", fmt.Sprintf("%.0f", r.ClaimsPerSecond)},
		{"latency p50, p99", fmt.Sprintf("%.1f us, %.1f us", r.Latency.P50, r.Latency.P99)},
	}
}
