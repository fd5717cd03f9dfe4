package placement_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/twin"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The tests here compare the engine with package twin, which answers by brute
// force, on random small worlds. A failure prints the seed.

// rounds is how many seeds a test tries.
func rounds(short, normal, soak uint64) uint64 {
	switch {
	case os.Getenv("KILONOVA_SOAK") == "1":
		return soak
	case testing.Short():
		return short
	}
	return normal
}

// TestTwinCandidates compares candidates on fresh worlds.
func TestTwinCandidates(t *testing.T) {
	t.Parallel()
	for seed := range rounds(40, 200, 20_000) {
		candidatesOf(t, seed, 1, 12)
	}
}

// TestTwinOperations compares the two after each of many random writes, half
// the time with a store, from which a second engine has to load the same; then
// half the time the engine writes alone.
func TestTwinOperations(t *testing.T) {
	t.Parallel()
	for seed := range rounds(8, 30, 3_000) {
		operations(t, seed, 120)
	}
}

// FuzzCandidates lets the fuzzer choose the seeds of world and requests.
func FuzzCandidates(f *testing.F) {
	f.Add(uint64(1), uint64(1))
	f.Add(uint64(2), uint64(77))
	f.Fuzz(func(t *testing.T, world, request uint64) { candidatesOf(t, world, request, 3) })
}

// candidatesOf makes one world in both and asks both for candidates.
func candidatesOf(t *testing.T, world, request uint64, requests int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(world, 1))
	w, ops := twin.RandomWorld(rng, twin.RandomSize(rng))
	p := newPair(t, fmt.Sprintf("world %d, request %d", world, request), placement.Config{Seed: 1})
	for _, op := range ops {
		p.apply(op)
	}
	p.sameState()
	rng = rand.New(rand.NewPCG(world, request))
	for range requests {
		p.sameCandidates(twin.RandomRequest(rng, w), rng.Uint64())
		p.sameProviders(twin.RandomFilter(rng, w))
	}
	p.close()
}

// operations applies random writes to both in lock step.
func operations(t *testing.T, seed uint64, writes int) {
	t.Helper()
	cfg := placement.Config{Seed: seed + 1}
	if seed%2 == 1 {
		cfg.Store = mem.New(mem.Config{Limits: limitsFor(seed%4 == 3)})
	}
	p := newPair(t, fmt.Sprintf("seed %d", seed), cfg)
	if seed%4 == 3 {
		takeTurn(t, p.e)
	}
	rng := rand.New(rand.NewPCG(seed, 2))
	_, ops := twin.RandomWorld(rng, twin.RandomSize(rng))
	for _, op := range ops {
		p.apply(op)
	}
	for n := range writes {
		op := twin.RandomOp(rng, p.w)
		p.step = fmt.Sprintf("write %d, %v", n, op)
		p.apply(op)
		p.sameState()
		if n%6 == 0 {
			p.sameCandidates(twin.RandomRequest(rng, p.w), rng.Uint64())
			p.sameProviders(twin.RandomFilter(rng, p.w))
		}
	}
	p.close()
	if cfg.Store == nil {
		return
	}
	again := newPair(t, fmt.Sprintf("seed %d, loaded again", seed), cfg)
	again.w = p.w
	again.sameState()
	again.close()
}

// pair is an engine and a twin in what should be the same state.
type pair struct {
	t    *testing.T
	what string // the seed
	step string
	e    *placement.Engine
	w    *twin.World
}

func newPair(t *testing.T, what string, cfg placement.Config) *pair {
	t.Helper()
	e, err := placement.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return &pair{t: t, what: what, e: e, w: twin.New()}
}

func (p *pair) close() {
	p.t.Helper()
	if err := p.e.Close(); err != nil {
		p.fatalf("close: %v", err)
	}
}

func (p *pair) fatalf(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s, %s:\n%s", p.what, p.step, fmt.Sprintf(format, args...))
}

// same compares one aspect of the two.
func (p *pair) same(what string, engine, want any) {
	p.t.Helper()
	if !reflect.DeepEqual(engine, want) {
		p.fatalf("%s:\nengine %+v\ntwin   %+v", what, engine, want)
	}
}

// apply does the write in both and compares the errors.
func (p *pair) apply(op twin.Op) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second) // ends a write that never settles
	defer cancel()
	got, want := op.To(ctx, p.e), p.w.Apply(op)
	if kindOf(got) != kindOf(want) {
		p.fatalf("%v:\nengine %v\ntwin   %v", op, got, want)
	}
	if c := op.Write.Consumers; len(c) == 1 && len(c[0].Allocations) == 1 {
		p.same("broken rule", brokenRule(got), brokenRule(want))
	}
}

// kindOf is what callers can tell of an error.
func kindOf(err error) string {
	var bad *placement.InputError
	if err == nil {
		return "none"
	}
	if errors.As(err, &bad) {
		return "InputError"
	}
	for _, kind := range []error{
		placement.ErrCapacity, placement.ErrNotFound, placement.ErrConcurrentUpdate,
		placement.ErrExists, placement.ErrInUse, placement.ErrHasChildren,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}

// brokenRule is where a write with a single allocation does not fit.
func brokenRule(err error) string {
	var full *placement.CapacityError
	if !errors.As(err, &full) {
		return ""
	}
	return fmt.Sprintf("%s %s %d %s", full.Provider, full.Class, full.Amount, full.Rule)
}

// sameState compares everything that can be read, but times.
func (p *pair) sameState() {
	p.t.Helper()
	engine, err := p.e.Providers(placement.ProviderFilter{})
	if err != nil {
		p.fatalf("providers: %v", err)
	}
	all, err := p.w.Providers(placement.ProviderFilter{})
	if err != nil {
		p.fatalf("providers: %v", err)
	}
	p.same("providers", sortedProviders(engine), all)
	for _, v := range all {
		p.sameProvider(v.UUID)
	}
	for n := range 8 {
		p.sameConsumer(twin.ConsumerID(n))
	}
	for _, f := range usageFilters() {
		p.same(fmt.Sprintf("usages of %+v", f), p.e.ProjectUsages(f), p.w.ProjectUsages(f))
	}
	violations, err := p.e.Verify(p.t.Context())
	if err != nil || len(violations) > 0 {
		p.fatalf("verify: %v, %v", violations, err)
	}
}

func (p *pair) sameProvider(u placement.UUID) {
	p.t.Helper()
	inventories, v, err := p.e.Inventories(u)
	wantInventories, wantV, _ := p.w.Inventories(u)
	if err != nil {
		p.fatalf("provider %s: %v", u, err)
	}
	p.same("provider", timeless(v), wantV)
	p.same("inventories of "+u.String(), inventories, wantInventories)
	used, _, _ := p.e.Usages(u)
	wantUsed, _, _ := p.w.Usages(u)
	p.same("usages of "+u.String(), used, wantUsed)
	traits, _, _ := p.e.Traits(u)
	wantTraits, _, _ := p.w.Traits(u)
	slices.Sort(traits)
	p.same("traits of "+u.String(), traits, wantTraits)
	aggregates, _, _ := p.e.Aggregates(u)
	wantAggregates, _, _ := p.w.Aggregates(u)
	slices.SortFunc(aggregates, compareUUIDs)
	p.same("aggregates of "+u.String(), aggregates, wantAggregates)
	held, _, _ := p.e.ProviderAllocations(u)
	wantHeld, _, _ := p.w.ProviderAllocations(u)
	p.same("allocations on "+u.String(), sortedHeld(held), wantHeld)
}

func (p *pair) sameConsumer(u placement.UUID) {
	p.t.Helper()
	c, allocations, err := p.e.Consumer(u)
	want, wantAllocations, wantErr := p.w.Consumer(u)
	p.same("consumer "+u.String()+": error", kindOf(err), kindOf(wantErr))
	c.CreatedAt, c.UpdatedAt = want.CreatedAt, want.UpdatedAt
	p.same("consumer", c, want)
	slices.SortFunc(allocations, compareAllocations)
	p.same("allocations of "+u.String(), allocations, wantAllocations)
}

func usageFilters() []placement.UsageFilter {
	unknown, instance := "", "INSTANCE"
	return []placement.UsageFilter{
		{Project: "red"},
		{Project: "blue"},
		{Project: "nobody"},
		{Project: "red", User: "ann"},
		{Project: "blue", User: "nobody"},
		{Project: "red", Type: &unknown},
		{Project: "blue", User: "bob", Type: &instance},
	}
}

func (p *pair) sameProviders(f placement.ProviderFilter) {
	p.t.Helper()
	got, err := p.e.Providers(f)
	want, wantErr := p.w.Providers(f)
	p.same(fmt.Sprintf("error of providers %+v", f), kindOf(err), kindOf(wantErr))
	p.same(fmt.Sprintf("providers %+v", f), sortedProviders(got), want)
}

// sameCandidates compares all candidates as sets, and the engine's orders and
// limits with each other.
func (p *pair) sameCandidates(req placement.CandidateRequest, seed uint64) {
	p.t.Helper()
	p.step = fmt.Sprintf("%+v", req)
	byAnchor, wantErr := p.w.CandidatesByAnchor(req)
	want, anchored := map[string]bool{}, map[string]bool{}
	for _, c := range byAnchor {
		want[twin.Key(c)], anchored[c.Root.String()+twin.Key(c)] = true, true
	}
	for _, order := range []placement.Order{placement.DepthFirst, placement.BreadthFirst} {
		req.Order = order
		for _, req.Random = range []bool{false, true} {
			req.Seed = seed
			all, err := p.collect(req)
			p.same("error", kindOf(err), kindOf(wantErr))
			p.sameSet(req, all, want, anchored)
			p.sameLimited(req, all, int(seed%8)+1)
		}
	}
	p.sameRepresentative(req, want)
	p.sameExplanation(req, byAnchor)
}

// sameExplanation demands that the last stage counts the trees that have
// candidates, and that no stage of a chain gains what the one before lost.
func (p *pair) sameExplanation(req placement.CandidateRequest, want []placement.Candidate) {
	p.t.Helper()
	x, err := p.e.Explain(p.t.Context(), req)
	if err != nil {
		return // the same as that of Candidates
	}
	roots := map[placement.UUID]bool{}
	for _, c := range want {
		roots[c.Root] = true
	}
	p.same("trees with candidates", x.Trees[len(x.Trees)-1].Left, len(roots))
	chains := [][]placement.Stage{x.Trees}
	for _, g := range x.Groups {
		chains = append(chains, g.Chains...)
	}
	for _, c := range chains {
		left := x.Providers
		for _, stage := range c {
			if stage.Left > left {
				p.fatalf("%s leaves %d of %d", stage.Condition, stage.Left, left)
			}
			left = stage.Left
		}
	}
}

// sameSet demands each candidate exactly once, under one of its anchors, with
// the groups in the order of the request.
func (p *pair) sameSet(req placement.CandidateRequest, got []placement.Candidate, want, anchored map[string]bool) {
	p.t.Helper()
	seen := map[string]bool{}
	for _, c := range got {
		key := twin.Key(c)
		switch {
		case seen[key]:
			p.fatalf("twice: %s", key)
		case !want[key]:
			p.fatalf("too much: %s", key)
		case !anchored[c.Root.String()+key]:
			p.fatalf("under the wrong anchor %s: %s", c.Root, key)
		case !inOrder(req, c):
			p.fatalf("mappings in another order than the groups: %+v", c.Mappings)
		}
		seen[key] = true
	}
	for key := range want {
		if !seen[key] {
			p.fatalf("missing: %s", key)
		}
	}
}

func inOrder(req placement.CandidateRequest, c placement.Candidate) bool {
	return slices.EqualFunc(req.Groups, c.Mappings, func(g placement.RequestGroup, m placement.Mapping) bool {
		return g.Suffix == m.Suffix
	})
}

// sameLimited demands that a limit yields the first ones of all.
func (p *pair) sameLimited(req placement.CandidateRequest, all []placement.Candidate, limit int) {
	p.t.Helper()
	req.Limit = limit
	got, _ := p.collect(req)
	first := all[:min(limit, len(all))]
	if len(got) != len(first) || len(got) > 0 && !reflect.DeepEqual(got, first) {
		p.fatalf("limit %d, order %d, random %v:\ngot  %+v\nwant %+v", limit, req.Order, req.Random, got, first)
	}
}

// sameRepresentative demands some of all candidates, and none only when there
// are none.
func (p *pair) sameRepresentative(req placement.CandidateRequest, want map[string]bool) {
	p.t.Helper()
	req.Representative = true
	some, _ := p.collect(req)
	seen := map[string]bool{}
	for _, c := range some {
		key := twin.Key(c)
		if !want[key] || seen[key] {
			p.fatalf("representative: not a candidate, or twice: %s", key)
		}
		seen[key] = true
	}
	if (len(some) == 0) != (len(want) == 0) {
		p.fatalf("representative: %d of %d candidates", len(some), len(want))
	}
}

func (p *pair) collect(req placement.CandidateRequest) ([]placement.Candidate, error) {
	var all []placement.Candidate
	for c, err := range p.e.Candidates(p.t.Context(), req) {
		if err != nil {
			return all, err
		}
		all = append(all, c.Clone())
	}
	return all, nil
}

func timeless(v placement.Provider) placement.Provider {
	v.CreatedAt, v.UpdatedAt = placement.Provider{}.CreatedAt, placement.Provider{}.UpdatedAt
	return v
}

func sortedProviders(list []placement.Provider) []placement.Provider {
	for k := range list {
		list[k] = timeless(list[k])
	}
	slices.SortFunc(list, func(a, b placement.Provider) int { return compareUUIDs(a.UUID, b.UUID) })
	return list
}

func sortedHeld(list []placement.Held) []placement.Held {
	for k := range list {
		c := &list[k].Consumer
		c.CreatedAt, c.UpdatedAt = placement.Consumer{}.CreatedAt, placement.Consumer{}.UpdatedAt
		slices.SortFunc(list[k].Used, func(a, b placement.Resource) int { return strings.Compare(a.Class, b.Class) })
	}
	slices.SortFunc(list, func(a, b placement.Held) int { return compareUUIDs(a.Consumer.UUID, b.Consumer.UUID) })
	return list
}

func compareAllocations(a, b placement.Allocation) int {
	if d := compareUUIDs(a.Provider, b.Provider); d != 0 {
		return d
	}
	return strings.Compare(a.Class, b.Class)
}

func compareUUIDs(a, b placement.UUID) int { return slices.Compare(a[:], b[:]) }
