package scale

import (
	"slices"
	"time"
)

// claim is one unit of one host, wanted by a caller.
type claim struct {
	number int
	host   int32
	begun  time.Duration
	fresh  bool          // it was refused on a world that was asked for after it came
	ended  func(ok bool) // tells the caller
}

// batch is what an engine sends at once.
type batch struct {
	number  int32
	engine  *engine
	claims  []*claim
	hosts   []expectation
	waiting []*claim // did not fit, and wait for its end
	builds  []*batch // earlier ones under way that wrote the same hosts

	prior    *batch // on the last try: a batch before it that might not have taken effect
	behind   *batch // it is sent again when this one is answered or done
	away     bool   // a try is on its way, or took effect
	answered bool   // the store said that it took effect
	settled  bool
	failed   bool
	done     bool
	acked    time.Duration
}

type expectation struct{ host, expect int32 }

// records are those of the batch: a consumer a claim, and a state a host where
// other engines write too.
func (b *batch) records() int {
	return len(b.claims) + b.engine.states(len(b.hosts))
}

// engine is the model of one engine.
//
// Source: placement/batch.go, loop.go, ahead.go and turn.go of this repository.
type engine struct {
	*world
	version []int32 // of each host, as the feed has told
	used    []int32
	ahead   map[int32]*pend
	open    *batch
	flying  []*batch
	heard   time.Duration // when the last event comes
}

// pend is what batches under way will change of one host.
type pend struct {
	last    *batch
	version int32
	use     int32
}

// states is how many records of their states some hosts take: none where an
// engine is the only one, as it has the turn then.
func (e *engine) states(hosts int) int {
	if len(e.store.engines) == 1 {
		return 0
	}
	return hosts
}

// plan puts a claim into the open batch, or has it wait. When the time is over
// nothing new begins.
func (e *engine) plan(c *claim) {
	if e.now >= e.end() {
		c.ended(false)
		return
	}
	if e.used[c.host]+e.pending(c.host) >= int32(e.cfg.Capacity) && !e.choose(c) {
		e.refuse(c)
		return
	}
	if b := e.open; b != nil && b.records()+1+e.states(1) > e.cfg.Records {
		if len(e.flying) >= e.cfg.Batches {
			e.flying[0].waiting = append(e.flying[0].waiting, c)
			return
		}
		e.seal()
	}
	if e.open == nil {
		e.batches++
		e.open = &batch{number: e.batches, engine: e}
	}
	e.take(c, e.open)
	e.kick()
}

func (e *engine) take(c *claim, b *batch) {
	p := e.ahead[c.host]
	if p == nil {
		p = &pend{}
		e.ahead[c.host] = p
	}
	if p.last == nil {
		p.version = e.version[c.host]
	} else if p.last != b && !slices.Contains(b.builds, p.last) {
		b.builds = append(b.builds, p.last)
	}
	if p.last != b {
		b.hosts = append(b.hosts, expectation{c.host, p.version})
		p.last, p.version = b, b.number
	}
	p.use++
	b.claims = append(b.claims, c)
}

func (e *engine) pending(host int32) int32 {
	if p := e.ahead[host]; p != nil {
		return p.use
	}
	return 0
}

// choose gives c another host with room, if there is any.
func (e *engine) choose(c *claim) bool {
	n := int32(len(e.used))
	for k, from := int32(0), e.rng.Int32N(n); k < n; k++ {
		if h := (from + k) % n; e.used[h]+e.pending(h) < int32(e.cfg.Capacity) {
			c.host = h
			return true
		}
	}
	return false
}

// refuse ends c without success, if that is still so on a world as it is after
// a question to the store.
func (e *engine) refuse(c *claim) {
	if c.fresh {
		e.refused++
		c.ended(false)
		return
	}
	c.fresh = true
	e.after(e.costs.Commit.draw(e.rng), func() {
		e.at(e.heard, func() { e.plan(c) })
	})
}

// kick sends the open batch when it is time to, and those that waited.
func (e *engine) kick() {
	if b, n := e.open, len(e.flying); b != nil && (n == 0 || n < e.cfg.Batches && len(b.claims) >= worthwhile && !b.waits()) {
		e.seal()
	}
	e.send()
}

// worthwhile is how many claims must wait before a batch that is not full is
// sent beside others.
const worthwhile = 64

func (e *engine) seal() {
	e.flying = append(e.flying, e.open)
	e.open = nil
}

// waits reports whether the store has not yet answered for all that b builds
// on.
func (b *batch) waits() bool {
	return slices.ContainsFunc(b.builds, func(x *batch) bool { return !x.answered && !x.done })
}

// send sends what is not away and need not wait.
func (e *engine) send() {
	var prior *batch
	for _, b := range e.flying {
		again := b.behind == nil || b.behind.answered || b.behind.done
		if !b.settled && !b.away && again && !b.waits() {
			b.away, b.prior = true, prior
			e.store.submit(b)
		}
		if !b.answered && !b.settled {
			prior = b
		}
	}
}

// answer is what the store said of b: the hosts that it lost, none when it took
// effect. Without them it is sent again, if anything of it stays.
func (e *engine) answer(b *batch, lost []expectation) {
	switch {
	case b.settled:
	case len(lost) == 0:
		b.answered = true
	case b.prior != nil:
		b.away, b.behind = false, b.prior
	case len(lost) == len(b.hosts):
		e.land(b, true)
	default:
		b.away = false
		for _, x := range e.flying[slices.Index(e.flying, b):] {
			e.part(x, lost, e.retry)
		}
		if e.open != nil {
			e.part(e.open, lost, e.retry)
		}
	}
	e.kick()
}

// part takes the claims of lost hosts out of b, which is not on its way, and
// has them planned anew.
func (e *engine) part(b *batch, lost []expectation, again func(*claim)) {
	gone := func(host int32) bool {
		return slices.ContainsFunc(lost, func(x expectation) bool { return x.host == host })
	}
	if b.away || !slices.ContainsFunc(b.hosts, func(x expectation) bool { return gone(x.host) }) {
		return
	}
	var out []*claim
	b.claims = slices.DeleteFunc(b.claims, func(c *claim) bool {
		if !gone(c.host) {
			return false
		}
		e.ahead[c.host].use--
		out = append(out, c)
		return true
	})
	b.hosts = slices.DeleteFunc(b.hosts, func(x expectation) bool {
		if !gone(x.host) {
			return false
		}
		e.release(b, x.host)
		return true
	})
	if b == e.open && len(b.claims) == 0 {
		e.open = nil
	}
	for _, c := range out {
		again(c)
	}
}

// release lets go of what b held of a host.
func (e *engine) release(b *batch, host int32) {
	p := e.ahead[host]
	if p == nil {
		return // let go of with a later batch
	}
	if p.last == b {
		p.last = nil
	}
	if p.last == nil && p.use == 0 {
		delete(e.ahead, host)
	}
}

// apply makes a batch visible that took effect.
func (e *engine) apply(b *batch) {
	for _, x := range b.hosts {
		e.version[x.host] = b.number
	}
	for _, c := range b.claims {
		e.used[c.host]++
	}
	if b.engine == e {
		b.acked = e.now
		e.land(b, false)
		e.kick()
		return
	}
	if e.open != nil {
		e.part(e.open, b.hosts, e.anew)
	}
	late := time.Duration(0)
	if b.acked > 0 {
		late = e.now - b.acked
	}
	e.seen.add(e.now, late, len(b.claims))
	e.kick()
}

// land notes how b ended, and finishes it after those before it.
func (e *engine) land(b *batch, failed bool) {
	b.settled, b.failed = true, failed
	for _, c := range b.claims { // what it adds is visible now, or never will be
		e.ahead[c.host].use--
	}
	for len(e.flying) > 0 && e.flying[0].settled {
		first := e.flying[0]
		e.flying = slices.Delete(e.flying, 0, 1)
		e.finish(first)
		if first.failed {
			e.dropOpen()
		}
	}
}

// dropOpen has the claims of the open batch planned anew.
func (e *engine) dropOpen() {
	if b := e.open; b != nil {
		e.open = nil
		for _, c := range b.claims {
			e.ahead[c.host].use--
		}
		b.failed = true
		e.finish(b)
	}
}

// finish lets go of what b held and tells who waits for it.
func (e *engine) finish(b *batch) {
	b.done = true
	for _, x := range b.hosts {
		e.release(b, x.host)
	}
	for _, c := range b.claims {
		if !b.failed {
			c.ended(true)
			continue
		}
		e.retry(c)
	}
	for _, c := range b.waiting {
		e.after(0, func() { e.plan(c) })
	}
}

// retry plans c anew when the feed tells what it lost to.
func (e *engine) retry(c *claim) {
	e.retries++
	e.at(max(e.now, e.heard), func() { e.plan(c) })
}

// anew plans c anew at once.
func (e *engine) anew(c *claim) {
	e.retries++
	e.after(0, func() { e.plan(c) })
}
