package twin

import (
	"errors"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

// numaTree is a host with two NUMA cells that have a NIC each.
func numaTree() []host {
	return []host{
		{name: "root", traits: "CUSTOM_S", inventories: with(units{"DISK_GB": 9})},
		{name: "n0", parent: "root", traits: "CUSTOM_T", inventories: with(units{"VCPU": 4})},
		{name: "n1", parent: "root", inventories: with(units{"VCPU": 4})},
		{name: "nic0", parent: "n0", inventories: with(units{"SRIOV_NET_VF": 2})},
		{name: "nic1", parent: "n1", inventories: with(units{"SRIOV_NET_VF": 2})},
	}
}

func groupCases() []candidateCase {
	cpu, vf := units{"VCPU": 1}, units{"SRIOV_NET_VF": 1}
	two := []ask{{suffix: "1", resources: vf}, {suffix: "2", resources: vf}}
	return []candidateCase{
		{
			name: "a group with suffix takes all from one provider", hosts: numaTree(),
			asks: []ask{{suffix: "1", resources: units{"VCPU": 1, "SRIOV_NET_VF": 1}}},
		},
		{
			name: "a suffixed group has its traits on one provider", hosts: numaTree(),
			asks: []ask{{suffix: "1", resources: cpu, required: "CUSTOM_T"}}, want: []string{"n0 VCPU 1 -> 1 n0"},
		},
		{
			name: "forbidden trait", hosts: numaTree(),
			asks: []ask{{suffix: "1", resources: cpu, forbidden: "CUSTOM_T"}}, want: []string{"n1 VCPU 1 -> 1 n1"},
		},
		{
			name: "policy none", hosts: numaTree(), asks: two,
			want: []string{
				"nic0 SRIOV_NET_VF 2 -> 1 nic0, 2 nic0", "nic0 SRIOV_NET_VF 1, nic1 SRIOV_NET_VF 1 -> 1 nic0, 2 nic1",
				"nic0 SRIOV_NET_VF 1, nic1 SRIOV_NET_VF 1 -> 1 nic1, 2 nic0", "nic1 SRIOV_NET_VF 2 -> 1 nic1, 2 nic1",
			},
		},
		{
			name: "policy isolate", hosts: numaTree(), asks: two,
			more: placement.CandidateRequest{Policy: placement.PolicyIsolate},
			want: []string{
				"nic0 SRIOV_NET_VF 1, nic1 SRIOV_NET_VF 1 -> 1 nic0, 2 nic1",
				"nic0 SRIOV_NET_VF 1, nic1 SRIOV_NET_VF 1 -> 1 nic1, 2 nic0",
			},
		},
		{ // The reference adds the amounts up in an object that candidates share.
			name: "isolate does not concern the group without suffix", hosts: numaTree()[:2],
			asks: []ask{{resources: cpu}, {suffix: "1", resources: cpu}},
			more: placement.CandidateRequest{Policy: placement.PolicyIsolate}, want: []string{"n0 VCPU 2 -> 1 n0, n0"},
		},
		{
			name: "root_required", hosts: append(numaTree(), host{name: "bare", inventories: with(units{"VCPU": 9})}),
			asks: []ask{{resources: cpu}}, more: placement.CandidateRequest{RootRequired: []string{"CUSTOM_S"}},
			want: []string{"n0 VCPU 1 -> n0", "n1 VCPU 1 -> n1"},
		},
		{
			name: "root_forbidden", hosts: append(numaTree(), host{name: "bare", inventories: with(units{"VCPU": 9})}),
			asks: []ask{{resources: cpu}}, more: placement.CandidateRequest{RootForbidden: []string{"CUSTOM_S"}},
			want: []string{"bare VCPU 1 -> bare"},
		},
		{
			name: "in_tree names any member", hosts: append(numaTree(), host{name: "bare", inventories: with(units{"VCPU": 9})}),
			asks: []ask{{suffix: "1", resources: cpu, inTree: "nic1"}}, want: []string{"n0 VCPU 1 -> 1 n0", "n1 VCPU 1 -> 1 n1"},
		},
		{name: "in_tree names nobody", hosts: numaTree(), asks: []ask{{resources: cpu, inTree: "nobody"}}},
		{
			name: "one provider of a tree", hosts: numaTree(), asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 1}}},
			more: placement.CandidateRequest{SingleProvider: true},
		},
		{
			name: "one provider of each of two trees",
			hosts: []host{
				{name: "h", aggregates: "a", inventories: with(units{"VCPU": 4})},
				{name: "c", parent: "h"},
				{name: "nfs", traits: shares, aggregates: "a", inventories: with(units{"DISK_GB": 9})},
			},
			asks: []ask{{resources: units{"VCPU": 1, "DISK_GB": 1}}}, more: placement.CandidateRequest{SingleProvider: true},
			want: []string{"h VCPU 1, nfs DISK_GB 1 -> h+nfs"},
		},
	}
}

func subtreeCases() []candidateCase {
	cpuAndNIC := []ask{{suffix: "c", resources: units{"VCPU": 1}}, {suffix: "n", resources: units{"SRIOV_NET_VF": 1}}}
	subtree := func(suffixes ...string) placement.CandidateRequest {
		return placement.CandidateRequest{SameSubtree: [][]string{suffixes}}
	}
	nic := ask{suffix: "n", resources: units{"SRIOV_NET_VF": 1}}
	nics := []ask{nic, {suffix: "m", resources: units{"SRIOV_NET_VF": 1}}}
	return []candidateCase{
		{
			name: "under one of the providers", hosts: numaTree(), asks: cpuAndNIC, more: subtree("c", "n"),
			want: []string{"n0 VCPU 1, nic0 SRIOV_NET_VF 1 -> c n0, n nic0", "n1 VCPU 1, nic1 SRIOV_NET_VF 1 -> c n1, n nic1"},
		},
		{
			name: "a common ancestor that gives nothing does not count", hosts: numaTree(), asks: nics, more: subtree("n", "m"),
			want: []string{"nic0 SRIOV_NET_VF 2 -> m nic0, n nic0", "nic1 SRIOV_NET_VF 2 -> m nic1, n nic1"},
		},
		{
			name: "a group without resources counts", hosts: numaTree(),
			asks: append(nics, ask{suffix: "x", required: "CUSTOM_T"}), more: subtree("n", "m", "x"),
			want: []string{"nic0 SRIOV_NET_VF 2 -> m nic0, n nic0, x n0"},
		},
		{
			name: "candidates that differ in such a group only are different", hosts: numaTree(),
			asks: []ask{nic, {suffix: "x", required: "CUSTOM_T|CUSTOM_S"}}, more: subtree("n", "x"),
			want: []string{"nic0 SRIOV_NET_VF 1 -> n nic0, x n0", "nic0 SRIOV_NET_VF 1 -> n nic0, x root", "nic1 SRIOV_NET_VF 1 -> n nic1, x root"},
		},
		{
			name: "a group with neither resources nor required traits nor aggregates is met by nobody", hosts: numaTree(),
			asks: []ask{nic, {suffix: "x", forbidden: "CUSTOM_T"}}, more: subtree("n", "x"),
		},
		{
			name: "nor with in_tree alone", hosts: numaTree(),
			asks: []ask{nic, {suffix: "x", inTree: "root"}}, more: subtree("n", "x"),
		},
		{
			name:  "a group without resources ignores in_tree",
			hosts: append(numaTree(), host{name: "bare"}),
			asks:  []ask{nic, {suffix: "x", required: "CUSTOM_T", inTree: "bare"}}, more: subtree("n", "x"),
			want: []string{"nic0 SRIOV_NET_VF 1 -> n nic0, x n0"},
		},
		{
			name: "but not an in_tree that names nobody", hosts: numaTree(),
			asks: []ask{nic, {suffix: "x", required: "CUSTOM_T", inTree: "nobody"}}, more: subtree("n", "x"),
		},
		{
			name: "isolate counts groups without resources", hosts: numaTree()[:2],
			asks: []ask{{suffix: "c", resources: units{"VCPU": 1}}, {suffix: "x", required: "CUSTOM_T"}},
			more: placement.CandidateRequest{SameSubtree: [][]string{{"c", "x"}}, Policy: placement.PolicyIsolate},
		},
		{
			name: "one suffix alone is no restriction", hosts: numaTree(), asks: []ask{nic}, more: subtree("n"),
			want: []string{"nic0 SRIOV_NET_VF 1 -> n nic0", "nic1 SRIOV_NET_VF 1 -> n nic1"},
		},
	}
}

func TestRequestErrors(t *testing.T) {
	t.Parallel()
	cpu := ask{resources: units{"VCPU": 1}}
	cpu1 := ask{suffix: "1", resources: units{"VCPU": 1}}
	for name, c := range map[string]candidateCase{
		"no group":             {},
		"two without suffix":   {asks: []ask{cpu, cpu}},
		"same suffix":          {asks: []ask{cpu1, cpu1}},
		"bad suffix":           {asks: []ask{{suffix: "a b", resources: units{"VCPU": 1}}}},
		"no resources":         {asks: []ask{cpu, {suffix: "1", required: "CUSTOM_T"}}},
		"only resourceless":    {asks: []ask{{suffix: "1", required: "CUSTOM_T"}}, more: placement.CandidateRequest{SameSubtree: [][]string{{"1"}}}},
		"missing suffix":       {asks: []ask{cpu1}, more: placement.CandidateRequest{SameSubtree: [][]string{{"1", "2"}}}},
		"empty suffix":         {asks: []ask{cpu}, more: placement.CandidateRequest{SameSubtree: [][]string{{""}}}},
		"amount 0":             {asks: []ask{{resources: units{"VCPU": 0}}}},
		"conflict":             {asks: []ask{{resources: units{"VCPU": 1}, required: "CUSTOM_T", forbidden: "CUSTOM_T"}}},
		"conflict of any":      {asks: []ask{{resources: units{"VCPU": 1}, required: "CUSTOM_T|CUSTOM_S", forbidden: "CUSTOM_T CUSTOM_S"}}},
		"conflict of the root": {asks: []ask{cpu}, more: placement.CandidateRequest{RootRequired: []string{"CUSTOM_T"}, RootForbidden: []string{"CUSTOM_T"}}},
		"unknown class":        {asks: []ask{{resources: units{"CUSTOM_NONE": 1}}}},
		"unknown trait":        {asks: []ask{{resources: units{"VCPU": 1}, required: "CUSTOM_NONE"}}},
		"unknown forbidden":    {asks: []ask{{resources: units{"VCPU": 1}, forbidden: "CUSTOM_NONE"}}},
		"unknown root trait":   {asks: []ask{cpu}, more: placement.CandidateRequest{RootForbidden: []string{"CUSTOM_NONE"}}},
	} {
		w := build(t, opsFor(numaTree()))
		_, err := w.Candidates(c.request())
		var bad *placement.InputError
		if !errors.As(err, &bad) {
			t.Errorf("%s: got %v, want an InputError", name, err)
		}
	}
	half := candidateCase{asks: []ask{{resources: units{"VCPU": 1}, required: "CUSTOM_T|CUSTOM_S", forbidden: "CUSTOM_S"}}}
	if _, err := build(t, opsFor(numaTree())).Candidates(half.request()); err != nil {
		t.Errorf("one of two required traits is forbidden: got %v, want no error", err)
	}
}
