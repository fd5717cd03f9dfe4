package chart

import (
	"fmt"
	"image/color"
	"io"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"

	"github.com/kilonova-cloud/kilonova/bench"
)

// Size of a drawing, and the most points of one line.
const (
	width, height = 7 * vg.Inch, 4.5 * vg.Inch
	maxPoints     = 400
)

// Curve writes the curve of a report. The format is "svg" or "png".
func Curve(w io.Writer, format string, r *bench.GPUReport) error {
	p := plot.New()
	p.Title.Text = fmt.Sprintf("%s (%s), %s: %d of %d tasks placed on %d nodes", r.Trace, r.Variant, r.Policy, r.Placed, r.Tasks, r.Nodes)
	p.X.Label.Text = "GPU requested, % of the cluster"
	p.Y.Label.Text = "allocated, % of the cluster"
	p.Y.Min, p.Y.Max = 0, 100
	p.Legend.XOffs, p.Legend.YOffs = -vg.Points(10), vg.Points(10) // bottom right, where no line comes
	p.Title.Padding, p.X.Padding, p.Y.Padding = vg.Points(6), vg.Points(4), vg.Points(4)
	p.Add(plotter.NewGrid())
	points := thin(r.Curve)
	p.X.Min, p.X.Max = 0, lastTick(points)
	for _, s := range []struct {
		name  string
		color color.Color
		dash  []vg.Length
		value func(bench.Point) float64
	}{
		{"all that is requested", color.Gray{Y: 150}, []vg.Length{4, 3}, func(p bench.Point) float64 { return min(1, p.RequestedGPU) }},
		{"GPU", color.RGBA{R: 0xd6, G: 0x27, B: 0x28, A: 0xff}, nil, func(p bench.Point) float64 { return p.AllocatedGPU }},
		{"CPU", color.RGBA{R: 0x1f, G: 0x77, B: 0xb4, A: 0xff}, nil, func(p bench.Point) float64 { return p.AllocatedCPU }},
		{"memory", color.RGBA{R: 0x2c, G: 0xa0, B: 0x2c, A: 0xff}, nil, func(p bench.Point) float64 { return p.AllocatedMemory }},
	} {
		xys := make(plotter.XYs, len(points))
		for i, p := range points {
			xys[i] = plotter.XY{X: 100 * p.RequestedGPU, Y: 100 * s.value(p)}
		}
		line, err := plotter.NewLine(xys)
		if err != nil {
			return fmt.Errorf("draw %s: %w", s.name, err)
		}
		line.Color, line.Width, line.Dashes = s.color, vg.Points(1.5), s.dash
		p.Add(line)
		p.Legend.Add(s.name, line)
	}
	return write(w, format, p)
}

func write(w io.Writer, format string, p *plot.Plot) error {
	if format != "svg" && format != "png" {
		return fmt.Errorf("format is %q, allowed are: svg, png", format)
	}
	out, err := p.WriterTo(width, height, format)
	if err == nil {
		_, err = out.WriteTo(w)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", format, err)
	}
	return nil
}

// lastTick is where the X axis ends, in per cent: a whole ten, at least 100.
func lastTick(points []bench.Point) float64 {
	last := 1.0
	for _, p := range points {
		last = max(last, p.RequestedGPU)
	}
	return 10 * math.Ceil(10*last)
}

// thin keeps at most maxPoints points, the first and the last among them.
func thin(points []bench.Point) []bench.Point {
	if len(points) <= maxPoints {
		return points
	}
	out := make([]bench.Point, maxPoints)
	for i := range out {
		out[i] = points[i*(len(points)-1)/(maxPoints-1)]
	}
	return out
}
