package scale

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Case is what to simulate. Zero values mean the defaults.
type Case struct {
	Engines  int
	Hosts    int // claims choose among them at random
	Capacity int // claims that a host has room for; 0: enough
	InFlight int // callers of all engines together, each with one claim at a time; 0: claims come by Rate
	Rate     int // claims a second that come to all engines together, without InFlight

	Records int // in a batch: one a claim and, with several engines, one a host; 0: 125
	Batches int // under way at once of each engine; 0: 8
	// SharedCores has the engines use the processors of the store as well.
	SharedCores bool
	Warm, Time  time.Duration // before counting begins, and after; 0: 1 s and 5 s
	Seed        uint64
}

// Row is what a case came to. Shares are fractions.
type Row struct {
	Engines         int     `json:"engines"`
	Hosts           int     `json:"hosts"`
	InFlight        int     `json:"in_flight"` // 0: claims came by themselves
	Rate            int     `json:"rate"`
	Claims          int     `json:"claims"`  // acknowledged, in the time that counts
	Refused         int     `json:"refused"` // no host had room
	ClaimsPerSecond float64 `json:"claims_per_second"`
	ClaimsPerBatch  float64 `json:"claims_per_batch"`
	Conflicts       float64 `json:"conflict_share"`     // of batches, refused
	Retries         float64 `json:"retries_per_claim"`  // how often one was planned anew
	Busy            float64 `json:"store_busy_share"`   // of the time
	Latency         Times   `json:"latency_ms"`         // from asking to the acknowledgement
	Staleness       Times   `json:"staleness_ms"`       // from there to where another engine sees it
	Backlog         int     `json:"waiting_at_the_end"` // claims that came by themselves and were not done
}

// Times are quantiles in milliseconds.
type Times struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// normal returns c with its defaults.
func (c Case) normal() (Case, error) {
	c.Records, c.Batches = cmp.Or(c.Records, 125), cmp.Or(c.Batches, 8)
	c.Warm, c.Time = cmp.Or(c.Warm, time.Second), cmp.Or(c.Time, 5*time.Second)
	c.Capacity = cmp.Or(c.Capacity, 1<<30)
	if c.Engines < 1 || c.Hosts < 1 || c.Capacity < 1 || c.Records < 2 || c.Batches < 1 || c.Warm < 0 || c.Time < 0 {
		return c, fmt.Errorf("case is %+v, allowed are: at least 1 engine, host, unit and batch, 2 records", c)
	}
	if c.InFlight < 0 || c.Rate < 0 || (c.InFlight == 0) == (c.Rate == 0) {
		return c, fmt.Errorf("in flight, rate are %d, %d, allowed is: one of them above 0", c.InFlight, c.Rate)
	}
	return c, nil
}

// world is one case.
type world struct {
	clock
	cfg     Case
	costs   Costs
	rng     *rand.Rand
	store   *sharedStore
	engines []*engine

	batches int32 // numbers given out
	claims  int
	acked   int // claims
	pending int // claims that wait for their end
	refused int
	retries int
	late    samples
	seen    samples
}

// Simulate plays a case on a store of these costs, and checks what came out.
func Simulate(c Case, costs Costs) (Row, error) {
	c, err := c.normal()
	if err := errors.Join(err, costs.check()); err != nil {
		return Row{}, err
	}
	w := &world{cfg: c, costs: costs, rng: rand.New(rand.NewPCG(c.Seed, 1))}
	w.late, w.seen = samples{from: c.Warm, to: c.Warm + c.Time}, samples{from: c.Warm, to: c.Warm + c.Time}
	w.store = &sharedStore{world: w, work: costs.Members, version: make([]int32, c.Hosts), used: make([]int32, c.Hosts)}
	if c.SharedCores {
		w.store.work = costs.Members.plus(costs.Clients)
	}
	for range c.Engines {
		w.engines = append(w.engines, &engine{world: w, version: make([]int32, c.Hosts), used: make([]int32, c.Hosts), ahead: map[int32]*pend{}})
	}
	for k := range c.InFlight {
		w.call(w.engines[k%c.Engines])
	}
	if c.Rate > 0 {
		w.arrive()
	}
	return w.play()
}

func (w *world) end() time.Duration { return w.cfg.Warm + w.cfg.Time }

// play goes on until the time is over, then until what is under way has ended.
func (w *world) play() (Row, error) {
	c := &w.cfg
	var begun, ended sums
	w.at(c.Warm, func() { begun = w.sums() })
	w.at(w.end(), func() { ended = w.sums() })
	row := Row{Engines: c.Engines, Hosts: c.Hosts, InFlight: c.InFlight, Rate: c.Rate}
	for w.step() {
	}
	if w.pending != 0 {
		return row, fmt.Errorf("%d engines, %d hosts: %d claims were never answered", c.Engines, c.Hosts, w.pending)
	}
	if err := w.store.check(w.acked); err != nil {
		return row, fmt.Errorf("%d engines, %d hosts: %w", c.Engines, c.Hosts, err)
	}
	took := ended.minus(begun)
	row.Claims, row.Refused, row.Backlog = took.acked, w.refused, ended.pending
	row.ClaimsPerSecond = float64(took.acked) / c.Time.Seconds()
	row.Busy = min(1, took.busy.Seconds()/c.Time.Seconds())
	if took.acked > 0 && took.taken > 0 {
		row.ClaimsPerBatch = float64(took.acked) / float64(took.taken)
		row.Conflicts = float64(took.lost) / float64(took.taken+took.lost)
		row.Retries = float64(took.retries) / float64(took.acked)
	}
	row.Latency, row.Staleness = w.late.times(), w.seen.times()
	if c.InFlight > 0 {
		row.Backlog = 0
	}
	return row, nil
}

// sums are counts at a moment.
type sums struct {
	acked, taken, lost, retries, pending int
	busy                                 time.Duration
}

func (w *world) sums() sums {
	return sums{w.acked, w.store.taken, w.store.refused, w.retries, w.pending, w.store.busy}
}

func (s sums) minus(o sums) sums {
	return sums{s.acked - o.acked, s.taken - o.taken, s.lost - o.lost, s.retries - o.retries, s.pending, s.busy - o.busy}
}

// call is a caller that has one claim at a time, until the time is over or it
// is refused.
func (w *world) call(e *engine) {
	w.claim(e, func(ok bool) {
		if ok && w.now < w.end() {
			w.after(0, func() { w.call(e) })
		}
	})
}

// arrive has claims come at random moments, to random engines.
func (w *world) arrive() {
	if w.now < w.end() {
		w.claim(w.engines[w.rng.IntN(len(w.engines))], func(bool) {})
		w.after(time.Duration(w.rng.ExpFloat64()*float64(time.Second)/float64(w.cfg.Rate)), w.arrive)
	}
}

func (w *world) claim(e *engine, ended func(ok bool)) {
	c := &claim{number: w.claims, host: w.rng.Int32N(int32(w.cfg.Hosts)), begun: w.now}
	c.ended = func(ok bool) {
		w.pending--
		if ok {
			w.acked++
			w.late.add(w.now, w.now-c.begun, 1)
		}
		ended(ok)
	}
	w.claims++
	w.pending++
	w.store.applied = append(w.store.applied, 0)
	e.plan(c)
}

// samples are times that were measured between two moments, with how many
// claims each is of.
type samples struct {
	from, to time.Duration
	list     []sample
	all      int
}

type sample struct {
	time   time.Duration
	claims int
}

func (s *samples) add(now, took time.Duration, claims int) {
	if now >= s.from && now < s.to {
		s.list = append(s.list, sample{took, claims})
		s.all += claims
	}
}

// times returns the quantiles; 0 when there is no sample.
func (s *samples) times() Times {
	slices.SortFunc(s.list, func(a, b sample) int { return cmp.Compare(a.time, b.time) })
	at := func(percent int) float64 {
		below := 0
		for _, x := range s.list {
			if below += x.claims; 100*below >= percent*s.all {
				return float64(x.time.Microseconds()) / 1e3
			}
		}
		return 0
	}
	return Times{P50: at(50), P99: at(99)}
}
