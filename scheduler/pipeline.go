package scheduler

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// PipelineConfig says what a [Pipeline] is made of.
type PipelineConfig struct {
	Filters  []Filter  // run in this order; one that is there twice runs twice
	Weighers []Weigher // their weights are added up in this order
	// Topology keeps account of NUMA cells and PCI devices, whether or not a
	// filter looks at them. An error of its Consume does not undo the choice
	// of a host: what it took until then stays taken, and the host's I/O
	// operations do not grow. nil: nobody keeps account.
	Topology TopologyKeeper
	// HostSubsetSize is how many of the best hosts one is drawn from; 0: 1.
	HostSubsetSize int
	// ShuffleBest shuffles the hosts that are as good as the best.
	ShuffleBest bool
	// MaxAttempts is 1 more than the alternates of an instance; 0: 3.
	MaxAttempts int
}

// Pipeline decides as Nova's FilterScheduler does: filters in order, weights
// normalised over the hosts that are left, the best host first. It is safe
// for concurrent use.
type Pipeline struct {
	cfg PipelineConfig
}

// NewPipeline makes a pipeline.
func NewPipeline(cfg PipelineConfig) (*Pipeline, error) {
	for _, n := range []struct {
		field string
		value *int
		def   int
	}{{"HostSubsetSize", &cfg.HostSubsetSize, 1}, {"MaxAttempts", &cfg.MaxAttempts, 3}} {
		if *n.value < 0 {
			return nil, fmt.Errorf("%s is %d, allowed is: 0 or more", n.field, *n.value)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	return &Pipeline{cfg}, nil
}

// Learn tells the weighers that are a [Learner] that n instances of a spec
// were placed. Select does not: who decides need not claim.
func (p *Pipeline) Learn(s *RequestSpec, n int) {
	for _, w := range p.cfg.Weighers {
		if l, ok := w.(Learner); ok {
			l.Learn(s, n)
		}
	}
}

// Query is one request for hosts.
type Query struct {
	Spec *RequestSpec // with at least one instance
	// Hosts are those that placement offers, in its order. Their capacity is
	// not checked again unless a filter does.
	Hosts []*HostState
	Now   time.Time
	// Rand draws among the best hosts; nil: the first of them is taken.
	Rand *rand.Rand
}

// Selection is the host of one instance.
type Selection struct {
	Instance   string       // UUID
	Host       *HostState   // as it was in the query
	Candidate  *Candidate   // the first that the filters left of the host's; nil: it had none
	Topology   any          // what the instance got, as [TopologyKeeper.Consume] left it in the spec
	Alternates []*HostState // of the same cell, best first, at most MaxAttempts-1
}

// errNoInstances is what [Pipeline.Select] says of an empty request.
var errNoInstances = errors.New("instances of the request spec are none, allowed are: one or more UUIDs")

// Select chooses a host for each instance of the query, or for none: it
// returns a [*NoValidHostError], or [ErrCannotEvaluate] when a filter or
// weigher gives up. The selections are in the order of the instances, their
// hosts are those of the query. If why is not nil, it says how the first
// instance was decided, also when Select fails.
//
// Each instance starts from the hosts that were left for the one before it,
// in the order of their weights, with what that one consumes taken away.
//
// Source: nova, scheduler/manager.py, SchedulerManager._schedule.
func (p *Pipeline) Select(q *Query, why *Explanation) ([]Selection, error) {
	if len(q.Spec.Instances) == 0 {
		return nil, errNoInstances
	}
	d := newDecision(p, q, why)
	for i, uuid := range q.Spec.Instances {
		d.request.Index, d.request.Instance = i, uuid
		if err := d.sort(); err != nil {
			return nil, err
		}
		if len(d.hosts) == 0 {
			return nil, &NoValidHostError{Instance: uuid, Index: i, Hosts: len(q.Hosts), Last: d.last.shortened(), Earlier: shortened(d.earlier)}
		}
		d.why = nil
		d.consume()
	}
	if err := d.alternates(); err != nil {
		return nil, err
	}
	return d.selected, nil
}
