package placementapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/placement"
)

// The stable codes of errors, from 1.23 on.
//
// Source: placement, errors.py.
const (
	codeUndefined        = "placement.undefined_code"
	codeInventoryInUse   = "placement.inventory.inuse"
	codeConcurrentUpdate = "placement.concurrent_update"
	codeDuplicateName    = "placement.duplicate_name"
	codeProviderInUse    = "placement.resource_provider.inuse"
	codeCannotDelete     = "placement.resource_provider.cannot_delete_parent"
	codeProviderNotFound = "placement.resource_provider.not_found"
	codeDuplicateKey     = "placement.query.duplicate_key"
	codeBadValue         = "placement.query.bad_value"
	codeMissingValue     = "placement.query.missing_value"
)

// engineErrors maps every error of the engine to its status and code.
// Handlers say more where Placement does.
var engineErrors = api.ErrorTable{
	{Match: api.Is(placement.ErrConcurrentUpdate), Status: http.StatusConflict, Code: codeConcurrentUpdate},
	{Match: api.Is(placement.ErrNotFound), Status: http.StatusNotFound},
	{Match: api.Is(placement.ErrExists), Status: http.StatusConflict, Code: codeDuplicateName},
	{Match: api.Is(placement.ErrInUse), Status: http.StatusConflict},
	{Match: api.Is(placement.ErrHasChildren), Status: http.StatusConflict, Code: codeCannotDelete},
	{Match: api.Is(placement.ErrCapacity), Status: http.StatusConflict},
	{Match: isInput, Status: http.StatusBadRequest},
	{Match: api.Is(placement.ErrNoSpace), Status: http.StatusInsufficientStorage},
	{Match: api.Is(placement.ErrStale), Status: http.StatusServiceUnavailable},
	{Match: api.Is(context.DeadlineExceeded), Status: http.StatusServiceUnavailable},
	{Match: api.Is(context.Canceled), Status: http.StatusServiceUnavailable},
	{Match: api.Is(placement.ErrUnknownOutcome), Status: http.StatusServiceUnavailable},
	{Match: api.Is(placement.ErrClosed), Status: http.StatusServiceUnavailable},
}

func isInput(err error) bool { return input(err) != nil }

// input returns the *placement.InputError in err, or nil.
func input(err error) *placement.InputError {
	in := (*placement.InputError)(nil)
	errors.As(err, &in)
	return in
}

func bad(detail string) *api.Error { return api.Errorf(http.StatusBadRequest, detail) }

func badCode(code, detail string) *api.Error {
	return &api.Error{Status: http.StatusBadRequest, Code: code, Detail: detail}
}

func conflict(code, detail string) *api.Error {
	return &api.Error{Status: http.StatusConflict, Code: code, Detail: detail}
}

func missing(detail string) *api.Error { return api.Errorf(http.StatusNotFound, detail) }

// outside marks what Placement refuses around its handlers.
func outside(e *api.Error) *api.Error {
	e.Outside = true
	return e
}

// noProvider is Placement's text for a provider that is not there.
func noProvider(uuid string) string {
	return "No resource provider with uuid " + uuid + " found"
}

func noClass(name string) string { return "No such resource class " + name + "." }

func noTrait(name string) string { return "No such trait(s): " + name + "." }

// Texts of conflicts, as clients know them.
//
// Source: placement, exception.py.
const (
	textConcurrent         = "Another thread concurrently updated the data. Please retry your update"
	textConcurrentProvider = "Another thread concurrently updated the resource provider data. Please retry your update"
)

// capacityText says which rule of an inventory a claim breaks.
//
// Source: placement, exception.py, InvalidInventory and its children.
func capacityText(e *placement.CapacityError) string {
	switch e.Rule {
	case placement.RuleNoInventory:
		return fmt.Sprintf("Inventory for '%s' on resource provider '%s' invalid.", e.Class, e.Provider)
	case placement.RuleCapacity:
		return fmt.Sprintf("Unable to create allocation for '%s' on resource provider '%s'. The requested amount would exceed the capacity.", e.Class, e.Provider)
	case placement.RuleMinUnit, placement.RuleMaxUnit, placement.RuleStepSize:
	}
	return fmt.Sprintf("Unable to create allocation for '%s' on resource provider '%s'. The requested amount would violate inventory constraints.", e.Class, e.Provider)
}
