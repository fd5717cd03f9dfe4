package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The form of messages on a wire: "Kn", the major and minor version of the
// form, the length of the header in two bytes, the header, the body. Numbers
// are big-endian, texts have their length in a byte before them. A newer minor
// of the form adds fields at the end of the header, which are ignored here.
const (
	formMajor = 1
	formMinor = 0
	prefix    = 6
)

// ErrMalformed is what the decoders return for what is no message.
var ErrMalformed = errors.New("malformed message")

// AppendRequest appends a call or cast to to. The envelope must be valid.
func AppendRequest(to []byte, e Envelope) []byte {
	start := len(to)
	to = append(to, 'K', 'n', formMajor, formMinor, 0, 0)
	to = append(to, e.ID[:]...)
	to = append(to, e.Version.Major, e.Version.Minor)
	to = binary.BigEndian.AppendUint32(to, uint32(e.Timeout.Milliseconds()))
	to = appendText(to, e.Topic)
	to = appendText(to, e.Method)
	return finish(to, start, e.Body)
}

// DecodeRequest is the reverse of [AppendRequest], up to the millisecond. The
// body is part of data. It returns [ErrMalformed], a [*FieldError] or a
// [*VersionError] for a newer form.
func DecodeRequest(data []byte) (Envelope, error) {
	header, body, err := split(data)
	if err != nil {
		return Envelope{}, err
	}
	var e Envelope
	if len(header) < 22 {
		return Envelope{}, ErrMalformed
	}
	copy(e.ID[:], header)
	e.Version = Version{header[16], header[17]}
	e.Timeout = time.Duration(binary.BigEndian.Uint32(header[18:])) * time.Millisecond
	rest, ok1, ok2 := header[22:], false, false
	e.Topic, rest, ok1 = cutText(rest)
	e.Method, _, ok2 = cutText(rest)
	if !ok1 || !ok2 {
		return Envelope{}, ErrMalformed
	}
	e.Body = body
	return e, e.Validate()
}

// How a call ended, on the wire.
const (
	statusOK = iota
	statusFailed
	statusNoMethod
	statusBusy
	statusRepeated
	statusVersion
	statusTimeout
	statusMalformed
	statusNoHandler
)

// AppendReply appends the end of a call: what the handler returned, or why
// there was none.
func AppendReply(to, reply []byte, err error) []byte {
	start := len(to)
	if len(reply) > MaxBody {
		reply, err = nil, &RemoteError{Message: fmt.Sprintf("the answer has %d bytes, allowed is: up to %d", len(reply), MaxBody)}
	}
	to = append(to, 'K', 'n', formMajor, formMinor, 0, 0)
	status, code, versions, body := statusFailed, "", [5]byte{}, reply
	var remote *RemoteError
	var version *VersionError
	switch {
	case err == nil:
		status = statusOK
	case errors.As(err, &remote):
		code = remote.Code[:min(len(remote.Code), MaxName)]
		body = []byte(remote.Message)
	case errors.As(err, &version):
		status, versions = statusVersion, [5]byte{version.Got.Major, version.Got.Minor, version.Have.Major, version.Have.Minor, version.OldestMajor}
	default:
		for at, sentinel := range statusErrors {
			if errors.Is(err, sentinel) {
				status = at
			}
		}
		body = []byte(err.Error())
	}
	to = append(to, byte(status))
	to = append(to, versions[:]...)
	to = appendText(to, code)
	return finish(to, start, body)
}

var statusErrors = map[int]error{
	statusNoMethod: ErrNoMethod, statusBusy: ErrBusy, statusRepeated: ErrRepeated, statusTimeout: ErrTimeout, statusMalformed: ErrMalformed, statusNoHandler: ErrNoHandler,
}

// DecodeReply is the reverse of [AppendReply]: it returns the answer, which is
// part of data, or the error that was appended, or one of its own.
func DecodeReply(data []byte) ([]byte, error) {
	header, body, err := split(data)
	if err != nil {
		return nil, err
	}
	if len(header) < 6 {
		return nil, ErrMalformed
	}
	code, _, ok := cutText(header[6:])
	if !ok {
		return nil, ErrMalformed
	}
	status, v := int(header[0]), header[1:6]
	switch status {
	case statusOK:
		return body, nil
	case statusVersion:
		return nil, &VersionError{Got: Version{v[0], v[1]}, Have: Version{v[2], v[3]}, OldestMajor: v[4]}
	}
	if sentinel, known := statusErrors[status]; known {
		return nil, fmt.Errorf("%w, said by the receiver: %s", sentinel, body)
	}
	return nil, &RemoteError{Code: code, Message: string(body)}
}

// split returns the header and the body of a message.
func split(data []byte) (header, body []byte, err error) {
	if len(data) < prefix || data[0] != 'K' || data[1] != 'n' || data[2] == 0 {
		return nil, nil, ErrMalformed
	}
	if data[2] > formMajor {
		return nil, nil, &VersionError{Got: Version{data[2], data[3]}, Have: Version{formMajor, formMinor}, OldestMajor: formMajor}
	}
	size := int(binary.BigEndian.Uint16(data[4:]))
	if len(data) < prefix+size {
		return nil, nil, ErrMalformed
	}
	return data[prefix : prefix+size], data[prefix+size:], nil
}

func finish(to []byte, start int, body []byte) []byte {
	binary.BigEndian.PutUint16(to[start+4:], uint16(len(to)-start-prefix))
	return append(to, body...)
}

func appendText(to []byte, text string) []byte {
	return append(append(to, byte(len(text))), text...)
}

func cutText(from []byte) (text string, rest []byte, ok bool) {
	if len(from) == 0 || len(from) < 1+int(from[0]) {
		return "", nil, false
	}
	n := 1 + int(from[0])
	return string(from[1:n]), from[n:], true
}
