// Command customfilter schedules with a filter and a weigher of its own: hosts
// in a rack under repair are left out, and the host with most GPUs comes first.
package main

import (
	"fmt"
	"log"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

type rackFilter struct{ closed string }

func (rackFilter) Name() string           { return "RackFilter" }
func (rackFilter) Reads() scheduler.Reads { return scheduler.ReadsHost }
func (f rackFilter) Pass(_ *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	if h.Stats["rack"] == f.closed {
		return scheduler.Reason{Why: "rack %t is under repair", Text: f.closed}, nil
	}
	return scheduler.Reason{}, nil
}

type gpuWeigher struct{}

func (gpuWeigher) Name() string                     { return "GPUWeigher" }
func (gpuWeigher) Reads() scheduler.Reads           { return scheduler.ReadsHost }
func (gpuWeigher) Multiplier() scheduler.Multiplier { return scheduler.Multiplier{Value: 1} }
func (gpuWeigher) Floor() (least float64, ok bool)  { return 0, true }
func (gpuWeigher) Weigh(_ *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	for i, h := range hosts {
		raw[i] = float64(h.Metrics["gpus"])
	}
	return nil
}

func main() {
	p, err := scheduler.NewPipeline(scheduler.PipelineConfig{
		Filters: []scheduler.Filter{rackFilter{"r2"}}, Weighers: []scheduler.Weigher{gpuWeigher{}},
	})
	check(err)
	var why scheduler.Explanation
	selected, err := p.Select(&scheduler.Query{
		Spec: &scheduler.RequestSpec{Instances: []string{"training"}},
		Hosts: []*scheduler.HostState{
			{Host: "a", Stats: map[string]any{"rack": "r1"}, Metrics: map[string]int64{"gpus": 2}},
			{Host: "b", Stats: map[string]any{"rack": "r1"}, Metrics: map[string]int64{"gpus": 4}},
			{Host: "c", Stats: map[string]any{"rack": "r2"}, Metrics: map[string]int64{"gpus": 8}},
		},
	}, &why)
	check(err)
	for _, r := range why.Filters[0].Rejected {
		fmt.Println(r.Host+":", r.Reason.String())
	}
	fmt.Println(selected[0].Instance, "goes to", selected[0].Host.Host)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
