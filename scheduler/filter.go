package scheduler

import (
	"slices"
	"strconv"
	"time"
)

// Reads is what a filter or a weigher looks at besides its options. What is
// not read cannot change its answer, so the answer may be kept until
// something that is read changes.
type Reads uint16

// What there is to read.
const (
	ReadsAllocations Reads = 1 << iota // how much instances use of the host: RAM, disk, vCPUs, their number, I/O operations, devices
	ReadsInstances                     // which instances are on the host
	ReadsHost                          // the rest of the host's record: service, stats, hypervisor, metrics
	ReadsAggregates                    // the host's aggregates
	ReadsGroup                         // the request's server group, with the hosts chosen so far, and which instance is placed
	ReadsRequest                       // the rest of the request
	ReadsTime                          // the clock
)

// Has reports whether r has all bits of what.
func (r Reads) Has(what Reads) bool { return r&what == what }

// Request is what filters and weighers see beside the host: a spec, and how
// far it got. It is only valid during the call.
type Request struct {
	Spec     *RequestSpec
	Instance string // UUID of the instance that is placed
	Index    int    // its place in Spec.Instances
	Now      time.Time
	// Rebuild is set when the request only asks whether an instance's own
	// host would take a new image.
	Rebuild bool

	// GroupHosts are the hosts of the server group: those of the spec and
	// those chosen for instances of this request, in this order.
	GroupHosts []string

	members map[string]struct{} // of the group, when they are many; nil: look into the spec
}

// fewMembers is how many are looked up one by one.
const fewMembers = 16

// setMembers notes the members of the group.
func (r *Request) setMembers(uuids []string) {
	if len(uuids) <= fewMembers {
		return
	}
	r.members = make(map[string]struct{}, len(uuids))
	for _, uuid := range uuids {
		r.members[uuid] = struct{}{}
	}
}

// MembersOn returns how many members of the spec's server group are on the
// host; instances of this request count when the group lists them.
func (r *Request) MembersOn(h *HostState) int {
	if r.Spec.Group == nil {
		return 0
	}
	n := 0
	if r.members != nil {
		for uuid := range h.Instances {
			if _, is := r.members[uuid]; is {
				n++
			}
		}
		return n
	}
	members := r.Spec.Group.Members
	for i, uuid := range members {
		if _, here := h.Instances[uuid]; here && !slices.Contains(members[:i], uuid) {
			n++
		}
	}
	return n
}

// Filter says which hosts can take a request. Filters are safe for concurrent
// use and do not allocate when a host passes.
type Filter interface {
	// Name is the name that configuration knows, such as ComputeFilter.
	Name() string
	Reads() Reads
	// Pass returns why the host cannot take the request, or the zero Reason.
	// It returns an error only when it cannot say; where Nova raises.
	Pass(r *Request, h *HostState) (Reason, error)
}

// Scope says for which instances and hosts a filter has to be asked.
type Scope uint8

// The scopes. Zero is: for each instance of a request, but not on rebuild.
const (
	FirstInstance Scope = 1 << iota // only for the first instance of a request
	OnRebuild                       // for a rebuild too
	EveryHost                       // this request passes on every host: do not ask
)

// Scoped is implemented by filters whose scope is not zero.
//
// Source: nova, filters.py, run_filter_once_per_request, and
// scheduler/filters/__init__.py, RUN_ON_REBUILD.
type Scoped interface {
	Scope(s *RequestSpec) Scope
}

// Local is implemented by filters and weighers that read the server group.
// What they say of a host stays while instances of a request are placed on
// others, unless one of the instances was on a host before.
type Local interface{ Local() }

func isLocal(one any) bool {
	_, is := one.(Local)
	return is
}

// Windowed is implemented by filters that read nothing but the host and the
// clock: a host passes from first to last, in nanoseconds since 1970, both
// included. It must agree with Pass. The core keeps windows as columns.
type Windowed interface {
	Window(h *HostState) (first, last int64)
}

// Narrower is implemented by filters that look at the candidates of a host.
type Narrower interface {
	// Narrows reports whether the filter does so for a request.
	Narrows(s *RequestSpec) bool
	// Narrow is Pass, and returns those of h.Candidates by which the host
	// passes. Later filters, later instances of the request and the claim
	// find only them.
	//
	// Source: nova, scheduler/filters/__init__.py, CandidateFilterMixin.
	Narrow(r *Request, h *HostState) ([]Candidate, Reason, error)
}

// Reason says why a host does not pass. It is a small value, made without
// allocating; the sentence is made when somebody reads it.
type Reason struct {
	// Why is a constant sentence. The verbs %h, %w, %t, %a and %o in it stand
	// for Have, Want, Text, Asked and Of. "": the host passes.
	Why   string
	Have  float64 // what the host has, when it is a number
	Want  float64 // what is asked for, when it is a number
	Text  string  // what the host has, when it is a text
	Asked string  // what is asked for, when it is a text
	Of    string  // what is compared, such as the name of an extra spec
}

// Passes reports whether there is no reason.
func (r *Reason) Passes() bool { return r.Why == "" }

// String returns the sentence.
func (r *Reason) String() string {
	var b []byte
	for i := 0; i < len(r.Why); i++ {
		if r.Why[i] != '%' || i+1 == len(r.Why) {
			b = append(b, r.Why[i])
			continue
		}
		i++
		switch r.Why[i] {
		case 'h':
			b = strconv.AppendFloat(b, r.Have, 'f', -1, 64)
		case 'w':
			b = strconv.AppendFloat(b, r.Want, 'f', -1, 64)
		case 't':
			b = append(b, r.Text...)
		case 'a':
			b = append(b, r.Asked...)
		case 'o':
			b = append(b, r.Of...)
		default:
			b = append(b, r.Why[i])
		}
	}
	return string(b)
}
