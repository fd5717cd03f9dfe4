package trace

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

//go:embed huawei-numa/*.csv.gz
var huaweiNUMA embed.FS

// Cells is the number of NUMA cells of a host.
const Cells = 2

// Cell is one NUMA cell, or a part of it.
type Cell struct{ VCPUs, GiB int64 }

// NUMAHost is a host with what is free of its cells, and where it stands.
type NUMAHost struct {
	Cells [Cells]Cell
	Rack  int
}

// Rule is what a request's group asks of the places of its members.
type Rule uint8

// The rules.
const (
	NoRule       Rule = iota
	Affinity          // all members on one host
	AntiAffinity      // no two members on one host
	FaultDomain       // members of different domains in different racks
)

// rules are the names of the rules in traces.
func rules() []string { return []string{"", "affinity", "anti-affinity", "fault_domain"} }

// String returns the rule's name in traces, "" for none.
func (r Rule) String() string { return rules()[r] }

// NUMARequest asks for a virtual machine on one or two cells of a host.
type NUMARequest struct {
	Part   Cell // of each cell it takes
	Cells  int  // how many, 1 or 2
	Rule   Rule
	Group  int // number among the groups of the rule
	Domain int // number of the fault domain inside the group
}

// NUMASequences returns the names of the Huawei request sequences.
func NUMASequences() []string { return []string{"C1", "C2", "C3", "C4", "C5"} }

// NUMAHosts returns the 1,710 hosts of the Huawei data.
func NUMAHosts() ([]NUMAHost, error) {
	hosts, errHosts := readNUMA("PM_res", ReadNUMAHosts)
	racks, errRacks := readNUMA("topology_provider", ReadRacks)
	if err := errors.Join(errHosts, errRacks); err != nil {
		return nil, err
	}
	for i := range hosts {
		rack, known := racks[fmt.Sprintf("host-%d", i)]
		if !known {
			return nil, fmt.Errorf("topology_provider has no host-%d", i)
		}
		hosts[i].Rack = rack
	}
	return hosts, nil
}

// NUMARequests returns one of [NUMASequences], in the order of arrival.
func NUMARequests(sequence string) ([]NUMARequest, error) {
	if !slices.Contains(NUMASequences(), sequence) {
		return nil, fmt.Errorf("sequence is %q, allowed are: %s", sequence, strings.Join(NUMASequences(), ", "))
	}
	return readNUMA("VM_data_"+sequence, ReadNUMARequests)
}

func readNUMA[T any](name string, read func(string, io.Reader) (T, error)) (T, error) {
	name = "huawei-numa/" + name + ".csv.gz"
	f, err := huaweiNUMA.Open(name)
	if err != nil {
		var none T
		return none, fmt.Errorf("open trace: %w", err)
	}
	defer func() { _ = f.Close() }() // in memory
	return read(name, f)
}

const maxCell = 1 << 20 // vCPUs or GiB

// ReadNUMAHosts reads hosts in the columns CPU1, RAM1, CPU2 and RAM2: vCPUs
// and GiB of each cell. There is at least one host; racks are 0.
func ReadNUMAHosts(name string, r io.Reader) ([]NUMAHost, error) {
	t, err := newTable(name, r, []string{"CPU1", "RAM1", "CPU2", "RAM2"}, nil)
	if err != nil {
		return nil, err
	}
	var hosts []NUMAHost
	for t.next() {
		hosts = append(hosts, NUMAHost{Cells: [Cells]Cell{
			{t.integer("CPU1", 0, maxCell), t.integer("RAM1", 0, maxCell)},
			{t.integer("CPU2", 0, maxCell), t.integer("RAM2", 0, maxCell)},
		}})
	}
	return hosts, t.finish(len(hosts))
}

// ReadRacks reads the rack of each host in the columns host_id and rack_id.
func ReadRacks(name string, r io.Reader) (map[string]int, error) {
	t, err := newTable(name, r, []string{"host_id", "rack_id"}, nil)
	if err != nil {
		return nil, err
	}
	racks := map[string]int{}
	for t.next() {
		racks[t.text("host_id")] = int(t.integer("rack_id", 0, maxCell))
	}
	return racks, t.finish(len(racks))
}

// ReadNUMARequests reads requests in the columns flavor_vcpus, flavor_ram,
// numa, strategy, group and domain. There is at least one request. Amounts
// are divisible by the number of cells.
func ReadNUMARequests(name string, r io.Reader) ([]NUMARequest, error) {
	t, err := newTable(name, r, []string{"flavor_vcpus", "flavor_ram", "numa", "strategy", "group", "domain"}, nil)
	if err != nil {
		return nil, err
	}
	var requests []NUMARequest
	for t.next() {
		requests = append(requests, t.numaRequest())
	}
	return requests, t.finish(len(requests))
}

func (t *table) numaRequest() NUMARequest {
	q := NUMARequest{Cells: int(t.integer("numa", 1, Cells))}
	cells := max(1, int64(q.Cells))
	vcpus, gib := t.integer("flavor_vcpus", 1, maxCell), t.integer("flavor_ram", 1, maxCell)
	t.require(vcpus%cells == 0, "flavor_vcpus", fmt.Sprintf("a multiple of %d", cells))
	t.require(gib%cells == 0, "flavor_ram", fmt.Sprintf("a multiple of %d", cells))
	q.Part = Cell{vcpus / cells, gib / cells}
	rule := slices.Index(rules(), t.text("strategy"))
	t.require(rule >= 0, "strategy", strings.Join(rules()[1:], ", ")+", or empty")
	q.Rule = Rule(max(0, rule))
	if q.Rule != NoRule {
		q.Group = int(t.integer("group", 0, maxCell))
	}
	if q.Rule == FaultDomain {
		q.Domain = int(t.integer("domain", 0, maxCell))
	}
	return q
}
