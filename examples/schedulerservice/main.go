// Command schedulerservice is a scheduler from end to end: options of a
// nova.conf, a request of flavor, image and project, what placement is asked
// for it, and a claim on the best host, or the reason why there is none.
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/kilonova-cloud/kilonova/compute/topology"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/filter"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/scheduler/pack"
	"github.com/kilonova-cloud/kilonova/scheduler/query"
	"github.com/kilonova-cloud/kilonova/scheduler/weigh"
)

const novaConf = `
[scheduler]
limit_tenants_to_placement_aggregate = true
[filter_scheduler]
enabled_filters = ComputeFilter, ImagePropertiesFilter, NUMATopologyFilter
weight_classes = BestFitWeigher
`

// service places requests.
type service struct {
	builder *query.Builder
	view    *query.View
	options *scheduler.Options
	keeper  *topology.Keeper
	live    *live.Scheduler
	reports *scheduler.Reports
}

// newService makes a scheduler on an engine from the text of a nova.conf.
func newService(text string, e *placement.Engine, hosts *live.Hosts, view *query.View) (*service, error) {
	o := scheduler.ReadOptions(readConf(text))
	keeper, err := topology.NewKeeper(o)
	if err != nil {
		return nil, err
	}
	filters, err := filter.Choose(o,
		filter.Constructor{Name: "NUMATopologyFilter", New: topology.NewNUMATopologyFilter},
		filter.Constructor{Name: "PciPassthroughFilter", New: topology.NewPCIPassthroughFilter})
	if err != nil {
		return nil, err
	}
	measure, err := pack.MeasureOf(o, &pack.LiveMix{})
	if err != nil {
		return nil, err
	}
	weighers, err := weigh.Choose(o, pack.Builtin(measure)...)
	if err != nil {
		return nil, err
	}
	reports := scheduler.NewReports(1000)
	s, err := live.New(live.Config{
		Engine: e, Hosts: hosts, Filters: filters, Weighers: weighers, Pinner: keeper,
		Subset: o.HostSubsetSize, Now: time.Now, Reports: reports,
	})
	return &service{query.New(o), view, o, keeper, s, reports}, err
}

// place claims a host for each instance of a request.
func (s *service) place(ctx context.Context, id string, spec *scheduler.RequestSpec) ([]live.Selection, error) {
	if err := s.keeper.ReadSpec(spec); err != nil { // NUMA cells and devices
		return nil, err
	}
	devices, err := s.keeper.PCIGroups(spec) // none, unless pci_in_placement
	if err != nil {
		return nil, err
	}
	q, err := s.builder.Build(s.view, &query.Request{Spec: spec, PCIGroups: devices})
	if err != nil {
		return nil, err
	}
	return s.live.Schedule(ctx, &live.Request{ID: id, Spec: spec, Where: q.Candidates, Alternates: s.options.MaxAttempts - 1})
}

func main() {
	ctx := context.Background()
	e, err := placement.Open(ctx, placement.Config{}) // in memory
	check(err)
	hosts := live.NewHosts(0)
	reserved := placement.MustUUID("a0000000-0000-4000-8000-000000000001") // for the project
	for n, gib := range []int64{16, 64, 32} {
		check(addHost(ctx, e, hosts, n+1, gib))
		if n < 2 {
			_, err := e.SetAggregates(ctx, hostID(n+1), []placement.UUID{reserved}, placement.AnyGeneration)
			check(err)
		}
	}
	s, err := newService(novaConf, e, hosts, &query.View{Aggregates: []scheduler.Aggregate{
		{UUID: reserved.String(), Metadata: map[string]string{"filter_tenant_id": "demo"}},
	}})
	check(err)

	ask := func(id string, gib int64, instances ...string) {
		chosen, err := s.place(ctx, id, &scheduler.RequestSpec{
			Flavor:    scheduler.Flavor{Name: "m1", VCPUs: 2, MemoryMiB: gib << 10, RootGiB: 20},
			Image:     &scheduler.Image{Properties: map[string]string{"hw_architecture": "x86_64"}},
			ProjectID: "demo", UserID: "demo", Instances: instances,
		})
		for _, c := range chosen {
			fmt.Println(id, "is on", c.Host)
		}
		if err != nil {
			fmt.Println(id, "failed:", err)
		}
	}
	ask("req-1", 8, "10000000-0000-4000-8000-000000000001", "10000000-0000-4000-8000-000000000002", "10000000-0000-4000-8000-000000000003")
	ask("req-2", 60, "10000000-0000-4000-8000-000000000004")
	report, _ := s.reports.Get("req-2")
	fmt.Println("placement left", report.Explanation.Placement.After, "of", report.Explanation.Placement.Before)
	check(e.Close())
}

func hostID(n int) placement.UUID {
	return placement.MustUUID(fmt.Sprintf("70000000-0000-4000-8000-%012d", n))
}

// addHost makes a host known to placement, which counts its resources, and to
// the scheduler, which reads the rest.
func addHost(ctx context.Context, e *placement.Engine, hosts *live.Hosts, n int, gib int64) error {
	name := fmt.Sprint("host", n)
	if _, err := e.CreateProvider(ctx, placement.Provider{UUID: hostID(n), Name: name}); err != nil {
		return err
	}
	if _, err := e.SetInventories(ctx, hostID(n), map[string]placement.Inventory{
		"VCPU": placement.NewInventory(16), "MEMORY_MB": placement.NewInventory(gib << 10), "DISK_GB": placement.NewInventory(1000),
	}, placement.AnyGeneration); err != nil {
		return err
	}
	return hosts.Put(&scheduler.HostState{
		Host: name, Node: name, UUID: hostID(n).String(), Service: scheduler.Service{LastReport: time.Now()},
		SupportedInstances: [][]string{{"x86_64", "kvm", "hvm"}},
	})
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
