package scale

import (
	"fmt"
	"time"
)

// sharedStore is the model of a store: what waits is taken as one group, and
// takes as long as the members work for it.
type sharedStore struct {
	*world
	work    Work
	queue   []*batch // in the order in which they arrived
	working bool
	busy    time.Duration // how long it worked in all
	version []int32       // of each host's state: the number of the batch that wrote it last
	used    []int32
	applied []uint8 // how often each claim took effect
	taken   int     // batches that took effect
	refused int
}

// submit sends b. Batches that are under way at once arrive in any order.
func (s *sharedStore) submit(b *batch) {
	wait := max(0, s.costs.Commit.draw(s.rng)-s.took(s.work.Group+s.work.of(2, 0)))
	s.after(wait, func() {
		s.queue = append(s.queue, b)
		s.take()
	})
}

// took is how long work takes.
func (s *sharedStore) took(work time.Duration) time.Duration {
	return time.Duration(float64(work) / s.costs.Cores)
}

// take begins with what waits, unless it is at work.
func (s *sharedStore) take() {
	if s.working || len(s.queue) == 0 {
		return
	}
	group, end := s.queue, s.now+s.took(s.work.Group)
	s.queue, s.working = nil, true
	for _, b := range group {
		end = s.judge(b, end)
	}
	s.busy += end - s.now
	s.at(end, func() {
		s.working = false
		s.take()
	})
}

// judge decides about b, whose turn comes at a time; it returns when b is
// done.
func (s *sharedStore) judge(b *batch, at time.Duration) (end time.Duration) {
	var lost []expectation
	for _, x := range b.hosts {
		if s.version[x.host] != x.expect {
			lost = append(lost, x)
		}
	}
	if len(lost) > 0 {
		end = at + s.took(s.work.of(b.records(), 0))
		s.refused++
		s.at(end, func() { b.engine.answer(b, lost) })
		return end
	}
	s.taken++
	for _, x := range b.hosts {
		s.version[x.host] = b.number
	}
	for _, c := range b.claims {
		s.used[c.host]++
		s.applied[c.number]++
	}
	end = at + s.took(s.work.of(b.records(), len(s.engines)))
	s.at(end, func() { b.engine.answer(b, nil) })
	for _, e := range s.engines {
		e.heard = max(e.heard, end+s.costs.Feed.draw(s.rng))
		s.at(e.heard, func() { e.apply(b) })
	}
	return end
}

// check compares what happened with what must have: acknowledged is how many
// claims were.
func (s *sharedStore) check(acknowledged int) error {
	total := 0
	for n, times := range s.applied {
		if times > 1 {
			return fmt.Errorf("claim %d took effect %d times", n, times)
		}
		total += int(times)
	}
	if total != acknowledged {
		return fmt.Errorf("%d claims took effect, %d were acknowledged", total, acknowledged)
	}
	for h, used := range s.used {
		if int(used) > s.cfg.Capacity {
			return fmt.Errorf("host %d holds %d, its capacity is %d", h, used, s.cfg.Capacity)
		}
		total -= int(used)
		for k, e := range s.engines {
			if e.used[h] != used || e.version[h] != s.version[h] {
				return fmt.Errorf("engine %d sees %d on host %d, it holds %d", k, e.used[h], h, used)
			}
		}
	}
	if total != 0 {
		return fmt.Errorf("hosts hold %d claims too few", total)
	}
	return nil
}
