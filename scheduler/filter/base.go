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

// memo keeps what was read from the last text, since all hosts of a request
// are asked about the same one. It is safe for concurrent use.
type memo[T any] struct {
	last atomic.Pointer[reading[T]]
}

type reading[T any] struct {
	text  string
	value T
	err   error
}

func (m *memo[T]) read(text string, parse func(string) (T, error)) (T, error) {
	if r := m.last.Load(); r != nil && r.text == text {
		return r.value, r.err
	}
	value, err := parse(text)
	m.last.Store(&reading[T]{text, value, err})
	return value, err
}
