package chart

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/kilonova-cloud/kilonova/bench"
)

// Scheduling draws what a decision costs against the number of hosts, a line
// for each profile, policy and number of shapes, and one for each peer. Both
// axes are logarithmic. The format is "svg" or "png".
func Scheduling(w io.Writer, format string, r *bench.SchedulingReport) error {
	if len(r.Rows) == 0 {
		return errors.New("draw scheduling: nothing was measured")
	}
	p := plot.New()
	p.Title.Text = "Processor time of a decision"
	p.X.Label.Text, p.Y.Label.Text = "hosts", "microseconds"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(4), vg.Points(4)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	names, lines := schedulingLines(r)
	for n, name := range names {
		xys := lines[name]
		slices.SortFunc(xys, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, dots, err := plotter.NewLinePoints(xys)
		if err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		line.Color, line.Width = plotutil.Color(n), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(n), plotutil.Shape(n)
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
	}
	return write(w, format, p)
}

// schedulingLines returns the lines by name, and the names in their order.
func schedulingLines(r *bench.SchedulingReport) ([]string, map[string]plotter.XYs) {
	var names []string
	lines := map[string]plotter.XYs{}
	add := func(name string, hosts int, cpu float64) {
		if cpu <= 0 {
			return // a logarithm has no place for it
		}
		if lines[name] == nil {
			names = append(names, name)
		}
		lines[name] = append(lines[name], plotter.XY{X: float64(hosts), Y: cpu})
	}
	for _, m := range r.Rows {
		add(fmt.Sprintf("%s, %s, %d shapes", m.Profile, m.Policy, m.Shapes), m.Hosts, m.CPU)
	}
	for _, p := range r.Peers {
		add(p.Peer, p.Hosts, p.CPU)
	}
	return names, lines
}
