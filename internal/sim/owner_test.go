package sim_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/kilonova-cloud/kilonova/internal/sim"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
	"github.com/kilonova-cloud/kilonova/scheduler/live"
	"github.com/kilonova-cloud/kilonova/store"
	"github.com/kilonova-cloud/kilonova/store/mem"
)

// The third cloud: conductors, each with an engine of its own on a store that
// they share, of which one owns the cell. The others take over when they have
// not heard of it for a while, be it dead, paused or merely slow, and whoever
// was replaced and goes on must claim nothing.
const (
	unfenced bug = "a conductor claims without looking whether it was replaced"

	ownerKey, aliveKey = "owner", "alive"
	silence            = 8 * time.Second // after which another takes over
	busy               = 2 * time.Second // between two claims, at most
	ownedAtMost        = 4               // claims of one life
)

// owned is everything there is in it, for the checks.
type owned struct {
	market
	lives  []*life
	owner  int // the life that was seen to own the cell, plus 1
	atLast uint64
}

// life is one ownership: its claims, and those of them that were never seen.
type life struct{ all, unseen []uint64 }

func ownerScenario(planted bug) *sim.Scenario {
	rates := sim.Rough()
	rates[sim.Lost], rates[sim.Doubled], rates[sim.Reordered], rates[sim.Delayed] = 0, 0, 0, 0 // nobody sends any
	return &sim.Scenario{
		Counts: []sim.Count{{Name: "hosts", N: 2}, {Name: "conductors", N: 3}},
		Build: func(s *sim.Sim, counts []int) error {
			c := &owned{market: market{bug: planted, hosts: counts[0], store: mem.New(mem.Config{Limits: store.Limits{Shared: true}, History: 2048})}}
			if err := c.furnish(s); err != nil {
				return err
			}
			if err := s.Add(sim.Process{Name: "auditor", Run: c.audit, Store: c.store, Steady: true}); err != nil {
				return err
			}
			for n := range counts[1] {
				if err := s.Add(sim.Process{Name: fmt.Sprint("conductor", n), Run: c.conduct, Store: c.store}); err != nil {
					return err
				}
			}
			s.Check(sim.Check{Name: "claims", Step: c.claims})
			s.Check(sim.Check{Name: "owners", Step: c.owners})
			return nil
		},
		Rates:  rates,
		Settle: time.Minute,
	}
}

// conduct takes over when the owner has been silent, and works until it is
// replaced itself.
func (c *owned) conduct(e *sim.Env) {
	b := c.open(e)
	sign, at := "", e.Now()
	for {
		e.Sleep(busy)
		if now := string(b.engine.Attachment(aliveKey)); now != sign {
			sign, at = now, e.Now()
		}
		if e.Now().Sub(at) < silence {
			continue
		}
		n := len(c.lives)
		c.lives = append(c.lives, &life{})
		fence, err := live.TakeOver(context.Background(), b.engine, ownerKey, strconv.Itoa(n))
		if err == nil {
			c.work(e, b, n, fence)
		}
		at = e.Now()
	}
}

// work gives back what others left and claims, until it is replaced.
func (c *owned) work(e *sim.Env, b *broker, n int, fence placement.Guard) {
	ctx := context.Background()
	for _, former := range c.lives[:n] {
		for _, id := range former.all {
			_ = b.engine.DeleteAllocations(ctx, uuid('i', id)) // if not now, the next owner will
		}
	}
	own := c.lives[n]
	for k := uint64(0); ; k++ {
		id := uint64(n)<<16 | k
		own.all, own.unseen = append(own.all, id), append(own.unseen, id)
		spec := &scheduler.RequestSpec{
			Flavor: scheduler.Flavor{VCPUs: instanceVCPUs, MemoryMiB: 64}, ProjectID: "p", UserID: "u", Instances: []string{uuid('i', id).String()},
		}
		req := &live.Request{Spec: spec, Where: live.Where(&spec.Flavor), Guards: []placement.Guard{fence}}
		if c.bug == unfenced {
			req.Guards = nil
		}
		if _, err := b.scheduler.Schedule(ctx, req); errors.Is(err, live.ErrFenced) {
			return
		}
		if k >= ownedAtMost {
			_ = b.engine.DeleteAllocations(ctx, uuid('i', own.all[k-ownedAtMost]))
		}
		err := b.engine.SetAllocations(ctx, placement.AllocationWrite{
			Guards: []placement.Guard{fence}, Attachments: []placement.Attachment{{Key: aliveKey, Value: fmt.Append(nil, n, " ", k)}},
		})
		if errors.Is(err, placement.ErrConcurrentUpdate) {
			return
		}
		e.Sleep(time.Millisecond + time.Duration(e.Rand().Int64N(int64(busy))))
	}
}

// owners: once another was seen to own the cell, no claim of a former owner
// appears.
func (c *owned) owners() error {
	if c.auditor == nil || c.auditor.LastChange() == c.atLast {
		return nil
	}
	c.atLast = c.auditor.LastChange()
	before := c.owner
	if now, err := strconv.Atoi(string(c.auditor.Attachment(ownerKey))); err == nil {
		c.owner = now + 1
	}
	for n, l := range c.lives {
		left := l.unseen[:0]
		for _, id := range l.unseen {
			switch {
			case c.holds(id) == 0:
				left = append(left, id)
			case n+1 != c.owner && n+1 != before:
				return fmt.Errorf("claim %d of life %d appears, and life %d owns the cell", id&0xffff, n, c.owner-1)
			}
		}
		l.unseen = left
	}
	return nil
}
