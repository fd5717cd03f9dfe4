package live

import (
	"sync"
	"time"

	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Config makes a [Scheduler].
type Config struct {
	Engine *placement.Engine // required
	// Hosts holds the records of hosts; nil: every tree of providers is a host
	// of which nothing else is known.
	Hosts    *Hosts
	Filters  []scheduler.Filter
	Weighers []scheduler.Weigher
	// Pinner gives away NUMA cells and devices; nil: nobody does.
	Pinner Pinner
	// Scales says by the name of a weigher which raw score counts as 1 before
	// its multiplier; absent: see [DefaultScale].
	Scales map[string]float64
	// Reports keeps how requests were decided that found no host or have a
	// [Request.Why]; nil: nobody does.
	Reports *scheduler.Reports
	// Now tells filters the time; required when one of them reads it.
	Now func() time.Time
	// RankBytes bounds the memory of the ranks, which take about 12 bytes for
	// each shape of request and host; the shape that was not used for the
	// longest time is dropped. 0: 2 GiB.
	RankBytes int64
	// Subset is how many of the best hosts count as equal, 0: 1. As the seed
	// decides among them, schedulers that share an engine stay apart.
	Subset int
	// Seed decides among hosts with equal scores. Give schedulers that share
	// an engine different ones: they keep out of each other's way.
	Seed uint64
}

// Scheduler places requests. It is safe for concurrent use.
type Scheduler struct {
	cfg    Config
	groups turns
	plans  sync.Pool

	mu        sync.Mutex // guards what follows; not held while the engine writes
	view      *view
	weighers  []weigher // that do not look at the request
	instances bool      // some of them look at instances
	learners  []scheduler.Learner
	nobody    scheduler.Request // what they are given instead
	inFlight  int               // claims that were sent and not answered
	landed    chan struct{}
	heard     []uint32 // hosts with more in use than is committed
	common    order    // of all hosts, by the weighers that do not look at the request
	shapes    map[string]*shape
	keys      keyer
	requests  uint64
	refusals  map[*shape]*remembered
	walk      walk
	choice    choice
	tired     bool // the shape of the plan needs a rank of its own
	scorer    scorer
	stats     Stats
}

// Stats counts what a scheduler did.
type Stats struct {
	Claims    int64 // writes that the engine took
	Lost      int64 // writes that it refused because others were faster: decided in vain
	Rebuilds  int64 // times that all hosts were ranked
	Shapes    int   // that are ranked
	RankBytes int64 // memory of the ranks
}

// New makes a scheduler.
func New(cfg Config) (*Scheduler, error) {
	if cfg.Engine == nil {
		return nil, &placement.InputError{Field: "Engine", Value: "nil", Allowed: "an engine"}
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return time.Time{} }
	}
	s := &Scheduler{cfg: cfg, view: newView(cfg.Engine, cfg.Hosts), shapes: map[string]*shape{}, refusals: map[*shape]*remembered{}, groups: turns{engine: cfg.Engine, waiting: map[string]*turn{}}}
	if s.cfg.RankBytes == 0 {
		s.cfg.RankBytes = 2 << 30
	}
	s.plans.New = func() any { return new(plan) }
	s.common.rank.seed = cfg.Seed
	s.nobody.Spec = &scheduler.RequestSpec{}
	for _, w := range cfg.Weighers {
		if l, ok := w.(scheduler.Learner); ok {
			s.learners = append(s.learners, l)
		}
		if hostAlone(w) {
			own := newWeigher(w, cfg.Scales)
			s.weighers, s.instances = append(s.weighers, own), s.instances || own.instances
		}
	}
	return s, nil
}

// Stats returns what the scheduler did so far.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Shapes, out.RankBytes = len(s.shapes), s.common.rank.bytes()
	for _, sh := range s.shapes {
		out.RankBytes += sh.bytes()
	}
	return out
}
