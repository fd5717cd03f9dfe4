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
)

// Growth is what things cost against how much there is, a line for each.
type Growth struct {
	Title, X, Y string // Y is the unit of costs
	lines       []growing
}

type growing struct {
	name   string
	points plotter.XYs
}

// Add adds a point to the line of a name. A cost that is not above 0, for which
// a logarithm has no place, is left out.
func (g *Growth) Add(name string, x, y float64) {
	if y <= 0 {
		return
	}
	n := slices.IndexFunc(g.lines, func(l growing) bool { return l.name == name })
	if n < 0 {
		n, g.lines = len(g.lines), append(g.lines, growing{name: name})
	}
	g.lines[n].points = append(g.lines[n].points, plotter.XY{X: x, Y: y})
}

// Draw draws it with logarithmic axes. The format is "svg" or "png".
func (g *Growth) Draw(w io.Writer, format string) error {
	if len(g.lines) == 0 {
		return errors.New("draw growth: nothing was measured")
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = g.Title, g.X, g.Y
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(4), vg.Points(4)
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	for n, l := range g.lines {
		slices.SortFunc(l.points, func(a, b plotter.XY) int { return cmp.Compare(a.X, b.X) })
		line, dots, err := plotter.NewLinePoints(l.points)
		if err != nil {
			return fmt.Errorf("draw %s: %w", l.name, err)
		}
		line.Color, line.Width = plotutil.Color(n), vg.Points(1.5)
		dots.Color, dots.Shape = plotutil.Color(n), plotutil.Shape(n)
		p.Add(line, dots)
		p.Legend.Add(l.name, line, dots)
	}
	return write(w, format, p)
}
