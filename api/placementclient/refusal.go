package placementclient

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/placement"
)

// RefusalError is what the server says no with. For errors.Is it is the error of
// package placement that it stands for, if there is one.
type RefusalError struct {
	Status int
	Code   string // stable, such as placement.concurrent_update
	Detail string
	ID     string // of the request, for the server's log
}

// Error names status, code and text.
func (r *RefusalError) Error() string {
	return "placement server: " + strconv.Itoa(r.Status) + " " + r.Code + " " + r.Detail + " (" + r.ID + ")"
}

// Is matches the errors of package placement.
func (r *RefusalError) Is(target error) bool { return target == r.stands() }

// stands returns the error that r stands for, or nil.
func (r *RefusalError) stands() error {
	switch r.Code {
	case "placement.concurrent_update":
		return placement.ErrConcurrentUpdate
	case "placement.duplicate_name":
		return placement.ErrExists
	case "placement.inventory.inuse", "placement.resource_provider.inuse":
		return placement.ErrInUse
	case "placement.resource_provider.cannot_delete_parent":
		return placement.ErrHasChildren
	case "placement.resource_provider.not_found":
		return placement.ErrNotFound
	}
	switch {
	case r.Status == http.StatusNotFound:
		return placement.ErrNotFound
	case r.Status == http.StatusServiceUnavailable || r.Status == http.StatusGatewayTimeout:
		return placement.ErrUnknownOutcome
	case r.Status != http.StatusConflict:
		return nil
	case strings.Contains(r.Detail, "Unable to allocate inventory"):
		return placement.ErrCapacity
	case strings.Contains(r.Detail, "in use"):
		return placement.ErrInUse
	case strings.Contains(r.Detail, "already exists"):
		return placement.ErrExists
	}
	return nil
}

func refusalOf(resp *http.Response) *RefusalError {
	r := &RefusalError{Status: resp.StatusCode, ID: resp.Header.Get(api.RequestIDHeader)}
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var document api.ErrorDocument
	if err != nil || json.Unmarshal(text, &document) != nil || len(document.Errors) == 0 {
		r.Detail = strings.TrimSpace(string(text))
		return r
	}
	r.Code = document.Errors[0].Code
	_, r.Detail, _ = strings.Cut(document.Errors[0].Detail, "\n\n")
	r.Detail = strings.TrimSpace(r.Detail)
	return r
}
