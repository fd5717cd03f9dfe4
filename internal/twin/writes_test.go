package twin

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/kilonova-cloud/kilonova/placement"
)

const anyGen = placement.AnyGeneration

// wants writes like "h VCPU 2, i VCPU 1" down as one consumer's allocations.
func wants(name string, gen placement.Generation, allocations ...placement.Allocation) placement.ConsumerAllocations {
	return placement.ConsumerAllocations{
		Consumer: uuidOf(name), Project: "p", User: "u", Type: "INSTANCE", Generation: gen, Allocations: allocations,
	}
}

func on(name, class string, amount int64) placement.Allocation {
	return placement.Allocation{Provider: uuidOf(name), Class: class, Amount: amount}
}

func write(consumers ...placement.ConsumerAllocations) placement.AllocationWrite {
	return placement.AllocationWrite{Consumers: consumers}
}

// twoHosts are h and i with 4 VCPU each, both at generation 2: inventories and
// aggregates bumped them, setting no traits did not.
func twoHosts(t *testing.T) *World {
	t.Helper()
	return build(t, opsFor([]host{{name: "h", inventories: with(units{"VCPU": 4})}, {name: "i", inventories: with(units{"VCPU": 4})}}))
}

func mustWrite(t *testing.T, w *World, consumers ...placement.ConsumerAllocations) {
	t.Helper()
	if err := w.SetAllocations(write(consumers...)); err != nil {
		t.Fatal(err)
	}
}

// generations demands the generations of providers and consumers by name;
// -1: there is none.
func generations(t *testing.T, w *World, when string, want map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	for name := range want {
		got[name] = -1
		if p := w.providers[uuidOf(name)]; p != nil {
			got[name] = p.generation
		}
		if c := w.consumers[uuidOf(name)]; c != nil {
			got[name] = c.generation
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%s: generations are %v, want %v", when, got, want)
	}
}

func TestProviderGenerations(t *testing.T) {
	t.Parallel()
	w := twoHosts(t)
	u := uuidOf("h")
	generations(t, w, "made", map[string]int64{"h": 2, "i": 2})
	name, parent := "new", uuidOf("i")
	for _, step := range []struct {
		what string
		do   func() error
		want int64
	}{
		{"the same inventories", func() error { return w.SetInventories(u, with(units{"VCPU": 4}), 2) }, 3},
		{"the same aggregates", func() error { return w.SetAggregates(u, nil, 3) }, 4},
		{"new traits", func() error { return w.SetTraits(u, []string{"CUSTOM_T", "CUSTOM_T"}, 4) }, 5},
		{"the same traits", func() error { return w.SetTraits(u, []string{"CUSTOM_T"}, 5) }, 5},
		{"a new name and parent", func() error {
			_, err := w.UpdateProvider(u, placement.ProviderUpdate{Name: &name, Parent: &parent})
			return err
		}, 5},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		generations(t, w, step.what, map[string]int64{"h": step.want})
	}
	if err := w.SetTraits(u, nil, 4); !errors.Is(err, placement.ErrConcurrentUpdate) {
		t.Errorf("stale generation: got %v, want ErrConcurrentUpdate", err)
	}
}

func TestAllocationGenerations(t *testing.T) {
	t.Parallel()
	w := twoHosts(t)
	mustWrite(t, w, wants("c", placement.NewConsumer, on("h", "VCPU", 1)))
	generations(t, w, "first write", map[string]int64{"h": 3, "i": 2, "c": 1})
	mustWrite(t, w, wants("c", 1, on("i", "VCPU", 1)))
	generations(t, w, "moved: only the new provider", map[string]int64{"h": 3, "i": 3, "c": 2})
	mustWrite(t, w, wants("c", 2, on("i", "VCPU", 1)))
	generations(t, w, "the same again", map[string]int64{"h": 3, "i": 4, "c": 3})
	mustWrite(t, w, wants("c", 3, on("i", "VCPU", 1)), wants("d", placement.NewConsumer, on("i", "VCPU", 1), on("h", "VCPU", 1)))
	generations(t, w, "two consumers: each provider once", map[string]int64{"h": 4, "i": 5, "c": 4, "d": 1})
	mustWrite(t, w, wants("d", 1))
	generations(t, w, "emptied: what it held", map[string]int64{"h": 5, "i": 6, "c": 4, "d": -1})
	if err := w.DeleteAllocations(uuidOf("c")); err != nil {
		t.Fatal(err)
	}
	generations(t, w, "deleted: no provider", map[string]int64{"h": 5, "i": 6, "c": -1})
	mustWrite(t, w, wants("c", placement.NewConsumer))
	generations(t, w, "nothing for nobody", map[string]int64{"h": 5, "i": 6, "c": -1})
	mustWrite(t, w, wants("c", anyGen, on("h", "VCPU", 1)))
	generations(t, w, "a new life", map[string]int64{"h": 6, "c": 1})
}

func TestReshapeGenerations(t *testing.T) {
	t.Parallel()
	w := twoHosts(t)
	mustWrite(t, w, wants("c", anyGen, on("h", "VCPU", 3)))
	move := []placement.InventoryWrite{
		{Provider: uuidOf("h"), Generation: 3},
		{Provider: uuidOf("i"), Generation: 2, Inventories: with(units{"VCPU": 8})},
	}
	if err := w.Reshape(move, write(wants("c", 1, on("i", "VCPU", 8)))); err != nil {
		t.Fatal(err)
	}
	generations(t, w, "inventories gone: 1; new ones and allocations: 2+1", map[string]int64{"h": 4, "i": 5, "c": 2})
	back := []placement.InventoryWrite{
		{Provider: uuidOf("h"), Generation: 4, Inventories: with(units{"VCPU": 8})}, {Provider: uuidOf("i"), Generation: 5},
	}
	if err := w.Reshape(back, write()); !errors.Is(err, placement.ErrInUse) {
		t.Errorf("the inventory goes, the allocations stay: got %v, want ErrInUse", err)
	}
	generations(t, w, "nothing happened", map[string]int64{"h": 4, "i": 5, "c": 2})
	if err := w.Reshape(back, write(wants("c", 2))); err != nil {
		t.Fatal(err)
	}
	generations(t, w, "new ones: 2; gone and emptied: 1+1", map[string]int64{"h": 6, "i": 7, "c": -1})
}

func TestConsumerGeneration(t *testing.T) {
	t.Parallel()
	w := twoHosts(t)
	mustWrite(t, w, wants("c", anyGen, on("h", "VCPU", 1)))
	for _, c := range []placement.ConsumerAllocations{
		wants("c", placement.NewConsumer, on("h", "VCPU", 1)), wants("c", 0, on("h", "VCPU", 1)), wants("c", 2),
		wants("new", 0, on("h", "VCPU", 1)), wants("new", 1),
	} {
		if err := w.SetAllocations(write(c)); !errors.Is(err, placement.ErrConcurrentUpdate) {
			t.Errorf("%+v: got %v, want ErrConcurrentUpdate", c, err)
		}
	}
	later := wants("c", 1, on("h", "VCPU", 1))
	later.Project, later.User, later.Type = "q", "v", ""
	mustWrite(t, w, later)
	got, _, err := w.Consumer(uuidOf("c"))
	want := placement.Consumer{UUID: uuidOf("c"), Project: "q", User: "v", Type: "INSTANCE", Generation: 2}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v: owner as written, type as it was", got, err, want)
	}
}

func TestAllocationCapacity(t *testing.T) {
	t.Parallel()
	stepped := placement.Inventory{Total: 20, MinUnit: 4, MaxUnit: 8, StepSize: 2, AllocationRatio: 1}
	for _, c := range []struct {
		name  string
		write []placement.ConsumerAllocations
		want  placement.Rule
	}{
		{"fits", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 4))}, ""},
		{"too much", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 5))}, placement.RuleCapacity},
		{
			"too much together",
			[]placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 3)), wants("d", anyGen, on("h", "VCPU", 2))},
			placement.RuleCapacity,
		},
		{"other class", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "PCPU", 1))}, placement.RuleNoInventory},
		{"min_unit", []placement.ConsumerAllocations{wants("c", anyGen, on("s", "VCPU", 2))}, placement.RuleMinUnit},
		{"max_unit", []placement.ConsumerAllocations{wants("c", anyGen, on("s", "VCPU", 10))}, placement.RuleMaxUnit},
		{"step_size", []placement.ConsumerAllocations{wants("c", anyGen, on("s", "VCPU", 5))}, placement.RuleStepSize},
		{
			"max_unit is for each consumer",
			[]placement.ConsumerAllocations{wants("c", anyGen, on("s", "VCPU", 8)), wants("d", anyGen, on("s", "VCPU", 8))},
			"",
		},
	} {
		w := build(t, opsFor([]host{
			{name: "h", inventories: with(units{"VCPU": 4})},
			{name: "s", inventories: map[string]placement.Inventory{"VCPU": stepped}},
		}))
		if got := ruleOf(w.SetAllocations(write(c.write...))); got != c.want {
			t.Errorf("%s: broken rule %q, want %q", c.name, got, c.want)
		}
	}
}

// ruleOf is the rule that a write broke, or another error as text.
func ruleOf(err error) placement.Rule {
	var full *placement.CapacityError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &full):
		return full.Rule
	}
	return placement.Rule(fmt.Sprint(err))
}

func TestOverFull(t *testing.T) {
	t.Parallel()
	w := twoHosts(t)
	mustWrite(t, w, wants("c", anyGen, on("h", "VCPU", 2)), wants("d", anyGen, on("h", "VCPU", 2)))
	if err := w.SetInventories(uuidOf("h"), with(units{"VCPU": 1}), anyGen); err != nil {
		t.Fatalf("an inventory may shrink below its usage: %v", err)
	}
	for _, step := range []struct {
		name  string
		write []placement.ConsumerAllocations
		want  placement.Rule
	}{
		{"more", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 3))}, placement.RuleCapacity},
		{"someone new", []placement.ConsumerAllocations{wants("e", anyGen, on("h", "VCPU", 1))}, placement.RuleCapacity},
		{"the same", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 2))}, ""},
		{"less", []placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 1))}, ""},
		{
			"more for one, no more together",
			[]placement.ConsumerAllocations{wants("c", anyGen, on("h", "VCPU", 2)), wants("d", anyGen, on("h", "VCPU", 1))},
			"",
		},
		{
			"handed over to someone new",
			[]placement.ConsumerAllocations{wants("d", anyGen), wants("e", anyGen, on("h", "VCPU", 1))},
			"",
		},
	} {
		if got := ruleOf(w.SetAllocations(write(step.write...))); got != step.want {
			t.Errorf("%s: broken rule %q, want %q", step.name, got, step.want)
		}
	}
}

func TestInUse(t *testing.T) {
	t.Parallel()
	w := build(t, opsFor([]host{
		{name: "h", traits: "CUSTOM_T", inventories: with(units{"VCPU": 4, "CUSTOM_A": 1})}, {name: "i", parent: "h"},
	}))
	mustWrite(t, w, wants("c", anyGen, on("h", "VCPU", 1)))
	for _, step := range []struct {
		what      string
		got, want error
	}{ // evaluated in this order
		{"an inventory", w.SetInventories(uuidOf("h"), with(units{"CUSTOM_A": 1}), anyGen), placement.ErrInUse},
		{"a class", w.DeleteClass("CUSTOM_A"), placement.ErrInUse},
		{"a trait", w.DeleteTrait("CUSTOM_T"), placement.ErrInUse},
		{"a parent that is in use", w.DeleteProvider(uuidOf("h")), placement.ErrHasChildren},
		{"a leaf", w.DeleteProvider(uuidOf("i")), nil},
		{"a provider in use", w.DeleteProvider(uuidOf("h")), placement.ErrInUse},
	} {
		if !errors.Is(step.got, step.want) {
			t.Errorf("%s: got %v, want %v", step.what, step.got, step.want)
		}
	}
}

func TestReparent(t *testing.T) {
	t.Parallel()
	w := build(t, opsFor([]host{{name: "a"}, {name: "b", parent: "a"}, {name: "c", parent: "b"}, {name: "d"}}))
	var bad *placement.InputError
	for _, step := range []struct {
		name, parent string
		allowed, ok  bool
	}{
		{"c", "a", false, false}, // a child stays where it is
		{"c", "b", false, true},  // which it may say
		{"c", "", false, false},
		{"a", "c", true, false}, // a loop
		{"a", "a", true, false},
		{"a", "nobody", true, false},
		{"d", "c", false, true}, // a root may become a child
		{"b", "", true, true},
		{"d", "a", true, true},
	} {
		var parent placement.UUID
		if step.parent != "" {
			parent = uuidOf(step.parent)
		}
		_, err := w.UpdateProvider(uuidOf(step.name), placement.ProviderUpdate{Parent: &parent, AllowReparenting: step.allowed})
		if step.ok != (err == nil) || err != nil && !errors.As(err, &bad) {
			t.Errorf("%s under %q: got %v, want success %v", step.name, step.parent, err, step.ok)
		}
	}
	for name, root := range map[string]string{"a": "a", "b": "b", "c": "b", "d": "a"} {
		if got := nameOf(w.root(uuidOf(name))); got != root {
			t.Errorf("root of %s is %s, want %s", name, got, root)
		}
	}
}

// TestRandom checks that the generators make what they promise, and that equal
// seeds make equal worlds.
func TestRandom(t *testing.T) {
	t.Parallel()
	asked, feasible, refused, done := 0, 0, 0, 0
	for seed := range uint64(60) {
		rng, again := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 1))
		w, ops := RandomWorld(rng, RandomSize(rng))
		_, same := RandomWorld(again, RandomSize(again))
		if fmt.Sprint(ops) != fmt.Sprint(same) {
			t.Fatalf("seed %d: two different worlds", seed)
		}
		build(t, ops)
		for range 10 {
			candidates, err := w.Candidates(RandomRequest(rng, w))
			asked++
			if err == nil && len(candidates) > 0 {
				feasible++
			}
		}
		for range 20 {
			if w.Apply(RandomOp(rng, w)) == nil {
				done++
			} else {
				refused++
			}
		}
	}
	if feasible < asked/4 || feasible > asked*3/4 || refused < done/10 {
		t.Errorf("%d of %d requests have candidates, %d writes of %d are refused: too one-sided", feasible, asked, refused, done+refused)
	}
}
