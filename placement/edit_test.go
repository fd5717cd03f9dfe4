package placement

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/kilonova-cloud/kilonova/store/mem"
)

// editEngine opens an engine with one provider, on a store or in memory only.
func editEngine(t *testing.T, durable bool) (*Engine, UUID) {
	t.Helper()
	cfg := Config{}
	if durable {
		s := mem.New(mem.Config{})
		t.Cleanup(func() { _ = s.Close() })
		cfg.Store = s
	}
	e, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	id := MustUUID("11111111-1111-1111-1111-111111111111")
	if _, err := e.CreateProvider(t.Context(), Provider{UUID: id, Name: "host"}); err != nil {
		t.Fatal(err)
	}
	return e, id
}

func TestEditOneInventory(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		e, id := editEngine(t, durable)
		ctx := t.Context()
		server := MustUUID("22222222-2222-2222-2222-222222222222")
		ten, bad := NewInventory(10), Inventory{Total: -1}
		var gone UUID
		gone[0] = 9
		for _, c := range []struct {
			what string
			do   func() (Provider, error)
			want error
			gen  int64 // afterwards, when there is no error
		}{
			{"update what is not there", func() (Provider, error) { return e.UpdateInventory(ctx, id, "VCPU", ten, 0) }, ErrNotFound, 0},
			{"delete what is not there", func() (Provider, error) { return e.DeleteInventory(ctx, id, "VCPU") }, ErrNotFound, 0},
			{"add", func() (Provider, error) { return e.AddInventory(ctx, id, "VCPU", ten) }, nil, 1},
			{"add again", func() (Provider, error) { return e.AddInventory(ctx, id, "VCPU", ten) }, ErrExists, 0},
			{"add to nobody", func() (Provider, error) { return e.AddInventory(ctx, gone, "VCPU", ten) }, ErrNotFound, 0},
			{"add another", func() (Provider, error) { return e.AddInventory(ctx, id, "PCPU", ten) }, nil, 2},
			{"update with an old generation", func() (Provider, error) { return e.UpdateInventory(ctx, id, "VCPU", ten, 1) }, ErrConcurrentUpdate, 0},
			{"update", func() (Provider, error) { return e.UpdateInventory(ctx, id, "VCPU", NewInventory(5), 2) }, nil, 3},
			{"claim", func() (Provider, error) {
				return Provider{}, e.SetAllocations(ctx, AllocationWrite{Consumers: []ConsumerAllocations{{
					Consumer: server, Project: "p", User: "u", Generation: NewConsumer, Allocations: []Allocation{{id, "VCPU", 4}},
				}}})
			}, nil, 0},
			{"below its usage", func() (Provider, error) { return e.UpdateInventory(ctx, id, "VCPU", NewInventory(1), 4) }, nil, 5},
			{"delete one in use", func() (Provider, error) { return e.DeleteInventory(ctx, id, "VCPU") }, ErrInUse, 0},
			{"delete", func() (Provider, error) { return e.DeleteInventory(ctx, id, "PCPU") }, nil, 6},
		} {
			p, err := c.do()
			if !errors.Is(err, c.want) || err == nil && c.gen > 0 && p.Generation != c.gen {
				t.Errorf("durable %v, %s: generation %d, %v; want %d, %v", durable, c.what, p.Generation, err, c.gen, c.want)
			}
		}
		for what, do := range map[string]func() (Provider, error){
			"unknown class": func() (Provider, error) { return e.AddInventory(ctx, id, "CUSTOM_X", ten) },
			"bad total":     func() (Provider, error) { return e.AddInventory(ctx, id, "DISK_GB", bad) },
			"bad update":    func() (Provider, error) { return e.UpdateInventory(ctx, id, "VCPU", bad, AnyGeneration) },
		} {
			if _, err := do(); !isInput(err) {
				t.Errorf("durable %v, %s: %v, want an *InputError", durable, what, err)
			}
		}
		inv, _, err := e.Inventories(id)
		if err != nil || len(inv) != 1 || inv["VCPU"] != NewInventory(1) {
			t.Errorf("durable %v: inventories %v, %v", durable, inv, err)
		}
		consumer, held, err := e.Holdings(server)
		if err != nil || consumer.Generation != 1 || len(held) != 1 || held[0] != (Holding{Allocation{id, "VCPU", 4}, 6}) {
			t.Errorf("durable %v: holdings %v, %v, %v", durable, consumer, held, err)
		}
		if _, _, err := e.Holdings(id); !errors.Is(err, ErrNotFound) {
			t.Errorf("durable %v: holdings of nobody: %v", durable, err)
		}
		mustBeSound(t, e)
	}
}

func isInput(err error) bool {
	var in *InputError
	return errors.As(err, &in)
}

func mustBeSound(t *testing.T, e *Engine) {
	t.Helper()
	if found, err := e.Verify(context.Background()); err != nil || len(found) > 0 {
		t.Errorf("verify: %v, %v", found, err)
	}
}

func TestReplaceAggregates(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		e, id := editEngine(t, durable)
		agg := MustUUID("33333333-3333-3333-3333-333333333333")
		p, err := e.ReplaceAggregates(t.Context(), id, []UUID{agg, agg})
		if err != nil || p.Generation != 0 {
			t.Errorf("generation %d, %v; want 0", p.Generation, err)
		}
		if list, _, err := e.Aggregates(id); err != nil || !slices.Equal(list, []UUID{agg}) {
			t.Errorf("aggregates %v, %v", list, err)
		}
		if p, err = e.SetAggregates(t.Context(), id, nil, 0); err != nil || p.Generation != 1 {
			t.Errorf("after SetAggregates: generation %d, %v; want 1", p.Generation, err)
		}
		if _, err := e.ReplaceAggregates(t.Context(), agg, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("of nobody: %v", err)
		}
		mustBeSound(t, e)
	}
}

func TestRenameClass(t *testing.T) {
	t.Parallel()
	for _, durable := range []bool{false, true} {
		e, id := editEngine(t, durable)
		ctx := t.Context()
		for _, name := range []string{"CUSTOM_A", "CUSTOM_B"} {
			if _, err := e.CreateClass(ctx, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.AddInventory(ctx, id, "CUSTOM_B", NewInventory(1)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, to string
			want     error
		}{
			{"CUSTOM_A", "CUSTOM_A", nil},
			{"CUSTOM_A", "CUSTOM_B", ErrExists},
			{"CUSTOM_X", "CUSTOM_Y", ErrNotFound},
			{"CUSTOM_B", "CUSTOM_C", ErrInUse},
			{"CUSTOM_A", "CUSTOM_C", nil},
		} {
			if err := e.RenameClass(ctx, c.name, c.to); !errors.Is(err, c.want) {
				t.Errorf("%s to %s: %v, want %v", c.name, c.to, err, c.want)
			}
		}
		for _, to := range []string{"VCPU", "custom"} {
			if err := e.RenameClass(ctx, "CUSTOM_C", to); err == nil {
				t.Errorf("CUSTOM_C to %s: accepted", to)
			}
		}
		if e.HasClass("CUSTOM_A") || !e.HasClass("CUSTOM_C") || !e.HasTrait(SharingTrait) || e.HasTrait("CUSTOM_C") {
			t.Error("classes or traits known are wrong")
		}
		if _, err := e.SetTraits(ctx, id, []string{SharingTrait}, AnyGeneration); err != nil || !slices.Equal(e.UsedTraits(), []string{SharingTrait}) {
			t.Errorf("used traits %v, %v", e.UsedTraits(), err)
		}
		mustBeSound(t, e)
	}
}
