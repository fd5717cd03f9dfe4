package bus

import (
	"errors"
	"fmt"
)

// How a call can end, other than with an answer. Of those marked "not handled"
// it is certain that no handler ran; a caller may send the message again, with
// the same ID.
var (
	// ErrUnavailable: the message was not sent, as the broker is away, or
	// takes no messages at present. Not handled.
	ErrUnavailable = errors.New("bus unavailable")
	// ErrNoHandler: nobody listens to the topic. Not handled.
	ErrNoHandler = errors.New("no handler")
	// ErrNoMethod: the service of the topic has no such method. Not handled.
	ErrNoMethod = errors.New("no such method")
	// ErrBusy: the receiver has more work waiting than it takes. Not handled.
	ErrBusy = errors.New("receiver busy")
	// ErrRepeated: the receiver has seen a message with this ID, which was
	// handled or still is. Not handled a second time.
	ErrRepeated = errors.New("message repeated")
	// ErrVersion is what a [*VersionError] is. Not handled.
	ErrVersion = errors.New("version not understood")
	// ErrTimeout: no answer came in time. It may have been handled, or be yet.
	ErrTimeout = errors.New("no answer in time")
	// ErrLost: the connection was lost before the answer came. It may have
	// been handled, or be yet.
	ErrLost = errors.New("connection lost")
	// ErrClosed: the bus was closed. If that was during the call, it may have
	// been handled.
	ErrClosed = errors.New("bus closed")
	// ErrHandled: this bus handles the topic already.
	ErrHandled = errors.New("topic is handled already")
)

// FieldError is a value that may not be sent.
type FieldError struct{ Field, Value, Allowed string }

// Error names the field, the value and what is allowed.
func (e *FieldError) Error() string {
	return fmt.Sprintf("%s is %s, allowed is: %s", e.Field, e.Value, e.Allowed)
}

// VersionError is the answer of a receiver to a message that follows another
// contract than it does.
type VersionError struct {
	Got, Have   Version
	OldestMajor uint8
}

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("version is %s, understood is: %d.0 to %d.255 (%s is known here)", e.Got, e.OldestMajor, e.Have.Major, e.Have)
}

// Is makes a VersionError an [ErrVersion].
func (e *VersionError) Is(target error) bool { return target == ErrVersion }

// RemoteError is what a handler returned.
type RemoteError struct {
	Code    string // of up to [MaxName] bytes, for programs; may be empty
	Message string // for people
}

// Error returns the code and the message.
func (e *RemoteError) Error() string {
	if e.Code == "" {
		return e.Message
	}
	return e.Code + ": " + e.Message
}

// AsRemote returns err as a caller in another process would get it, so that
// callers in the same one do not come to rely on more.
func AsRemote(err error) error {
	if err == nil {
		return nil
	}
	_, err = DecodeReply(AppendReply(nil, nil, err))
	return err
}
