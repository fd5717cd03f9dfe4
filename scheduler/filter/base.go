package filter

import (
	"fmt"
	"sync/atomic"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// base is what all filters have.
type base struct {
	name  string
	reads scheduler.Reads
}

// Name returns the filter's name.
func (b *base) Name() string { return b.name }

// Reads returns what the filter looks at.
func (b *base) Reads() scheduler.Reads { return b.reads }

// where returns scope for requests that the filter has a say in. Others pass
// on every host.
func where(matters bool, scope scheduler.Scope) scheduler.Scope {
	if matters {
		return scope
	}
	return scope | scheduler.EveryHost
}

// cannot returns the error of a filter that can make no sense of its input.
func cannot(format string, values ...any) error {
	return fmt.Errorf(format+": %w", append(values, scheduler.ErrCannotEvaluate)...)
}

// hint returns the values of a scheduler hint, nil when it is not given or
// one empty text: what Nova takes for false.
//
// Source: nova, objects/request_spec.py, get_scheduler_hint.
func hint(s *scheduler.RequestSpec, name string) []string {
	values := s.Hints[name]
	if len(values) == 0 || len(values) == 1 && values[0] == "" {
		return nil
	}
	return values
}

// memo keeps what was read from the last text, or texts, since all hosts of a
// request are asked about the same one. It is safe for concurrent use.
type memo[K comparable, T any] struct {
	last atomic.Pointer[reading[K, T]]
}

type reading[K comparable, T any] struct {
	key   K
	value T
	err   error
}

func (m *memo[K, T]) read(key K, parse func(K) (T, error)) (T, error) {
	if r := m.last.Load(); r != nil && r.key == key {
		return r.value, r.err
	}
	value, err := parse(key)
	m.last.Store(&reading[K, T]{key, value, err})
	return value, err
}
