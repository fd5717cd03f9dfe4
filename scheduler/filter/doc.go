// Package filter holds the filters of OpenStack Nova. [Builtin] lists them,
// [Choose] picks those that options name.
//
// A filter is a small type that satisfies [scheduler.Filter], one file per
// filter. Filters that are not asked for each instance and host say so by
// [scheduler.Scoped].
package filter
