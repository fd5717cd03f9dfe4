package sim

import (
	"context"
	"slices"
	"time"
)

// lapse is a context that ends when it is told to, and not by the clock of
// the machine.
type lapse struct {
	done  chan struct{}
	err   error
	after []*func()
}

var _ context.Context = (*lapse)(nil)

func newLapse() *lapse { return &lapse{done: make(chan struct{})} }

// Deadline is that of [context.Context]: none in the time of the machine.
func (*lapse) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done is that of [context.Context].
func (c *lapse) Done() <-chan struct{} { return c.done }

// Err is that of [context.Context].
func (c *lapse) Err() error { return c.err }

// Value is that of [context.Context].
func (*lapse) Value(any) any { return nil }

// AfterFunc is what package context looks for, so that contexts that derive
// from this one end with it at once, without a goroutine that waits.
func (c *lapse) AfterFunc(f func()) (stop func() bool) {
	one := &f
	c.after = append(c.after, one)
	return func() bool {
		n := len(c.after)
		c.after = slices.DeleteFunc(c.after, func(o *func()) bool { return o == one })
		return len(c.after) < n
	}
}

// end ends the context, unless it has ended.
func (c *lapse) end(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	after := c.after
	c.after = nil
	for _, f := range after {
		(*f)()
	}
}
