package chart

import (
	"fmt"
	"io"

	"github.com/kilonova-cloud/kilonova/bench"
)

// Scheduling draws what a decision costs against the number of hosts, a line
// for each profile, policy and number of shapes, and one for each peer. Both
// axes are logarithmic. The format is "svg" or "png".
func Scheduling(w io.Writer, format string, r *bench.SchedulingReport) error {
	g := Growth{Title: "Processor time of a decision", X: "hosts", Y: "microseconds"}
	for _, m := range r.Rows {
		g.Add(fmt.Sprintf("%s, %s, %d shapes", m.Profile, m.Policy, m.Shapes), float64(m.Hosts), m.CPU)
	}
	for _, p := range r.Peers {
		g.Add(p.Peer, float64(p.Hosts), p.CPU)
	}
	return g.Draw(w, format)
}
