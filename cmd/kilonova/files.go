package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kilonova-cloud/kilonova/bench"
	"github.com/kilonova-cloud/kilonova/bench/chart"
)

// outFile is one file of the out directory.
type outFile struct {
	name  string
	write func(io.Writer) error
}

// write puts the report and, unless gpu is nil, its curve and plots into the
// out directory, if there is one, and says so on stderr.
func (f *traceFlags) write(stderr io.Writer, report any, gpu *bench.GPUReport) error {
	if f.out == "" {
		return nil
	}
	files := []outFile{{"report.json", func(w io.Writer) error { return writeJSON(w, report) }}}
	if gpu != nil {
		files = append(files,
			outFile{"curve.csv", gpu.WriteCurve},
			outFile{"curve.svg", func(w io.Writer) error { return chart.Curve(w, "svg", gpu) }},
			outFile{"curve.png", func(w io.Writer) error { return chart.Curve(w, "png", gpu) }},
		)
	}
	for _, file := range files {
		path := filepath.Join(f.out, file.name)
		if err := writeFile(path, file.write); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(stderr, "wrote %s\n", path)
	}
	return nil
}

func writeFile(path string, write func(io.Writer) error) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
