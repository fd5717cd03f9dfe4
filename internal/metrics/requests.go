package metrics

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// buckets are the upper bounds of durations.
var buckets = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 10 * time.Second,
}

// Requests counts requests.
type Requests struct {
	prefix string

	mu     sync.Mutex // guards what follows
	counts map[label]uint64
	times  map[string]*histogram // by route
}

type label struct {
	route, method string
	status        int
}

type histogram struct {
	counts []uint64 // by bucket; the last one has no bound
	sum    time.Duration
}

// NewRequests returns counters whose names begin with a prefix.
func NewRequests(prefix string) *Requests {
	return &Requests{prefix: prefix, counts: map[label]uint64{}, times: map[string]*histogram{}}
}

// Observe counts one request.
func (r *Requests) Observe(route, method string, status int, took time.Duration) {
	at, _ := slices.BinarySearch(buckets, took)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[label{route, known(method), status}]++
	h := r.times[route]
	if h == nil {
		h = &histogram{counts: make([]uint64, len(buckets)+1)}
		r.times[route] = h
	}
	h.counts[at]++
	h.sum += took
}

// known bounds the number of counters: a client may send any method.
func known(method string) string {
	switch method {
	case "GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH":
		return method
	default:
		return "other"
	}
}

// Write writes every counter, ordered by name and labels.
func (r *Requests) Write(w io.Writer) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "# TYPE %s_requests_total counter\n", r.prefix)
	labels := slices.SortedFunc(maps.Keys(r.counts), func(a, b label) int {
		return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
	})
	for _, l := range labels {
		fmt.Fprintf(&b, "%s_requests_total{route=%q,method=%q,status=\"%d\"} %d\n", r.prefix, l.route, l.method, l.status, r.counts[l])
	}
	fmt.Fprintf(&b, "# TYPE %s_request_duration_seconds histogram\n", r.prefix)
	for _, route := range slices.Sorted(maps.Keys(r.times)) {
		h := r.times[route]
		var sum uint64
		for i, n := range h.counts {
			bound := "+Inf"
			if i < len(buckets) {
				bound = fmt.Sprint(buckets[i].Seconds())
			}
			sum += n
			fmt.Fprintf(&b, "%s_request_duration_seconds_bucket{route=%q,le=%q} %d\n", r.prefix, route, bound, sum)
		}
		fmt.Fprintf(&b, "%s_request_duration_seconds_sum{route=%q} %g\n", r.prefix, route, h.sum.Seconds())
		fmt.Fprintf(&b, "%s_request_duration_seconds_count{route=%q} %d\n", r.prefix, route, sum)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
