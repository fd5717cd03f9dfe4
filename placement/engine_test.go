package placement

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func testUUID(kind byte, n int) UUID {
	return UUID{kind, 0, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 1}
}

func newEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

func addHost(t testing.TB, e *Engine, n int, inv map[string]Inventory) UUID {
	t.Helper()
	id := testUUID('h', n)
	_, err := e.CreateProvider(t.Context(), Provider{UUID: id, Name: fmt.Sprint("host-", n)})
	require.NoError(t, err)
	_, err = e.SetInventories(t.Context(), id, inv, 0)
	require.NoError(t, err)
	return id
}

func TestOneHostOneClaim(t *testing.T) {
	t.Parallel()
	e := newEngine(t)
	host := addHost(t, e, 1, map[string]Inventory{"VCPU": NewInventory(4), "MEMORY_MB": NewInventory(1024)})
	req := CandidateRequest{Groups: []RequestGroup{{Resources: []Resource{{"VCPU", 3}, {"MEMORY_MB", 512}}}}}
	var found []Candidate
	for c, err := range e.Candidates(t.Context(), req) {
		require.NoError(t, err)
		found = append(found, c.Clone())
	}
	require.Len(t, found, 1)
	require.Equal(t, host, found[0].Root)
	claim := func(n int) error {
		return e.SetAllocations(t.Context(), AllocationWrite{Consumers: []ConsumerAllocations{{
			Consumer: testUUID('c', n), Project: "p", User: "u", Generation: NewConsumer, Allocations: found[0].Allocations,
		}}})
	}
	require.NoError(t, claim(1))
	require.ErrorIs(t, claim(2), ErrCapacity)
	require.ErrorIs(t, claim(1), ErrConcurrentUpdate)
	used, p, err := e.Usages(host)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"VCPU": 3, "MEMORY_MB": 512}, used)
	require.EqualValues(t, 2, p.Generation)
	for range e.Candidates(t.Context(), req) {
		t.Fatal("the host is full")
	}
	require.NoError(t, e.DeleteAllocations(t.Context(), testUUID('c', 1)))
	require.ErrorIs(t, e.DeleteAllocations(t.Context(), testUUID('c', 1)), ErrNotFound)
}

func wide(t testing.TB, units int64) (*Engine, CandidateRequest) {
	t.Helper()
	e := newEngine(t)
	root := addHost(t, e, 0, map[string]Inventory{"VCPU": NewInventory(8)})
	for n := range 8 {
		id := testUUID('g', n)
		_, err := e.CreateProvider(t.Context(), Provider{UUID: id, Name: fmt.Sprint("gpu-", n), Parent: root})
		require.NoError(t, err)
		_, err = e.SetInventories(t.Context(), id, map[string]Inventory{"PGPU": NewInventory(units)}, AnyGeneration)
		require.NoError(t, err)
	}
	var req CandidateRequest
	for n := range 8 {
		req.Groups = append(req.Groups, RequestGroup{Suffix: fmt.Sprint("_g", n), Resources: []Resource{{"PGPU", 1}}})
	}
	return e, req
}

func count(t testing.TB, e *Engine, req CandidateRequest) (n int) {
	t.Helper()
	for _, err := range e.Candidates(t.Context(), req) {
		require.NoError(t, err)
		n++
	}
	return n
}

func TestWideTree(t *testing.T) {
	t.Parallel()
	e, req := wide(t, 1)
	req.Policy = PolicyIsolate
	require.Equal(t, 40320, count(t, e, req))
	req.Limit = 10
	require.Equal(t, 10, count(t, e, req))
	req.Limit, req.Representative = 0, true
	require.Equal(t, 1, count(t, e, req))
	req.Representative = false
	req.Groups = append(req.Groups, RequestGroup{Suffix: "_more", Resources: []Resource{{"PGPU", 1}}})
	require.Zero(t, count(t, e, req), "nine isolated groups do not fit on eight providers")
}

func TestSummariesDescribeWholeTreesOnce(t *testing.T) {
	t.Parallel()
	e, _ := wide(t, 8)
	ctx := t.Context()
	gpu := testUUID('g', 3)
	_, err := e.SetTraits(ctx, gpu, []string{"HW_GPU_API_VULKAN", "COMPUTE_NODE"}, AnyGeneration)
	require.NoError(t, err)
	require.NoError(t, e.SetAllocations(ctx, AllocationWrite{Consumers: []ConsumerAllocations{{
		Consumer: testUUID('c', 1), Project: "p", User: "u", Generation: AnyGeneration,
		Allocations: []Allocation{{gpu, "PGPU", 5}},
	}}}))
	list := e.Summaries(gpu, testUUID('g', 4), testUUID('x', 0))
	require.Len(t, list, 9)
	require.Equal(t, testUUID('h', 0), list[0].Provider.UUID, "parents first")
	require.Equal(t, []ResourceSummary{{"VCPU", 8, 0, MaxInt}}, list[0].Resources)
	require.Equal(t, gpu, list[4].Provider.UUID)
	require.Equal(t, []string{"COMPUTE_NODE", "HW_GPU_API_VULKAN"}, list[4].Traits)
	require.Equal(t, []ResourceSummary{{"PGPU", 8, 5, MaxInt}}, list[4].Resources)
}
