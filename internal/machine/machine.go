// Package machine says what a service is: a state machine that takes one
// event and answers with effects.
//
// A [Machine] holds its state in memory. [Machine.Step] is the only way in: it
// reads the event, changes the state and adds to the [Effects] what is to be
// done: messages to send, batches to commit, timers to set. It does no I/O,
// starts no goroutine, reads no clock and no global randomness, and what it
// does never depends on the order of a map. So the same code runs in a daemon,
// below a thin shell with sockets and timers, and in the simulator
// (internal/sim), which steps a whole cloud in one goroutine.
//
// What a machine may count on: a timer fires once, not early by its own clock.
// A commit is answered once, unless the process dies first. Everything else
// may go wrong: messages get lost, doubled, late and out of order; the process
// may die between any two effects of a step, and starts again with an empty
// memory and the records of its store; a batch that it sent in an earlier life
// may take effect later.
//
// A Machine is used by one goroutine at a time.
package machine

import (
	"math/rand/v2"
	"time"

	"github.com/kilonova-cloud/kilonova/store"
)

// Machine is one service.
type Machine interface {
	// Step takes one event. The event and what it points to is lent until Step
	// returns, except Message.Body and Records, whose bytes never change.
	Step(in *Event, out *Effects)
}

// Kind says what happened.
type Kind uint8

// What may happen to a machine.
const (
	Start     Kind = iota // the process has started; the first event of every life
	Received              // Message has come
	Fired                 // the timer Token
	Committed             // the store answered the commit Token: Result, Err
	Loaded                // the store answered the load Token: Records, Revision
)

// String returns the name of the kind.
func (k Kind) String() string {
	return [...]string{"start", "message", "timer", "commit", "load"}[k]
}

// Event is what a machine is stepped by.
type Event struct {
	Kind Kind
	Now  time.Time  // by the process's own clock, which may drift and jump
	Rand *rand.Rand // the process's own

	Message  Message        // Received
	Token    uint64         // Fired, Committed, Loaded: as the machine chose it
	Result   store.Result   // Committed
	Err      error          // Committed: not applied, see [store.Store]
	Records  []store.Record // Loaded: every record of the store, at Revision
	Revision uint64         // Loaded
}

// Message is what processes tell each other. It is a hint: nothing may be lost
// for good when it is.
type Message struct {
	From, To string // addresses of processes
	Method   string
	ID       uint64 // what it is about; chosen by the sender
	Body     []byte // not changed after it is sent
}

// EffectKind says what is to be done.
type EffectKind uint8

// What a machine may have done.
const (
	Send EffectKind = iota
	Timer
	Commit
	Load
)

// Effect is one thing to do.
type Effect struct {
	Kind    EffectKind
	Message Message       // Send; From is filled in
	Token   uint64        // Timer, Commit, Load: comes back in the event
	After   time.Duration // Timer, by the process's own clock
	Batch   store.Batch   // Commit
}

// Effects collects what one step wants done, in order. The shell resets and
// lends it.
type Effects struct {
	List []Effect
}

// Reset empties the list and keeps its memory.
func (e *Effects) Reset() { e.List = e.List[:0] }

// Send sends m; its From need not be set.
func (e *Effects) Send(m Message) {
	e.List = append(e.List, Effect{Kind: Send, Message: m})
}

// Timer brings a [Fired] with this token after a duration. A timer cannot be
// stopped: put into the token what tells whether it still matters.
func (e *Effects) Timer(token uint64, after time.Duration) {
	e.List = append(e.List, Effect{Kind: Timer, Token: token, After: after})
}

// Commit sends a batch to the process's store, and brings a [Committed].
func (e *Effects) Commit(token uint64, b store.Batch) {
	e.List = append(e.List, Effect{Kind: Commit, Token: token, Batch: b})
}

// Load reads the process's store, and brings a [Loaded].
func (e *Effects) Load(token uint64) {
	e.List = append(e.List, Effect{Kind: Load, Token: token})
}
