package topology

import (
	"errors"
	"fmt"
	"strings"
)

// The ways in which what is asked for does not agree with itself or with the
// host. Nova raises an exception at the same places.
var (
	// ErrInvalid is a flavor or an image that asks for what there is not; the
	// API would refuse it.
	ErrInvalid = errors.New("invalid topology")
	// ErrUsage is an instance whose place does not agree with the host: CPUs
	// that the cell does not have, that are taken or that are free already.
	ErrUsage = errors.New("usage does not agree with the host")
	// ErrDevices is a host without the devices that an instance takes.
	ErrDevices = errors.New("not enough PCI devices")
	// ErrNoCandidate is a host on which placement offers no candidate that has
	// the devices.
	ErrNoCandidate = errors.New("no allocation candidate has the PCI devices")
	// ErrNoSiblings is a cell without any core, on which a CPU shall be pinned.
	ErrNoSiblings = errors.New("cell has no siblings")
)

// FieldError is a value that a document, a flavor or an option must not have.
type FieldError struct {
	Field   string // such as cells[1].memory
	Value   any
	Allowed string
}

// Error names the field, the value and what is allowed.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s is %s, allowed is: %s", e.Field, show(e.Value), e.Allowed)
}

// Unwrap returns [ErrInvalid].
func (e *FieldError) Unwrap() error { return ErrInvalid }

func show(v any) string {
	const most = 80
	s := fmt.Sprintf("%v", v)
	if text, is := v.(string); is {
		s = fmt.Sprintf("%q", text)
	}
	if v == nil {
		s = "null"
	}
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
