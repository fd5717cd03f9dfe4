package sim

import (
	"context"
	"errors"
	"iter"
	"time"
)

// A task is a function that takes turns with all others, in one goroutine: it
// goes on until it waits, and then until what it waits for has come.
type task struct {
	env   *Env
	job   func()
	next  func() (struct{}, bool)
	stop  func()
	yield func(struct{}) bool

	wait     uint64 // counts its waits: what comes for an earlier one is not for it
	polled   bool   // it waits for one of these:
	one, two <-chan struct{}
	ended    <-chan struct{}
	woken    int
}

// What ends a wait, as placement.Tasks has it.
const (
	gotOne, gotTwo = 0, 1
	timeIsUp       = -1
	stopWaiting    = -2
	nothingYet     = -3
)

// errKilled unwinds the tasks of a process that dies.
var errKilled = errors.New("the process was killed")

// spawn has job take turns. Coroutines that have done their job get another.
func (e *Env) spawn(job func()) {
	var t *task
	if n := len(e.idle); n > 0 {
		t, e.idle = e.idle[n-1], e.idle[:n-1]
	} else {
		t = &task{env: e}
		e.tasks = append(e.tasks, t)
		t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
			for t.yield = yield; ; {
				t.work()
				if !yield(struct{}{}) {
					return
				}
			}
		})
	}
	t.job = job
	e.ready = append(e.ready, t)
}

func (t *task) work() {
	defer func() {
		if r := recover(); r != nil && r != any(errKilled) {
			panic(r)
		}
	}()
	t.job()
	t.job = nil
}

// run lets t go on until it waits or is done.
func (e *Env) run(t *task) {
	e.current = t
	t.next()
	e.current = nil
	if t.job == nil {
		e.idle = append(e.idle, t)
	}
}

// park gives the turn away, and returns when t is run again.
func (t *task) park() {
	more := t.yield(struct{}{})
	t.wait++
	if !more {
		panic(errKilled)
	}
}

// effect is called before a task does something that others notice. The
// process may die there.
func (e *Env) effect() {
	switch {
	case e.dead:
		panic(errKilled)
	case e.fate == 0:
		e.dead = true
		panic(errKilled)
	case e.fate > 0:
		e.fate--
	}
}

// Wait returns when it could receive from one of two channels, which may be
// nil, and which of them it was, 0 or 1; or -1 after a time above 0; or -2 when
// ctx has ended. It is the one way of a task to wait for channels.
func (e *Env) Wait(ctx context.Context, d time.Duration, one, two <-chan struct{}) int {
	t := e.current
	t.one, t.two, t.ended = one, two, ctx.Done()
	if got := t.poll(); got != nothingYet {
		return got
	}
	if d > 0 {
		e.sim.alarm(e.process, d).task(t)
	}
	t.polled = true
	e.polling = append(e.polling, t)
	t.park()
	t.one, t.two, t.ended = nil, nil, nil
	return t.woken
}

func (t *task) poll() int {
	select {
	case <-t.one:
		return gotOne
	default:
	}
	select {
	case <-t.two:
		return gotTwo
	default:
	}
	select {
	case <-t.ended:
		return stopWaiting
	default:
		return nothingYet
	}
}

// settle lets all tasks go on that can, one after the other, in the order in
// which they came to be able to.
func (e *Env) settle() {
	for {
		for len(e.ready) > 0 && !e.dead {
			t := e.ready[0]
			e.ready = e.ready[1:]
			e.run(t)
		}
		e.ready = e.ready[:0]
		if e.dead {
			return
		}
		rest := e.polling[:0]
		for _, t := range e.polling {
			if t.woken = t.poll(); t.woken == nothingYet {
				rest = append(rest, t)
				continue
			}
			t.polled = false
			e.ready = append(e.ready, t)
		}
		clear(e.polling[len(rest):])
		e.polling = rest
		if len(e.ready) == 0 {
			return
		}
	}
}

// kill ends all tasks where they are.
func (e *Env) kill() {
	e.dead = true
	for _, t := range e.tasks {
		t.stop()
	}
}
