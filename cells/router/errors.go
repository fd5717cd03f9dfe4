package router

import (
	"errors"
	"fmt"
	"time"
)

// What callers of a router branch on.
var (
	// ErrUnknownCell: there is no cell with this UUID.
	ErrUnknownCell = errors.New("unknown cell")
	// ErrAway is what an [*AwayError] is.
	ErrAway = errors.New("cell is away")
	// ErrClosed: the router is closed.
	ErrClosed = errors.New("router is closed")
	// ErrNotFound: no cell has a row with this key. A function List.Get
	// returns it, wrapped or not.
	ErrNotFound = errors.New("row not found")
	// ErrMarker: a text is not a marker of this list and order.
	ErrMarker = errors.New("invalid marker")
	// ErrUnknownColumn: rows cannot be sorted by this column.
	ErrUnknownColumn = errors.New("unknown column")
	// ErrDisorder: a cell has answered with rows that are not in order.
	ErrDisorder = errors.New("rows are not in order")
)

// AwayError says that a cell did not answer, or was not asked since it has not
// answered before.
type AwayError struct {
	Cell  Cell
	Since time.Time // when it was last noticed that it does not answer
	Err   error     // what it was noticed by
}

// Error names the cell and the reason.
func (e *AwayError) Error() string {
	return fmt.Sprintf("cell %s is away since %s: %v", e.Cell, e.Since.UTC().Format(time.RFC3339), e.Err)
}

// Is makes an AwayError an [ErrAway].
func (e *AwayError) Is(target error) bool { return target == ErrAway }

// Unwrap returns what the absence was noticed by.
func (e *AwayError) Unwrap() error { return e.Err }

// errNoAnswer: nothing came in time.
var errNoAnswer = errors.New("no answer in time")

// errConnecting: there was no client yet when the time was over.
var errConnecting = errors.New("not connected yet")

// errGone: the cell was taken out of the router.
var errGone = errors.New("cell was removed")
