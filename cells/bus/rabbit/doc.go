// Package rabbit is the bus on RabbitMQ: one connection of a process to the
// vhost of a cell.
//
//	cfg, err := rabbit.Parse("rabbit://user:secret@broker1:5672,user:secret@broker2:5672/cell1?ssl=1", nil)
//	b, err := rabbit.New(cfg)
//	defer b.Close()
//
// Configuration is that of oslo.messaging: a transport_url, and the options of
// [oslo_messaging_rabbit], see [Parse] and [Options].
//
// A topic is a classic queue "kn.TOPIC" that goes with its last consumer.
// Messages are transient, neither confirmed nor acknowledged, so that the
// broker never delivers one twice; answers come over direct reply-to. When the
// connection is lost, calls under way end with [bus.ErrLost], and others with
// [bus.ErrUnavailable] until it is there again: it is made again by itself,
// after a random delay, with the next of several brokers. While the broker
// takes no messages, because it is short of memory or disk, calls and casts
// end with [bus.ErrUnavailable] at once.
//
// A [Bus] is safe for concurrent use. Passwords are in no error, event or log.
package rabbit
