package sim_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/kilonova-cloud/kilonova/internal/sim"
)

// addChecks adds what must hold.
func (c *cloud) addChecks(s *sim.Sim) {
	s.Check(sim.Check{Name: "records", Step: c.afterChange(c.capacity, c.guestHasClaim, c.oneHost), End: c.settled})
	s.Check(sim.Check{Name: "answers", Step: c.answers})
}

// afterChange asks checks when there is something new for them.
func (c *cloud) afterChange(checks ...func() error) func() error {
	return func() error {
		change := c.engine.LastChange()
		changed := change != c.change
		c.change = change
		for _, g := range c.guests {
			changed, g.changed = changed || g.changed, false
		}
		if !changed {
			return nil
		}
		for _, check := range checks {
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	}
}

// capacity: claims never exceed what a host has.
func (c *cloud) capacity() error {
	for n := range c.guests {
		used, _, err := c.engine.Usages(uuid('h', uint64(n)))
		if err != nil {
			return err
		}
		if used["VCPU"] > hostVCPUs {
			return fmt.Errorf("%s has %d VCPUs in use of %d", hostName(n), used["VCPU"], hostVCPUs)
		}
	}
	return nil
}

// guestHasClaim: no guest is where nothing is claimed for it.
func (c *cloud) guestHasClaim() error {
	for n, disk := range c.guests {
		for _, id := range c.instances {
			if !disk.rows[id].present {
				continue
			}
			_, held, err := c.engine.Consumer(uuid('i', id))
			if err != nil {
				return fmt.Errorf("guest %d is on %s, its claim: %w", id, hostName(n), err)
			}
			if held[0].Provider != uuid('h', uint64(n)) {
				return fmt.Errorf("guest %d is on %s, and what is claimed is %v", id, hostName(n), held)
			}
		}
	}
	return nil
}

// oneHost: no instance is on two hosts.
func (c *cloud) oneHost() error {
	on := map[uint64]int{}
	for n, disk := range c.guests {
		for _, id := range c.instances {
			if !disk.rows[id].present {
				continue
			}
			if other, twice := on[id]; twice {
				return fmt.Errorf("guest %d is on %s and on %s", id, hostName(other), hostName(n))
			}
			on[id] = n
		}
	}
	return nil
}

// answers: what a client was told is durable and true.
func (c *cloud) answers() error {
	changed := c.rows.changed
	c.rows.changed = false
	for _, own := range c.clients {
		changed, own.changed = changed || own.changed, false
	}
	if !changed {
		return nil
	}
	for _, own := range c.clients {
		for n := range own.instances {
			w, id := &own.instances[n], own.first+uint64(n)
			r := c.rows.rows[id]
			switch {
			case w.told != 0 && r.state == 0:
				return fmt.Errorf("instance %d: the client was told %v, and there is no record", id, w.told)
			case w.wasActive && !w.deleting && r.state != active:
				return fmt.Errorf("instance %d was active, nobody wants it away, and it is %v", id, r.state)
			case (w.told == failed || w.told == deleted) && r.state != w.told:
				return fmt.Errorf("instance %d: the client was told %v, and it is %v", id, w.told, r.state)
			}
		}
	}
	return nil
}

// settled: in the end every instance has come to its end, and exactly the
// active ones have a guest and a claim.
func (c *cloud) settled() error {
	for _, own := range c.clients {
		for n := range own.instances {
			id := own.first + uint64(n)
			r := c.rows.rows[id]
			if r.state != active && r.state != failed && r.state != deleted {
				return fmt.Errorf("instance %d is %v in the end", id, r.state)
			}
			_, _, err := c.engine.Consumer(uuid('i', id))
			if (err == nil) != (r.state == active) {
				return fmt.Errorf("instance %d is %v in the end, has a claim: %v", id, r.state, err == nil)
			}
			present := slices.ContainsFunc(c.guests, func(g *table[guest]) bool { return g.rows[id].present })
			if present != (r.state == active) {
				return fmt.Errorf("instance %d is %v in the end, on a host: %v", id, r.state, present)
			}
		}
	}
	return c.verify()
}

// verify asks the engine for its own invariants.
func (c *cloud) verify() error {
	found, err := c.engine.Verify(context.Background())
	if err != nil || len(found) > 0 {
		return fmt.Errorf("%v, %w", found, err)
	}
	return nil
}
