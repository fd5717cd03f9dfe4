package filter

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/internal/oslocfg"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// novaCase is a host and a request, and what Nova's filter made of them.
type novaCase struct {
	Filter  string
	Options map[string]any
	Spec    struct {
		Flavor struct {
			Name       string
			ExtraSpecs map[string]string `json:"extra_specs"`
		}
		Image *struct {
			ID         string
			Properties map[string]string
		}
		ProjectID string `json:"project_id"`
		Hints     map[string][]string
		Group     *struct {
			Policy         string
			Members, Hosts []string
			Max            *int64
		}
		Instance string
	}
	Host struct {
		Host       string
		Node       string `json:"nodename"`
		UUID       string
		Cell       string `json:"cell_uuid"`
		HostIP     string `json:"host_ip"`
		FreeRAM    int64  `json:"free_ram_mb"`
		TotalRAM   int64  `json:"total_usable_ram_mb"`
		FreeDisk   int64  `json:"free_disk_mb"`
		DiskUsed   int64  `json:"disk_mb_used"`
		VCPUs      int64  `json:"vcpus_total"`
		VCPUsUsed  int64  `json:"vcpus_used"`
		Instances  []string
		N          int64      `json:"num_instances"`
		IOOps      int64      `json:"num_io_ops"`
		Failed     int64      `json:"failed_builds"`
		CPURatio   float64    `json:"cpu_allocation_ratio"`
		RAMRatio   float64    `json:"ram_allocation_ratio"`
		DiskRatio  float64    `json:"disk_allocation_ratio"`
		Type       string     `json:"hypervisor_type"`
		Version    *int64     `json:"hypervisor_version"`
		Hostname   string     `json:"hypervisor_hostname"`
		Supported  [][]string `json:"supported_instances"`
		CPUInfo    any        `json:"cpu_info"`
		Stats      map[string]any
		Metrics    map[string]int64
		Aggregates []map[string]string
		Service    struct{ Disabled bool }
	}
	Want string // pass, no or raise
}

func (c *novaCase) spec() *scheduler.RequestSpec {
	s := &scheduler.RequestSpec{ProjectID: c.Spec.ProjectID, Hints: c.Spec.Hints, Instances: []string{c.Spec.Instance}}
	s.Flavor = scheduler.Flavor{Name: c.Spec.Flavor.Name, ExtraSpecs: c.Spec.Flavor.ExtraSpecs}
	if i := c.Spec.Image; i != nil {
		s.Image = &scheduler.Image{ID: i.ID, Properties: i.Properties}
	}
	if g := c.Spec.Group; g != nil {
		s.Group = &scheduler.Group{Policy: g.Policy, Members: g.Members, Hosts: g.Hosts, MaxServerPerHost: g.Max}
	}
	return s
}

func (c *novaCase) host() *scheduler.HostState {
	h := &c.Host
	s := &scheduler.HostState{
		Host: h.Host, Node: h.Node, UUID: h.UUID, Cell: h.Cell, HostIP: h.HostIP, FreeRAMMiB: h.FreeRAM, TotalRAMMiB: h.TotalRAM,
		FreeDiskMiB: h.FreeDisk, DiskUsedMiB: h.DiskUsed, VCPUsTotal: h.VCPUs, VCPUsUsed: h.VCPUsUsed, NumInstances: h.N, NumIOOps: h.IOOps,
		FailedBuilds: h.Failed, CPUAllocationRatio: h.CPURatio, RAMAllocationRatio: h.RAMRatio, DiskAllocationRatio: h.DiskRatio,
		HypervisorType: h.Type, HypervisorVersion: h.Version, HypervisorHostname: h.Hostname, SupportedInstances: h.Supported,
		CPUInfo: h.CPUInfo, Stats: h.Stats, Metrics: h.Metrics, Service: scheduler.Service{Disabled: h.Service.Disabled},
		Instances: map[string]scheduler.Instance{},
	}
	for _, uuid := range h.Instances {
		s.Instances[uuid] = scheduler.Instance{}
	}
	for _, m := range h.Aggregates {
		s.Aggregates = append(s.Aggregates, scheduler.Aggregate{Metadata: m})
	}
	return s
}

// TestNova asks the filters what Nova's own filters were asked, on hosts and
// requests that a program chose at random. The table was made with Nova at
// 00a0304 of 2026-08-21: HostState, RequestSpec and options as in a case,
// then host_passes of the class. Images hold what ImageMetaProps made of
// their properties.
func TestNova(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/nova.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	var cases []*novaCase
	if err := d.Decode(&cases); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, c := range cases {
		seen[c.Filter]++
		values, err := oslocfg.FromMap(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		o := scheduler.ReadOptions(values)
		o.EnabledFilters = []string{c.Filter}
		list, err := Choose(o)
		if err != nil {
			t.Fatal(err)
		}
		s := c.spec()
		r := &scheduler.Request{Spec: s, Instance: c.Spec.Instance}
		if s.Group != nil {
			r.GroupHosts = s.Group.Hosts
		}
		got := answer(list[0].Pass(r, c.host()))
		scoped, ok := list[0].(scheduler.Scoped)
		skipped := ok && scoped.Scope(s)&scheduler.EveryHost != 0
		if got != c.Want || skipped && c.Want != "pass" {
			in, _ := json.Marshal(c)
			t.Errorf("%s: %s, not asked: %v; Nova's answer is %s\n%s", c.Filter, got, skipped, c.Want, in)
		}
	}
	for _, c := range Builtin() {
		if seen[c.Name] < 20 && c.Name != "AllHostsFilter" && c.Name != "ComputeFilter" {
			t.Errorf("%d cases of %s", seen[c.Name], c.Name)
		}
	}
}

func answer(reason scheduler.Reason, err error) string {
	switch {
	case errors.Is(err, scheduler.ErrCannotEvaluate):
		return "raise"
	case err != nil:
		return err.Error()
	case reason.Passes():
		return "pass"
	default:
		return "no"
	}
}
