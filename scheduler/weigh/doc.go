// Package weigh holds the weighers of OpenStack Nova. [Builtin] lists them,
// [Choose] picks those that options name.
//
// A weigher is a small type that satisfies [scheduler.Weigher], one file per
// weigher.
package weigh
