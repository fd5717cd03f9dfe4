package bench

import (
	"slices"
	"time"
)

// stopwatch adds up the time spent on deciding and claiming.
type stopwatch struct {
	now    func() time.Time
	begun  time.Time
	total  time.Duration
	claims []time.Duration
}

func (w *stopwatch) start() { w.begun = w.now() }

// stop ends a measurement; a claimed one counts for the percentiles.
func (w *stopwatch) stop(claimed bool) {
	d := w.now().Sub(w.begun)
	w.total += d
	if claimed {
		w.claims = append(w.claims, d)
	}
}

// perSecond returns the claims per second of deciding and claiming.
func (w *stopwatch) perSecond() float64 {
	if w.total <= 0 {
		return 0
	}
	return float64(len(w.claims)) / w.total.Seconds()
}

func (w *stopwatch) percentiles() Latency {
	slices.Sort(w.claims)
	return Latency{P50: micros(percentile(w.claims, 50)), P99: micros(percentile(w.claims, 99))}
}

// percentile returns the nearest rank of sorted values, 0 when there is none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
