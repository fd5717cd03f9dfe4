package router

import "time"

// health is what is known of whether a cell answers. It is pure: what
// happened comes in, with the time.
type health struct {
	away     bool
	since    time.Time // away: the moment when that was noticed
	reason   error     // away: what it was noticed by
	answered time.Time // the last answer
	asked    time.Time // when the first call began that got no answer since; zero: there is none
}

// answer notes that the cell has said something.
func (h *health) answer(now time.Time) {
	h.away, h.reason, h.asked = false, nil, time.Time{}
	h.answered = now
}

// silence notes that a call which began at start has ended without an answer,
// since its time was over. The cell is away when it was asked in vain for as
// long as patience. Whatever began before the last answer tells nothing.
func (h *health) silence(start, now time.Time, patience time.Duration) {
	if h.away || start.Before(h.answered) {
		return
	}
	if h.asked.IsZero() || start.Before(h.asked) {
		h.asked = start
	}
	if now.Sub(h.asked) >= patience {
		h.leave(now, errNoAnswer)
	}
}

// patience is how long a cell is asked in vain before it is away: nearly
// timeout, since a call that is given timeout begins a moment after its time
// does, and would else end a moment too early to tell.
func patience(timeout time.Duration) time.Duration { return timeout * 9 / 10 }

// failure notes that a call which began at start was told that the cell is
// away.
func (h *health) failure(start, now time.Time, err error) {
	if !h.away && !start.Before(h.answered) {
		h.leave(now, err)
	}
}

func (h *health) leave(now time.Time, err error) { h.away, h.since, h.reason = true, now, err }

// backoff is how long to wait before a cell is probed once more. It is pure.
type backoff struct {
	longest time.Duration
	wait    time.Duration // before the next probe; 0: at once
	well    time.Time     // since when the cell answers; zero: it does not
}

// firstWait is the wait after a probe in vain.
const firstWait = 50 * time.Millisecond

// failed notes a probe in vain.
func (b *backoff) failed() {
	b.well = time.Time{}
	b.wait = min(max(2*b.wait, firstWait), b.longest)
}

// recovered notes that the cell answers.
func (b *backoff) recovered(now time.Time) {
	if b.well.IsZero() {
		b.well = now
	}
}

// before returns the wait before the first probe of a cell that has just been
// found away: none, unless it was found so shortly after it had recovered.
// Then it answers probes but not calls, and waits get longer all the same.
func (b *backoff) before(now time.Time) time.Duration {
	if b.well.IsZero() {
		return b.wait
	}
	if now.Sub(b.well) >= b.longest {
		b.wait = 0
	} else {
		b.wait = min(max(2*b.wait, firstWait), b.longest)
	}
	b.well = time.Time{}
	return b.wait
}
