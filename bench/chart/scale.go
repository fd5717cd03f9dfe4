package chart

import (
	"errors"
	"fmt"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"

	"github.com/kilonova-cloud/kilonova/bench/scale"
)

// ScaleCurves are the names of what [Scale] can draw.
func ScaleCurves() []string { return []string{"throughput", "conflicts", "staleness"} }

// Scale draws one of [ScaleCurves] against the number of engines, a line for
// each load and number of hosts. The format is "svg" or "png".
func Scale(w io.Writer, format, what string, r *scale.Report) error {
	p := plot.New()
	p.X.Label.Text = "engines on one store"
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, enginesOf(r)
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(4), vg.Points(4)
	p.Legend.Top = true
	value := func(row *scale.Row) float64 { return row.ClaimsPerSecond }
	switch what {
	case "throughput":
		p.Title.Text, p.Y.Label.Text = "Claims of all engines together", "claims/s"
	case "conflicts":
		p.Title.Text, p.Y.Label.Text = "Batches that the store refused", "% of batches"
		value = func(row *scale.Row) float64 { return 100 * row.Conflicts }
	case "staleness":
		p.Title.Text, p.Y.Label.Text = "How late others see an acknowledged claim, p99", "ms"
		value = func(row *scale.Row) float64 { return row.Staleness.P99 }
	default:
		return fmt.Errorf("curve is %q, allowed are: %q", what, ScaleCurves())
	}
	p.Y.Min = 0
	p.Add(plotter.NewGrid())
	names, lines := scaleLines(r, value)
	if len(names) == 0 {
		return errors.New("draw scale: nothing was simulated")
	}
	top := 0.0
	for n, name := range names {
		line, dots, err := plotter.NewLinePoints(lines[name])
		if err != nil {
			return fmt.Errorf("draw %s: %w", name, err)
		}
		line.Color, line.Width = plotutil.Color(n), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(n), plotutil.Shape(n)
		p.Add(line, dots)
		p.Legend.Add(name, line, dots)
		for _, at := range lines[name] {
			top = max(top, at.Y)
		}
	}
	p.Y.Max = 1.3*top + 1 // the legend is above the lines
	return write(w, format, p)
}

// scaleLines returns the lines by name, and the names in their order.
func scaleLines(r *scale.Report, value func(*scale.Row) float64) ([]string, map[string]plotter.XYs) {
	var names []string
	lines := map[string]plotter.XYs{}
	for k := range r.Rows {
		row := &r.Rows[k]
		name := fmt.Sprintf("%s, %d hosts", row.Load(), row.Hosts)
		if lines[name] == nil {
			names = append(names, name)
		}
		lines[name] = append(lines[name], plotter.XY{X: float64(row.Engines), Y: value(row)})
	}
	return names, lines
}

// enginesOf are ticks at the numbers of engines.
func enginesOf(r *scale.Report) plot.ConstantTicks {
	var ticks plot.ConstantTicks
	for k := range r.Rows {
		n := r.Rows[k].Engines
		ticks = append(ticks, plot.Tick{Value: float64(n), Label: fmt.Sprint(n)})
	}
	return ticks
}
