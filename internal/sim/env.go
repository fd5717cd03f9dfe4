package sim

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/kilonova-cloud/kilonova/cells/bus"
	"github.com/kilonova-cloud/kilonova/internal/machine"
	"github.com/kilonova-cloud/kilonova/store"
)

// Env is one life of a process whose code waits: for a store, an answer, the
// time. Its functions are tasks, of which one goes on at a time. What they
// call must wait by [Env.Wait] or by what an Env gives, and nothing else. When
// the process dies, its tasks end where they wait or are about to do something.
type Env struct {
	sim     *Sim
	process *process
	boot    uint64

	tasks, idle    []*task
	ready, polling []*task
	current        *task
	dead           bool
	fate           int // after so many effects it dies; below 0: it does not

	bus *Bus
}

// Name is the process's.
func (e *Env) Name() string { return e.process.name }

// Now is the time by the process's own clock, which may drift and jump.
func (e *Env) Now() time.Time { return e.process.clock(e.sim.now) }

// Rand is the process's own.
func (e *Env) Rand() *rand.Rand { return e.process.rand }

// Go lets f take turns too.
func (e *Env) Go(f func()) { e.spawn(f) }

// Sleep waits for d above 0, by the process's own clock.
func (e *Env) Sleep(d time.Duration) { e.Wait(context.Background(), d, nil, nil) }

// Bus is how the process speaks to others.
func (e *Env) Bus() *Bus { return e.bus }

// Store is the process's store, as it is reached: commits take time and may
// meet faults, feeds lag behind and may end.
func (e *Env) Store() store.Store { return reached{e} }

// block waits for the item, which is the current task's.
func (e *Env) block(it *item) {
	it.task(e.current)
	e.current.park()
}

// turn has a program take one event.
func (s *Sim) turn(p *process, it *item) {
	kind, hit, pause := s.fate(p)
	e := p.env
	if it.event == machine.Start {
		e = &Env{sim: s, process: p, boot: p.boot}
		e.bus = &Bus{env: e, served: map[string]*served{}}
		p.env = e
		e.spawn(func() { p.Run(e) })
	}
	if e.fate = -1; hit && kind == Crashed {
		e.fate = int(uint64(pause) % 5)
	}
	switch t := it.sleeper; {
	case it.letter != nil:
		e.bus.take(it.letter)
	case it.ring != nil:
		e.spawn(it.ring)
	case t != nil && t.polled:
		t.polled, t.woken = false, timeIsUp
		e.polling = slices.DeleteFunc(e.polling, func(o *task) bool { return o == t })
		e.ready = append(e.ready, t)
	case t != nil:
		e.ready = append(e.ready, t)
	}
	e.settle()
	if hit {
		s.suffer(p, kind, pause)
	}
}

// reached is a store as a program reaches it.
type reached struct{ env *Env }

var _ store.Shared = reached{}

// Limits implements [store.Store].
func (r reached) Limits() store.Limits { return r.env.process.disk.store.Limits() }

// Close implements [store.Store]. The store outlives who closes it.
func (reached) Close() error { return nil }

// Commit implements [store.Store].
func (r reached) Commit(_ context.Context, b store.Batch) (store.Result, error) {
	r.env.effect()
	it, c := r.env.sim.send(r.env.process, b)
	r.env.block(it)
	return c.result, c.err
}

// Load implements [store.Store].
func (r reached) Load(_ context.Context, rev *uint64) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		l := r.read(false)
		*rev = l.revision
		for _, rec := range l.records {
			if !yield(rec, nil) {
				return
			}
		}
	}
}

// Latest implements [store.Shared].
func (r reached) Latest(context.Context) (uint64, error) { return r.read(true).revision, nil }

func (r reached) read(latest bool) *load {
	r.env.effect()
	l := &load{latest: latest}
	it := r.env.sim.queue.add(r.env.sim.now + latency(0))
	it.kind, it.process, it.boot, it.load = itemApply, r.env.process, r.env.boot, l
	r.env.block(it)
	return l
}

// Follow implements [store.Store].
func (r reached) Follow(ctx context.Context, after uint64) iter.Seq2[store.Event, error] {
	d := r.env.process.disk
	return func(yield func(store.Event, error) bool) {
		for {
			if after < d.compacted {
				yield(store.Event{}, fmt.Errorf("%w: %w", store.ErrCompacted, errInjected))
				return
			}
			for ev, err := range d.store.Follow(ctx, after) {
				if err == nil {
					after = ev.Revision
				}
				if !yield(ev, err) || err != nil {
					return
				}
				if ev.ID == (store.BatchID{}) {
					break // it has caught up
				}
			}
			f := follower{task: r.env.current, wait: r.env.current.wait}
			d.followers = append(d.followers, &f)
			f.task.park()
			switch {
			case !f.hit:
			case f.fault == FeedEnded:
				yield(store.Event{}, errInjected)
				return
			case f.fault == FeedCompacted:
				d.compact()
			}
		}
	}
}

// follower is a task that waits for a change of a store.
type follower struct {
	task  *task
	wait  uint64
	fault FaultKind
	hit   bool
}

// changed brings the news to those who follow a disk.
func (s *Sim) changed(d *disk) {
	for _, f := range d.followers {
		if f.task.env.dead || f.task.wait != f.wait {
			continue
		}
		p := f.task.env.process
		p.news++
		late := int64(0)
		if !p.Steady {
			var luck uint64
			if f.fault, f.hit, luck = s.chance.draw(ofFeed, p, p.news); f.hit {
				late = within(luck, longDelay)
				s.trace.fault(s, p, f.fault, time.Duration(late))
			}
		}
		it := s.queue.add(s.now + latency(mix(uint64(s.now)^p.key)) + late)
		it.process, it.boot, it.event = p, p.boot, machine.Fired
		it.task(f.task)
	}
	d.followers = d.followers[:0]
}

var _ bus.Bus = (*Bus)(nil)
