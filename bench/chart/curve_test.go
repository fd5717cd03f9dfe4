package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image/png"
	"io"
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench"
)

func report(points int) *bench.GPUReport {
	r := &bench.GPUReport{Trace: "openb", Variant: "default", Policy: "best-fit", Placed: 1, Tasks: 2, Nodes: 3}
	for i := range points {
		share := float64(i) / float64(points)
		r.Curve = append(r.Curve, bench.Point{RequestedGPU: share * 1.3, AllocatedGPU: share, AllocatedCPU: share / 2})
	}
	return r
}

func TestCurve(t *testing.T) {
	t.Parallel()
	var svg, picture bytes.Buffer
	if err := Curve(&svg, "svg", report(10_000)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(svg.String(), "1 of 2 tasks placed on 3 nodes") || svg.Len() > 200_000 {
		t.Errorf("SVG of %d bytes", svg.Len())
	}
	d := xml.NewDecoder(&svg)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("SVG is not XML: %v", err)
		}
	}
	if err := Curve(&picture, "png", report(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := png.Decode(&picture); err != nil {
		t.Error(err)
	}
	if err := Curve(io.Discard, "gif", report(2)); err == nil || err.Error() != `format is "gif", allowed are: svg, png` {
		t.Errorf("got %v", err)
	}
}

func TestThin(t *testing.T) {
	t.Parallel()
	points := report(9001).Curve
	got := thin(points)
	if len(got) != maxPoints || got[0] != points[0] || got[maxPoints-1] != points[9000] {
		t.Errorf("got %d points, %v to %v", len(got), got[0], got[len(got)-1])
	}
}
