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
	// itself demands of hosts.
	Last FilterResult
}

// nearestHosts is how many hosts [NoValidHostError.Nearest] returns.
const nearestHosts = 10

// Nearest returns the hosts that came closest: of those that only the last
// filter refused, the ones that lack the smallest part of what is wanted;
// else the first. At most ten.
func (e *NoValidHostError) Nearest() []Rejection {
	list := slices.Clone(e.Last.Rejected)
	slices.SortStableFunc(list, func(a, b Rejection) int {
		switch x, y := a.Reason.miss(), b.Reason.miss(); {
		case x < y:
			return -1
		case y < x:
			return 1
		}
		return 0
	})
	return list[:min(nearestHosts, len(list))]
}

// Error tells who removed the last hosts, and for which reasons, the most
// frequent one first.
func (e *NoValidHostError) Error() string {
	if e.Last.Name == "" {
		return ErrNoValidHost.Error() + ": there are no hosts"
	}
	if e.Last.Before == 0 {
		return fmt.Sprintf("%v: there are %d hosts, and none of them is left for %s", ErrNoValidHost, e.Hosts, e.Last.Name)
	}
	count := map[string]int{}
	var reasons []string
	for i := range e.Last.Rejected {
		why := e.Last.Rejected[i].Reason.general()
		if count[why]++; count[why] == 1 {
			reasons = append(reasons, why)
		}
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return count[b] - count[a] })
	for i, why := range reasons {
		reasons[i] = fmt.Sprintf("%s (%d)", why, count[why])
	}
	const most = 5
	if len(reasons) > most {
		reasons = append(reasons[:most], fmt.Sprintf("%d other reasons", len(reasons)-most))
	}
	return fmt.Sprintf("%v: %s removes the last %d of %d hosts: %s",
		ErrNoValidHost, e.Last.Name, e.Last.Before, e.Hosts, strings.Join(reasons, ", "))
}

// Unwrap returns [ErrNoValidHost].
func (e *NoValidHostError) Unwrap() error { return ErrNoValidHost }
