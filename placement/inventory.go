package placement

import (
	"math"
	"strconv"
)

// MaxInt is the largest total, reserved, unit or step of an inventory.
//
// Source: placement, db/constants.py, MAX_INT.
const MaxInt = math.MaxInt32

// MaxRatio is the largest allocation ratio.
//
// Source: placement, db/constants.py, SQL_SP_FLOAT_MAX.
const MaxRatio = 3.40282e+38

// Inventory is what a provider has of one resource class, in units of the
// class (VCPU, MEMORY_MB, DISK_GB, ...).
type Inventory struct {
	Total           int64 // 1 to MaxInt
	Reserved        int64 // 0 to MaxInt
	MinUnit         int64 // smallest amount of one allocation, 1 to MaxInt
	MaxUnit         int64 // largest amount of one allocation, 1 to MaxInt; may be below MinUnit
	StepSize        int64 // amounts are multiples of it, 1 to MaxInt
	AllocationRatio float64
}

// NewInventory returns an inventory of total units with Placement's defaults
// for everything else.
//
// Source: placement, handlers/inventory.py, INVENTORY_DEFAULTS.
func NewInventory(total int64) Inventory {
	return Inventory{Total: total, MinUnit: 1, MaxUnit: MaxInt, StepSize: 1, AllocationRatio: 1}
}

// Capacity is (Total - Reserved) * AllocationRatio cut to an integer. It
// saturates at the largest int64.
//
// Source: placement, objects/inventory.py, Inventory.capacity.
func (inv Inventory) Capacity() int64 {
	c := float64(inv.Total-inv.Reserved) * inv.AllocationRatio
	switch {
	case c >= math.MaxInt64:
		return math.MaxInt64
	case c <= math.MinInt64:
		return math.MinInt64
	}
	return int64(c)
}

// Validate accepts what Placement 1.26 and later accept, and returns an
// [*InputError] otherwise. Reserved may exceed Total, and the ratio be
// negative, as long as the capacity is not below 0.
//
// Source: placement, schemas/inventory.py; handlers/inventory.py,
// _validate_inventory_capacity.
func (inv Inventory) Validate() error {
	for _, f := range [...]struct {
		name     string
		value    int64
		smallest int64
	}{
		{"total", inv.Total, 1},
		{"reserved", inv.Reserved, 0},
		{"min_unit", inv.MinUnit, 1},
		{"max_unit", inv.MaxUnit, 1},
		{"step_size", inv.StepSize, 1},
	} {
		if f.value < f.smallest || f.value > MaxInt {
			return badInput(f.name, f.value, strconv.FormatInt(f.smallest, 10)+" to "+strconv.Itoa(MaxInt))
		}
	}
	r := inv.AllocationRatio
	if math.IsNaN(r) || math.IsInf(r, 0) || r > MaxRatio {
		return badInput("allocation_ratio", r, "a finite number up to 3.40282e+38")
	}
	if inv.Capacity() < 0 {
		return badInput("capacity", inv.Capacity(), "(total - reserved) * allocation_ratio of 0 or more")
	}
	return nil
}

// Fits returns the rule that forbids amount more of an inventory that has
// used in use, or "" when it fits. Used may exceed the capacity.
//
// Source: placement, objects/research_context.py, _capacity_check_clause.
func (inv Inventory) Fits(used, amount int64) Rule {
	if rule := inv.unitRule(amount); rule != "" {
		return rule
	}
	if amount > inv.Capacity()-used { // capacity >= 0 and used >= 0: no overflow
		return RuleCapacity
	}
	return ""
}

// unitRule is the part of Fits that does not depend on usage.
func (inv Inventory) unitRule(amount int64) Rule {
	switch {
	case amount < inv.MinUnit:
		return RuleMinUnit
	case amount > inv.MaxUnit:
		return RuleMaxUnit
	case amount%inv.StepSize != 0:
		return RuleStepSize
	}
	return ""
}

// addSat adds two amounts of 0 or more and stops at the largest int64.
func addSat(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
