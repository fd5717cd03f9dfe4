package weigh

import "github.com/kilonova-cloud/kilonova/scheduler"

// hostOnly is a weigher whose score does not depend on the request.
type hostOnly struct {
	name       string
	reads      scheduler.Reads
	multiplier scheduler.Multiplier
	floored    bool // at 0
	score      func(h *scheduler.HostState) float64
}

// Name returns the weigher's name.
func (w *hostOnly) Name() string { return w.name }

// Reads returns what the weigher looks at.
func (w *hostOnly) Reads() scheduler.Reads { return w.reads }

// Multiplier returns the weigher's multiplier.
func (w *hostOnly) Multiplier() scheduler.Multiplier { return w.multiplier }

// Floor is 0 or none.
func (w *hostOnly) Floor() (float64, bool) { return 0, w.floored }

// Weigh scores one host after the other.
func (w *hostOnly) Weigh(_ *scheduler.Request, hosts []*scheduler.HostState, raw []float64) error {
	for i, h := range hosts {
		raw[i] = w.score(h)
	}
	return nil
}
