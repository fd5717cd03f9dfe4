package chart_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/kilonova-cloud/kilonova/bench/chart"
	"github.com/kilonova-cloud/kilonova/bench/scale"
)

// TestScaleIsDrawnFromTheData keeps the plots of docs/scale.md true to
// bench/results.
func TestScaleIsDrawnFromTheData(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../results/scale.json")
	if err != nil {
		t.Fatal(err)
	}
	var report scale.Report
	if err := json.Unmarshal(data, &report); err != nil {
		t.Fatal(err)
	}
	for _, name := range chart.ScaleCurves() {
		var drawn bytes.Buffer
		if err := chart.Scale(&drawn, "svg", name, &report); err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile("../../docs/scale-" + name + ".svg"); err != nil || !bytes.Equal(kept, drawn.Bytes()) {
			t.Errorf("docs/scale-%s.svg is not what bench/results/scale.json says: run make scale, %v", name, err)
		}
	}
	if err := chart.Scale(&bytes.Buffer{}, "svg", "other", &report); err == nil {
		t.Error("drew a curve that is not there")
	}
	if err := chart.Scale(&bytes.Buffer{}, "svg", "conflicts", &scale.Report{}); err == nil {
		t.Error("drew nothing")
	}
}
