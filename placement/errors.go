package placement

import (
	"errors"
	"fmt"

	"github.com/kilonova-cloud/kilonova/store"
)

// The errors that callers branch on. Every error of this package wraps one of
// them, or is an [*InputError] or a [*CapacityError].
var (
	// ErrNotFound: the provider, consumer, class, trait or inventory that the
	// call names does not exist.
	ErrNotFound = errors.New("not found")
	// ErrConcurrentUpdate: a generation that the caller named, or the version
	// of a guard, is not the present one. Read again and decide anew.
	ErrConcurrentUpdate = errors.New("concurrent update")
	// ErrExists: the name or UUID is taken.
	ErrExists = errors.New("already exists")
	// ErrInUse: allocations, inventories or providers still refer to it.
	ErrInUse = errors.New("in use")
	// ErrHasChildren: a provider with children cannot be deleted. It wraps
	// nothing, as Placement gives it a code of its own.
	ErrHasChildren = errors.New("provider has children")
	// ErrCapacity: an inventory cannot take the amount; see [*CapacityError].
	ErrCapacity = errors.New("capacity exceeded")
	// ErrUnknownOutcome: the deadline passed before the store answered. The
	// write may take effect; read to find out.
	ErrUnknownOutcome = errors.New("outcome is not known yet")
	// ErrStale: the engine does not know what other engines have written
	// lately, as it does not reach their store, or is behind it. It catches up
	// by itself.
	ErrStale = errors.New("behind the store")
	// ErrNoSpace: the store is full. The write has not happened; it works again
	// when there is space.
	ErrNoSpace = store.ErrNoSpace
	// ErrTooFarBehind: the change feed no longer has what was asked for. Take
	// a snapshot and follow from there.
	ErrTooFarBehind = errors.New("too far behind the change feed")
	// ErrClosed: the engine has been closed, or its store failed for good.
	ErrClosed = errors.New("engine is closed")
)

// InputError refuses a value: which field, what it was, and what is allowed.
type InputError struct {
	Field   string // "allocation_ratio", "parent_provider_uuid", ...
	Value   string
	Allowed string // the rule, as a sentence fragment
}

// Error names the field, the value and the rule.
func (e *InputError) Error() string {
	return fmt.Sprintf("%s is %q, allowed is: %s", e.Field, e.Value, e.Allowed)
}

func badInput(field string, value any, allowed string) *InputError {
	return &InputError{Field: field, Value: fmt.Sprint(value), Allowed: allowed}
}

// CapacityError says why an inventory cannot take an amount. It is
// [ErrCapacity] for errors.Is.
type CapacityError struct {
	Provider UUID
	Class    string
	Amount   int64 // what one allocation asks for
	Sum      int64 // what the whole write asks for on this inventory
	Used     int64 // what others hold, pending claims included
	Capacity int64 // 0 when the provider has no such inventory
	Rule     Rule
}

// Rule is the condition of an inventory that an amount breaks.
type Rule string

// The rules of an inventory.
const (
	RuleNoInventory Rule = "no_inventory" // the provider has none of the class
	RuleMinUnit     Rule = "min_unit"
	RuleMaxUnit     Rule = "max_unit"
	RuleStepSize    Rule = "step_size"
	RuleCapacity    Rule = "capacity"
)

// Error names provider, class, amounts and the broken rule.
func (e *CapacityError) Error() string {
	return fmt.Sprintf("allocate %d %s on provider %s: %s: %d asked in all, %d used, capacity %d",
		e.Amount, e.Class, e.Provider, e.Rule, e.Sum, e.Used, e.Capacity)
}

// Is makes every CapacityError an ErrCapacity.
func (e *CapacityError) Is(target error) bool { return target == ErrCapacity }
