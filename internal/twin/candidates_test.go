package twin

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

// host is one provider of a hand-made world. Aggregates are letters.
type host struct {
	name, parent, traits, aggregates string
	inventories                      map[string]placement.Inventory
	used                             map[string]int64
}

type units map[string]int64

// with is an inventory of each class with the total given.
func with(totals units) map[string]placement.Inventory {
	inventories := map[string]placement.Inventory{}
	for class, total := range totals {
		inventories[class] = placement.NewInventory(total)
	}
	return inventories
}

// uuidOf makes UUIDs of names, so that tests can be read.
func uuidOf(name string) placement.UUID {
	u := placement.UUID{0: 0xaa}
	copy(u[1:], name)
	return u
}

func nameOf(u placement.UUID) string { return strings.TrimRight(string(u[1:]), "\x00") }

func aggregatesOf(letters string) []placement.UUID {
	var aggregates []placement.UUID
	for _, letter := range letters {
		aggregates = append(aggregates, uuidOf(string(letter)))
	}
	return aggregates
}

// opsFor are the writes that make a hand-made world.
func opsFor(hosts []host) []Op {
	ops := []Op{
		{Kind: OpCreateClass, Name: "CUSTOM_A"},
		{Kind: OpCreateTrait, Name: "CUSTOM_S"},
		{Kind: OpCreateTrait, Name: "CUSTOM_T"},
		{Kind: OpCreateTrait, Name: "CUSTOM_U"},
	}
	for n, h := range hosts {
		u := uuidOf(h.name)
		p := placement.Provider{UUID: u, Name: h.name}
		if h.parent != "" {
			p.Parent = uuidOf(h.parent)
		}
		ops = append(ops,
			Op{Kind: OpCreateProvider, Provider: p},
			Op{Kind: OpSetInventories, UUID: u, Generation: placement.AnyGeneration, Inventories: h.inventories},
			Op{Kind: OpSetTraits, UUID: u, Generation: placement.AnyGeneration, Traits: strings.Fields(h.traits)},
			Op{Kind: OpSetAggregates, UUID: u, Generation: placement.AnyGeneration, Aggregates: aggregatesOf(h.aggregates)},
		)
		if len(h.used) > 0 {
			c := placement.ConsumerAllocations{
				Consumer: ConsumerID(n), Project: "p", User: "u", Generation: placement.AnyGeneration,
			}
			for class, amount := range h.used {
				c.Allocations = append(c.Allocations, placement.Allocation{Provider: u, Class: class, Amount: amount})
			}
			write := placement.AllocationWrite{Consumers: []placement.ConsumerAllocations{c}}
			ops = append(ops, Op{Kind: OpSetAllocations, Write: write})
		}
	}
	return ops
}

func build(t *testing.T, ops []Op) *World {
	t.Helper()
	w := New()
	for _, op := range ops {
		if err := w.Apply(op); err != nil {
			t.Fatalf("%v: %v", op, err)
		}
	}
	return w
}

// text renders a candidate as "h VCPU 2, n DISK_GB 5 -> h+n, 1 g".
func text(c placement.Candidate) string {
	var allocations, mappings []string
	for _, a := range c.Allocations {
		allocations = append(allocations, fmt.Sprintf("%s %s %d", nameOf(a.Provider), a.Class, a.Amount))
	}
	for _, m := range c.Mappings {
		var names []string
		for _, u := range m.Providers {
			names = append(names, nameOf(u))
		}
		slices.Sort(names)
		mappings = append(mappings, strings.TrimSpace(m.Suffix+" "+strings.Join(names, "+")))
	}
	slices.Sort(allocations)
	slices.Sort(mappings)
	return strings.Join(allocations, ", ") + " -> " + strings.Join(mappings, ", ")
}

func texts(candidates []placement.Candidate) []string {
	list := []string{}
	for _, c := range candidates {
		list = append(list, text(c))
	}
	slices.Sort(list)
	return list
}

// ask is a group of a request; "a|b" in lists is one of the two.
type ask struct {
	suffix, required, forbidden, memberOf, notIn, inTree string
	resources                                            units
}

func (a ask) group() placement.RequestGroup {
	g := placement.RequestGroup{
		Suffix: a.suffix, Forbidden: strings.Fields(a.forbidden), ForbiddenAggregates: aggregatesOf(a.notIn),
	}
	for _, class := range sortedKeys(a.resources) {
		g.Resources = append(g.Resources, placement.Resource{Class: class, Amount: a.resources[class]})
	}
	for list := range strings.FieldsSeq(a.required) {
		g.Required = append(g.Required, strings.Split(list, "|"))
	}
	for list := range strings.FieldsSeq(a.memberOf) {
		g.MemberOf = append(g.MemberOf, aggregatesOf(strings.ReplaceAll(list, "|", "")))
	}
	if a.inTree != "" {
		g.InTree = uuidOf(a.inTree)
	}
	return g
}

type candidateCase struct {
	name  string
	hosts []host
	asks  []ask
	more  placement.CandidateRequest // conditions on the request as a whole
	want  []string
}

func (c candidateCase) request() placement.CandidateRequest {
	req := c.more
	for _, a := range c.asks {
		req.Groups = append(req.Groups, a.group())
	}
	return req
}

const shares = placement.SharingTrait

func TestCandidates(t *testing.T) {
	t.Parallel()
	for _, c := range slices.Concat(capacityCases(), sharingCases(), aggregateCases(), groupCases(), subtreeCases()) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := build(t, opsFor(c.hosts))
			got, err := w.Candidates(c.request())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(texts(got), slices.Sorted(slices.Values(c.want))) {
				t.Errorf("got:\n%s\nwant:\n%s", strings.Join(texts(got), "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func capacityCases() []candidateCase {
	limits := placement.Inventory{Total: 10, Reserved: 2, MinUnit: 2, MaxUnit: 6, StepSize: 2, AllocationRatio: 1.3}
	limited := []host{{name: "h", inventories: map[string]placement.Inventory{"VCPU": limits}, used: units{"VCPU": 4}}}
	full := []host{{name: "h", inventories: with(units{"VCPU": 4}), used: units{"VCPU": 2}}}
	return []candidateCase{
		{name: "room to the last unit", hosts: full, asks: []ask{{resources: units{"VCPU": 2}}}, want: []string{"h VCPU 2 -> h"}},
		{name: "one unit too many", hosts: full, asks: []ask{{resources: units{"VCPU": 3}}}},
		{ // (10-2)*1.3 = 10.4, 4 used: 6 fit
			name: "ratio, reserved and the fraction", hosts: limited,
			asks: []ask{{resources: units{"VCPU": 6}}}, want: []string{"h VCPU 6 -> h"},
		},
		{name: "above max_unit", hosts: limited, asks: []ask{{resources: units{"VCPU": 8}}}},
		{name: "no multiple of step_size", hosts: limited, asks: []ask{{resources: units{"VCPU": 3}}}},
		{name: "below min_unit", hosts: limited, asks: []ask{{resources: units{"VCPU": 1}}}},
		{
			name: "groups together exceed the capacity", hosts: full,
			asks: []ask{{resources: units{"VCPU": 1}}, {suffix: "1", resources: units{"VCPU": 2}}},
		},
		{
			name:  "groups together exceed max_unit",
			hosts: []host{{name: "h", inventories: map[string]placement.Inventory{"VCPU": {Total: 9, MinUnit: 1, MaxUnit: 3, StepSize: 1, AllocationRatio: 1}}}},
			asks:  []ask{{suffix: "1", resources: units{"VCPU": 2}}, {suffix: "2", resources: units{"VCPU": 2}}},
		},
		{
			name:  "amounts of groups are summed up, min_unit and step_size hold for each",
			hosts: []host{{name: "h", inventories: map[string]placement.Inventory{"VCPU": {Total: 9, MinUnit: 2, MaxUnit: 9, StepSize: 2, AllocationRatio: 1}}}},
			asks:  []ask{{resources: units{"VCPU": 2}}, {suffix: "1", resources: units{"VCPU": 4}}},
			want:  []string{"h VCPU 6 -> 1 h, h"},
		},
		{
			name:  "a class that nobody has",
			hosts: full, asks: []ask{{resources: units{"VCPU": 1, "PCPU": 1}}},
		},
	}
}

func sharingCases() []candidateCase {
	disk := host{name: "nfs", traits: shares, aggregates: "a", inventories: with(units{"DISK_GB": 9})}
	diskless := host{name: "h", aggregates: "a", inventories: with(units{"VCPU": 4})}
	cpuAndDisk := []ask{{resources: units{"VCPU": 1, "DISK_GB": 2}}}
	child := host{name: "numa", parent: "root", aggregates: "a", inventories: with(units{"VCPU": 4})}
	return []candidateCase{
		{
			name: "a sharing provider gives what the host lacks", hosts: []host{diskless, disk},
			asks: cpuAndDisk, want: []string{"h VCPU 1, nfs DISK_GB 2 -> h+nfs"},
		},
		{
			name:  "without the trait nothing is shared",
			hosts: []host{diskless, {name: "nfs", aggregates: "a", inventories: disk.inventories}}, asks: cpuAndDisk,
		},
		{
			name:  "without a common aggregate nothing is shared",
			hosts: []host{diskless, {name: "nfs", traits: shares, aggregates: "b", inventories: disk.inventories}}, asks: cpuAndDisk,
		},
		{
			name: "an aggregate of any member of the tree is enough", hosts: []host{{name: "root"}, child, disk},
			asks: cpuAndDisk, want: []string{"nfs DISK_GB 2, numa VCPU 1 -> nfs+numa"},
		},
		{
			name:  "a child can share",
			hosts: []host{diskless, {name: "store"}, {name: "pool", parent: "store", traits: shares, aggregates: "a", inventories: disk.inventories}},
			asks:  cpuAndDisk, want: []string{"h VCPU 1, pool DISK_GB 2 -> h+pool"},
		},
		{
			name:  "sharing providers alone are candidates, once for all anchors",
			hosts: []host{diskless, {name: "i", aggregates: "a"}, disk},
			asks:  []ask{{resources: units{"DISK_GB": 2}}}, want: []string{"nfs DISK_GB 2 -> nfs"},
		},
		{
			name: "in_tree leaves sharing providers out", hosts: []host{diskless, disk},
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 2}, inTree: "h"}},
		},
		{
			name: "a suffixed group of a sharing provider goes with every anchor", hosts: []host{diskless, disk},
			asks: []ask{{resources: units{"VCPU": 1}}, {suffix: "1", resources: units{"DISK_GB": 2}}},
			want: []string{"h VCPU 1, nfs DISK_GB 2 -> 1 nfs, h"},
		},
		{
			name: "in_tree of a suffixed group does not restrict the anchor", hosts: []host{diskless, disk},
			asks: []ask{{resources: units{"VCPU": 1}}, {suffix: "1", resources: units{"DISK_GB": 2}, inTree: "nfs"}},
			want: []string{"h VCPU 1, nfs DISK_GB 2 -> 1 nfs, h"},
		},
		{ // The reference loses one: its set of choices ignores the anchor.
			name: "the same sharing provider for the group without suffix under two anchors",
			hosts: []host{
				{name: "s", traits: shares, aggregates: "a", inventories: with(units{"PGPU": 2})},
				{name: "h", aggregates: "a", inventories: with(units{"VGPU": 2})},
				{name: "i", aggregates: "a", inventories: with(units{"VGPU": 2})},
			},
			asks: []ask{{resources: units{"PGPU": 1}}, {suffix: "1", resources: units{"VGPU": 1}}},
			want: []string{"h VGPU 1, s PGPU 1 -> 1 h, s", "i VGPU 1, s PGPU 1 -> 1 i, s"},
		},
		{
			name: "required traits are met together", hosts: []host{
				{name: "h", traits: "CUSTOM_S", aggregates: "a", inventories: with(units{"VCPU": 4})},
				{name: "nfs", traits: shares + " CUSTOM_T", aggregates: "a", inventories: disk.inventories},
			},
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 2}, required: "CUSTOM_S CUSTOM_T|CUSTOM_U"}},
			want: []string{"h VCPU 1, nfs DISK_GB 2 -> h+nfs"},
		},
		{
			name: "a trait of a member that gives nothing does not count", hosts: []host{
				{name: "root", traits: "CUSTOM_T"}, {name: "numa", parent: "root", inventories: with(units{"VCPU": 4})},
			},
			asks: []ask{{resources: units{"VCPU": 1}, required: "CUSTOM_T"}},
		},
		{
			name: "a forbidden trait of a member that gives nothing does not matter", hosts: []host{
				{name: "root", traits: "CUSTOM_T"}, {name: "numa", parent: "root", inventories: with(units{"VCPU": 4})},
			},
			asks: []ask{{resources: units{"VCPU": 1}, forbidden: "CUSTOM_T"}}, want: []string{"numa VCPU 1 -> numa"},
		},
	}
}

func aggregateCases() []candidateCase {
	tree := []host{
		{name: "root", aggregates: "a", inventories: with(units{"VCPU": 4})},
		{name: "gpu", parent: "root", aggregates: "b", inventories: with(units{"VGPU": 4})},
	}
	nfs := host{name: "nfs", traits: shares, aggregates: "c", inventories: with(units{"DISK_GB": 9})}
	shared := []host{{name: "h", aggregates: "ac", inventories: with(units{"VCPU": 4})}, nfs}
	gpu := units{"VGPU": 1}
	return []candidateCase{
		{
			name: "an aggregate of the root spans the tree", hosts: tree,
			asks: []ask{{resources: gpu, memberOf: "a"}}, want: []string{"gpu VGPU 1 -> gpu"},
		},
		{
			name: "an aggregate of the provider itself", hosts: tree,
			asks: []ask{{resources: gpu, memberOf: "b"}}, want: []string{"gpu VGPU 1 -> gpu"},
		},
		{
			name: "the lists are not met by root and provider together", hosts: tree,
			asks: []ask{{resources: gpu, memberOf: "a b"}},
		},
		{
			name: "one of a list", hosts: tree,
			asks: []ask{{resources: gpu, memberOf: "a|z"}}, want: []string{"gpu VGPU 1 -> gpu"},
		},
		{name: "a suffixed group does not look at the root", hosts: tree, asks: []ask{{suffix: "1", resources: gpu, memberOf: "a"}}},
		{
			name: "a suffixed group does not look at the root's forbidden ones", hosts: tree,
			asks: []ask{{suffix: "1", resources: gpu, notIn: "a"}}, want: []string{"gpu VGPU 1 -> 1 gpu"},
		},
		{name: "forbidden by the root", hosts: tree, asks: []ask{{resources: gpu, notIn: "a"}}},
		{name: "forbidden by the provider", hosts: tree, asks: []ask{{resources: gpu, notIn: "b"}}},
		{name: "an aggregate that nobody has", hosts: tree, asks: []ask{{resources: gpu, memberOf: "z"}}},
		{
			name: "a forbidden aggregate that nobody has", hosts: tree,
			asks: []ask{{resources: gpu, notIn: "z"}}, want: []string{"gpu VGPU 1 -> gpu"},
		},
		{
			name: "sharing providers have to be in the aggregates themselves", hosts: shared,
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 1}, memberOf: "a"}},
		},
		{
			name: "sharing providers in the aggregate", hosts: shared,
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 1}, memberOf: "c"}},
			want: []string{"h VCPU 1, nfs DISK_GB 1 -> h+nfs"},
		},
		{
			name: "sharing under a forbidden anchor", hosts: shared,
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 1}, notIn: "a"}},
		},
	}
}
