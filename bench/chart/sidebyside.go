package chart

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Comparison is what two contestants, A and B, needed for the same things.
type Comparison struct {
	Title, Unit string
	A, B        string // their names
	Pairs       []Pair // drawn from the bottom up
}

// Pair is one thing; what was not measured is 0.
type Pair struct {
	Name string
	A, B float64
}

// SideBySide draws a comparison on a logarithmic axis: a dot for each
// contestant and a line between the two. The format is "svg" or "png".
func SideBySide(w io.Writer, format string, c Comparison) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text = c.Title, c.Unit
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Title.Padding, p.X.Padding = vg.Points(6), vg.Points(4)
	p.Legend.Top, p.Legend.YOffs = true, vg.Points(4)
	p.Add(plotter.NewGrid())
	var a, b plotter.XYs
	names := make([]string, len(c.Pairs))
	for i, pair := range c.Pairs {
		names[i] = pair.Name
		if pair.A <= 0 || pair.B <= 0 {
			continue // a logarithm has no place for it
		}
		at := float64(i)
		a, b = append(a, plotter.XY{X: pair.A, Y: at}), append(b, plotter.XY{X: pair.B, Y: at})
		line, err := plotter.NewLine(plotter.XYs{{X: pair.A, Y: at}, {X: pair.B, Y: at}})
		if err != nil {
			return fmt.Errorf("draw %s: %w", pair.Name, err)
		}
		line.Color = color.Gray{Y: 180}
		p.Add(line)
	}
	if len(a) == 0 {
		return fmt.Errorf("draw %q: nothing was measured on both sides", c.Title)
	}
	p.NominalY(names...)
	p.Y.Min, p.Y.Max = -0.5, float64(len(names))
	for _, s := range []struct {
		name  string
		xys   plotter.XYs
		color color.Color
	}{{c.A, a, color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}}, {c.B, b, color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}}} {
		dots, err := plotter.NewScatter(s.xys)
		if err != nil {
			return fmt.Errorf("draw %s: %w", s.name, err)
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: s.color, Radius: vg.Points(4), Shape: draw.CircleGlyph{}}
		p.Add(dots)
		p.Legend.Add(s.name, dots)
	}
	return write(w, format, p)
}
