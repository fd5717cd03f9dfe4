// Package bus is how processes of a cell speak to each other: a small port,
// with an adapter in process (bus/local) and one on RabbitMQ (bus/rabbit), and
// one suite that both pass (bus/bustest). It can be used alone.
//
// A [Bus] starts calls, which are answered once, and sends casts, which are
// not answered. A message goes to one handler of its topic; there is no
// fan-out. What a topic answers to is a [Service].
//
//	stop, err := b.Handle(ctx, "compute.host1", bus.Service{
//		Version: bus.Version{Major: 1},
//		Methods: map[string]bus.Handler{"ping": ping},
//	})
//	reply, err := bus.Call(ctx, b, bus.Envelope{
//		ID: bus.NewID(), Topic: "compute.host1", Method: "ping",
//		Version: bus.Version{Major: 1}, Timeout: 5 * time.Second,
//	})
//
// What holds, in every adapter:
//
//   - A call ends within its timeout, with an answer or an error that tells
//     whether it may have been handled (see [ErrTimeout] and [ErrUnavailable]).
//   - A message is handled at most once. The bus never sends one again; who
//     does so uses the same ID, and the second is refused as [ErrRepeated] as
//     long as the service remembers the first.
//   - A message may be lost. State is in databases, and a message says "look";
//     a sweep finds what a lost one did not tell.
//   - The order of messages is not promised.
//
// The port has no clock, no goroutines and no random source of its own:
// timeouts are durations in the envelope, ids are given by the sender, a call
// is continued by a function, and a handler is a function from an envelope to
// an answer. So a simulator implements it with an event queue in virtual time,
// with [Reception] as the judge of what arrives. Adapters are safe for
// concurrent use.
package bus
