package scheduler

import "sync"

// Report is how a request was decided.
type Report struct {
	Request     string // its ID
	Selected    []Selection
	Explanation Explanation
	Err         error // why there is no host
}

// Reports keeps the reports of the latest requests. It is safe for concurrent
// use.
type Reports struct {
	mu   sync.Mutex // guards what follows
	ring []Report
	next int            // where the next one goes
	by   map[string]int // place in the ring by request
}

// NewReports keeps as many reports, 1 or more.
func NewReports(size int) *Reports {
	return &Reports{ring: make([]Report, max(1, size)), by: map[string]int{}}
}

// Add keeps a report, in place of the one that the same request has, or else
// of the oldest one. Of each step 100 rejections are kept, the nearest misses,
// and the number of hosts by reason; of the weights the first 100.
func (r *Reports) Add(report Report) {
	report.Explanation = report.Explanation.shortened()
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.by[report.Request]
	if !known {
		at = r.next
		r.next = (r.next + 1) % len(r.ring)
		if old := r.ring[at].Request; r.by[old] == at {
			delete(r.by, old)
		}
		r.by[report.Request] = at
	}
	r.ring[at] = report
}

// Get returns the report of a request, if it is still there.
func (r *Reports) Get(request string) (Report, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.by[request]
	if !known {
		return Report{}, false
	}
	return r.ring[at], true
}
