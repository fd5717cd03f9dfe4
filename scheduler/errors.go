package scheduler

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

var (
	// ErrCannotEvaluate is the kind of error that a filter or weigher returns
	// for input it can make no sense of. The whole request fails with it, as
	// in Nova.
	ErrCannotEvaluate = errors.New("cannot be evaluated")

	// ErrNoValidHost is the kind of [*NoValidHostError].
	ErrNoValidHost = errors.New("no valid host was found")
)

// NoValidHostError says that an instance, and so its whole request, finds no
// host. It is [ErrNoValidHost].
type NoValidHostError struct {
	Instance string // UUID
	Index    int    // its place in the request
	Hosts    int    // how many there were to begin with
	// Last is what removed the last hosts: a filter, or what the request
	// itself demands of hosts. Earlier are the steps before it that removed
	// some. Their rejections are the nearest misses, at most 100 of each.
	Last    FilterResult
	Earlier []FilterResult
}

// nearestHosts is how many hosts [NoValidHostError.Nearest] returns.
const nearestHosts = 10

// Nearest returns the hosts that came closest: of those that only the last
// filter refused, the ones that lack the smallest part of what is wanted;
// else the first. At most ten.
func (e *NoValidHostError) Nearest() []Rejection {
	list := slices.Clone(e.Last.Rejected)
	sortByMiss(list)
	return list[:min(nearestHosts, len(list))]
}

// Error tells who removed the last hosts, and for which reasons, the most
// frequent one first; what was left by the steps before; and the nearest miss.
func (e *NoValidHostError) Error() string {
	if e.Last.Name == "" {
		return ErrNoValidHost.Error() + ": there are no hosts"
	}
	if e.Last.Before == 0 {
		return fmt.Sprintf("%v: there are %d hosts, and none of them is left for %s", ErrNoValidHost, e.Hosts, e.Last.Name)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %s removes the last %d of %d hosts: %s", ErrNoValidHost, e.Last.Name, e.Last.Before, e.Hosts, e.Last.why())
	for k := range e.Earlier {
		r := &e.Earlier[k]
		fmt.Fprintf(&b, "; before, %s leaves %d of %d: %s", r.Name, r.After, r.Before, r.why())
	}
	if near := e.Nearest(); len(near) > 0 {
		fmt.Fprintf(&b, "; nearest is %s: %s", near[0].Host, near[0].Reason.String())
	}
	return b.String()
}

// why tells the most frequent reasons.
func (r *FilterResult) why() string {
	var reasons []string
	for _, c := range r.shortened().Reasons {
		reasons = append(reasons, fmt.Sprintf("%s (%d)", c.Reason, c.Hosts))
	}
	const most = 5
	if len(reasons) > most {
		reasons = append(reasons[:most], fmt.Sprintf("%d other reasons", len(reasons)-most))
	}
	return strings.Join(reasons, ", ")
}

// Unwrap returns [ErrNoValidHost].
func (e *NoValidHostError) Unwrap() error { return ErrNoValidHost }
