package bus

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// Limits of what a message may be.
const (
	MaxName    = 200            // bytes in a topic or method
	MaxBody    = 16 << 20       // bytes
	MaxTimeout = 24 * time.Hour // longer ones are jobs, and belong in a database
)

// ID names a message. Who sends a message again, because it does not know
// what became of it, sends it with the same ID.
type ID [16]byte

// NewID returns a random ID.
func NewID() ID {
	var id ID
	_, _ = rand.Read(id[:]) // never fails, says crypto/rand
	return id
}

// String returns 32 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Version is that of the contract which the methods and bodies of a topic
// follow. A receiver understands newer minors of its major: they only add what
// may be ignored. A newer major is refused.
type Version struct{ Major, Minor uint8 }

// String returns "MAJOR.MINOR".
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Envelope is a message.
type Envelope struct {
	ID      ID
	Topic   string
	Method  string
	Version Version
	// Timeout is how long the sender waits for an answer; for a cast, how long
	// the hint is worth anything.
	Timeout time.Duration
	Body    []byte
}

// Validate returns what an adapter refuses to send: a [*FieldError].
func (e Envelope) Validate() error {
	if err := ValidateTopic(e.Topic); err != nil {
		return err
	}
	switch {
	case e.ID == ID{}:
		return &FieldError{Field: "id", Value: "zero", Allowed: "any other"}
	case !validName(e.Method):
		return &FieldError{Field: "method", Value: fmt.Sprintf("%.40q", e.Method), Allowed: nameRule}
	case e.Timeout < time.Millisecond || e.Timeout > MaxTimeout:
		return &FieldError{Field: "timeout", Value: e.Timeout.String(), Allowed: "1ms to " + MaxTimeout.String()}
	case len(e.Body) > MaxBody:
		return &FieldError{Field: "body", Value: fmt.Sprintf("%d bytes", len(e.Body)), Allowed: fmt.Sprintf("up to %d", MaxBody)}
	}
	return nil
}

const nameRule = "1 to 200 letters, digits and -_.:@"

// ValidateTopic returns a [*FieldError] for what may not be a topic.
func ValidateTopic(topic string) error {
	if !validName(topic) {
		return &FieldError{Field: "topic", Value: fmt.Sprintf("%.40q", topic), Allowed: nameRule}
	}
	return nil
}

func validName(name string) bool {
	if name == "" || len(name) > MaxName {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == ':', c == '@':
		default:
			return false
		}
	}
	return true
}
