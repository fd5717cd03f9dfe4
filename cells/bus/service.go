package bus

import (
	"fmt"
	"sync"
)

// Defaults of a [Service].
const (
	DefaultWorkers = 16
	DefaultWaiting = 1024
	DefaultWindow  = 4096
)

// Service is what answers to a topic.
type Service struct {
	// Version of the contract. Newer minors are understood, see [Version].
	Version Version
	// OldestMajor that is understood too; 0 means that of Version only.
	OldestMajor uint8
	Methods     map[string]Handler
	// Workers is how many handlers run at once; 0 means [DefaultWorkers].
	Workers int
	// Waiting is how many messages wait for a worker before more are refused
	// as [ErrBusy], or dropped if they are casts; 0 means [DefaultWaiting].
	Waiting int
	// Window is how many IDs are remembered, so that a message with one of
	// them is not handled again; 0 means [DefaultWindow].
	Window int
}

// Reception judges the messages that arrive for a service. It is the part of a
// server that all adapters share. It is safe for concurrent use.
type Reception struct {
	service Service
	mu      sync.Mutex
	seen    map[ID]struct{}
	ring    []ID // of what is in seen, the oldest at next once it is full
	next    int
}

// NewReception returns a reception for s, or a [*FieldError].
func NewReception(s Service) (*Reception, error) {
	if s.OldestMajor == 0 {
		s.OldestMajor = s.Version.Major
	}
	if s.OldestMajor > s.Version.Major {
		return nil, &FieldError{Field: "oldest major", Value: fmt.Sprint(s.OldestMajor), Allowed: fmt.Sprintf("up to %d", s.Version.Major)}
	}
	if len(s.Methods) == 0 {
		return nil, &FieldError{Field: "methods", Value: "empty", Allowed: "one or more"}
	}
	for name, handler := range s.Methods {
		if !validName(name) {
			return nil, &FieldError{Field: "method", Value: fmt.Sprintf("%.40q", name), Allowed: nameRule}
		}
		if handler == nil {
			return nil, &FieldError{Field: "handler of " + name, Value: "nil", Allowed: "a function"}
		}
	}
	for _, n := range []struct {
		field    string
		value    *int
		fallback int
	}{{"workers", &s.Workers, DefaultWorkers}, {"waiting", &s.Waiting, DefaultWaiting}, {"window", &s.Window, DefaultWindow}} {
		if *n.value < 0 {
			return nil, &FieldError{Field: n.field, Value: fmt.Sprint(*n.value), Allowed: "0 or more"}
		}
		if *n.value == 0 {
			*n.value = n.fallback
		}
	}
	return &Reception{service: s, seen: map[ID]struct{}{}}, nil
}

// Service returns the service, with its defaults filled in.
func (r *Reception) Service() Service { return r.service }

// Admit returns the handler that e is for, and remembers the ID of e; or it
// returns [ErrNoMethod], [ErrRepeated] or a [*VersionError].
func (r *Reception) Admit(e Envelope) (Handler, error) {
	s := &r.service
	if e.Version.Major > s.Version.Major || e.Version.Major < s.OldestMajor {
		return nil, &VersionError{Got: e.Version, Have: s.Version, OldestMajor: s.OldestMajor}
	}
	handler, ok := s.Methods[e.Method]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrNoMethod, e.Method)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, again := r.seen[e.ID]; again {
		return nil, ErrRepeated
	}
	r.seen[e.ID] = struct{}{}
	if len(r.ring) < s.Window {
		r.ring = append(r.ring, e.ID)
		return handler, nil
	}
	delete(r.seen, r.ring[r.next])
	r.ring[r.next] = e.ID
	r.next = (r.next + 1) % s.Window
	return handler, nil
}

// Forget removes the ID of a message that was admitted but not handled.
func (r *Reception) Forget(id ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.seen, id) // its place in the ring stays taken until its turn
}
