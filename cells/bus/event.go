package bus

// EventKind says what happened on a bus.
type EventKind uint8

// What is told to an observer.
const (
	CallStarted    EventKind = iota // a call was sent
	CallEnded                       // with an answer, or with Err
	CastSent                        // or not, with Err
	Handled                         // a handler returned, with Err if it failed
	Refused                         // a message that arrived was not handled, with Err
	Connected                       // to the broker Detail
	Disconnected                    // with Err
	ConnectFailed                   // to the broker Detail, with Err
	Blocked                         // the broker takes no messages, for the reason Detail
	Unblocked                       // the broker takes messages again
	ConsumeFailed                   // a topic could not be listened to, with Err
	eventKindCount                  // for tables
)

var eventNames = [eventKindCount]string{
	"call started", "call ended", "cast sent", "handled", "refused", "connected", "disconnected", "connect failed", "blocked", "unblocked", "consume failed",
}

// String returns a few words.
func (k EventKind) String() string {
	if k >= eventKindCount {
		return "unknown"
	}
	return eventNames[k]
}

// Event is told to an observer, for metrics and logs. It holds no secrets and
// no bodies.
type Event struct {
	Kind   EventKind
	Topic  string // empty if it is about the connection
	Method string
	Detail string
	Err    error
}

// Observer is told what happens. It is called from many goroutines, and must
// not block. A nil one is told nothing.
type Observer func(Event)

// Tell calls the observer if there is one.
func (o Observer) Tell(e Event) {
	if o != nil {
		o(e)
	}
}
