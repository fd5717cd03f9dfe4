// Package scheduler decides on which host an instance goes: what OpenStack's
// nova-scheduler decides, as a library.
//
// A [RequestSpec] says what is asked for, a [HostState] what a host has.
// Filters drop hosts, each with a [Reason]; weighers score those that are
// left. Both are small interfaces, [Filter] and [Weigher]; packages
// scheduler/filter and scheduler/weigh hold OpenStack's. [Options] are the
// sections of nova.conf that filters and weighers read.
//
// Everything here is pure: states are values that nobody changes in place,
// time is part of the [Request], and nothing waits. Memory and disk are in
// MiB and GiB, as in Nova. Values are safe to share between goroutines as
// long as nobody writes to them.
package scheduler
