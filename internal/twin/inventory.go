package twin

import (
	"fmt"
	"maps"
	"math"

	"github.com/kilonova-cloud/kilonova/placement"
)

// SetInventories replaces all inventories and always changes the generation.
// An inventory in use cannot go, but may shrink below its usage.
//
// Source: placement, objects/resource_provider.py, _set_inventory;
// handlers/inventory.py, set_inventories.
func (w *World) SetInventories(u placement.UUID, inv map[string]placement.Inventory, gen placement.Generation) error {
	if _, err := w.provider(u); err != nil {
		return err
	}
	if err := checkInventories(inv); err != nil {
		return err
	}
	return w.atomically(func(w *World) error {
		p, err := w.providerAt(u, gen)
		if err != nil {
			return err
		}
		return w.replaceInventories(p, inv)
	})
}

func (w *World) replaceInventories(p *provider, inv map[string]placement.Inventory) error {
	for class := range inv {
		if !w.classes[class] {
			return badInput("resource_class", class, "an existing resource class")
		}
	}
	for class := range p.inventories {
		if _, stays := inv[class]; !stays && w.used(p.uuid, class) > 0 {
			return fmt.Errorf("inventory of %s on %s: %w", class, p.uuid, placement.ErrInUse)
		}
	}
	p.inventories = map[string]placement.Inventory{}
	maps.Copy(p.inventories, inv)
	p.generation++
	return nil
}

// checkInventories accepts what PUT inventories accepts from 1.26.
//
// Source: placement, schemas/inventory.py; handlers/inventory.py,
// _validate_inventory_capacity.
func checkInventories(inv map[string]placement.Inventory) error {
	for _, i := range inv {
		for _, v := range []int64{i.Total, i.MinUnit, i.MaxUnit, i.StepSize} {
			if v < 1 || v > math.MaxInt32 {
				return badInput("total or a unit", v, "1 to 2147483647")
			}
		}
		if i.Reserved < 0 || i.Reserved > math.MaxInt32 {
			return badInput("reserved", i.Reserved, "0 to 2147483647")
		}
		if math.IsNaN(i.AllocationRatio) || i.AllocationRatio > 3.40282e+38 || math.IsInf(i.AllocationRatio, -1) {
			return badInput("allocation_ratio", i.AllocationRatio, "a number up to 3.40282e+38")
		}
		if capacity(i) < 0 {
			return badInput("capacity", capacity(i), "0 or more")
		}
	}
	return nil
}

// capacity is (total - reserved) * ratio without the fraction. Amounts are
// integers, so comparing with or without the fraction is the same.
//
// Source: placement, objects/inventory.py, capacity.
func capacity(i placement.Inventory) float64 {
	return math.Trunc(float64(i.Total-i.Reserved) * i.AllocationRatio)
}

// unitRule returns which of min_unit, max_unit and step_size the amount of one
// allocation breaks, if any.
func unitRule(i placement.Inventory, amount int64) placement.Rule {
	switch {
	case amount < i.MinUnit:
		return placement.RuleMinUnit
	case amount > i.MaxUnit:
		return placement.RuleMaxUnit
	case amount%i.StepSize != 0:
		return placement.RuleStepSize
	}
	return ""
}
