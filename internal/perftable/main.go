// Command perftable reads what was measured on its standard input (the output
// of go test -bench; for the table "scheduler", the report of kilonova bench
// scheduler) and writes a table of docs/performance.md: each figure's median
// beside its floor, its goal and what was measured with it in the same run.
// The tables "http", "cells", "packing" and "scheduler"
// come with a plot.
//
//	go run ./internal/perftable placement docs <bench/results/placement.txt
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if len(os.Args) != 3 || tables[os.Args[1]].write == nil {
		fmt.Fprintln(os.Stderr, "usage: perftable placement|http|etcd|bus|sim|cells|packing|scheduler FOLDER <RESULTS")
		os.Exit(2)
	}
	if err := update(os.Args[1], os.Args[2], os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "perftable:", err)
		os.Exit(1)
	}
}

// A table stands between two marks of the page; plot is nil for none.
type table struct {
	results string // file of bench/results
	begin   string
	read    func(io.Reader) (figures, error)
	write   func(*bytes.Buffer, figures)
	plot    func(io.Writer, figures) error
}

const end = "<!-- end of figures -->\n"

var tables = map[string]table{
	"placement": {"placement.txt", "<!-- figures: made by make perf -->\n", readBench, placementTable, nil},
	"http":      {"http.txt", "<!-- figures: made by make perf-http -->\n", readBench, httpTable, httpPlot},
	"etcd":      {"etcd.txt", "<!-- figures: made by make perf-etcd -->\n", readBench, etcdTable, nil},
	"bus":       {"bus.txt", "<!-- figures: made by make perf-bus -->\n", readBench, busTable, nil},
	"sim":       {"sim.txt", "<!-- figures: made by make perf-sim -->\n", readBench, simTable, nil},
	"cells":     {"cells.txt", "<!-- figures: made by make perf-cells -->\n", readBench, cellsTable, mappingsPlot},
	"packing":   {"packing.txt", "<!-- figures: made by make packing -->\n", readBench, packingTable, packingPlot},
	"scheduler": {"scheduler.json", "<!-- figures: made by make perf-scheduler -->\n", readScheduling, schedulingTable, schedulingPlot},
}

// update replaces what stands between the marks in performance.md of a
// folder, and the plot beside it.
func update(name, folder string, in io.Reader) error {
	file, t := filepath.Join(folder, "performance.md"), tables[name]
	data, err := t.read(in)
	if err != nil {
		return fmt.Errorf("read results: %w", err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read page: %w", err)
	}
	out, err := t.replace(page, data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if t.plot != nil {
		var plot bytes.Buffer
		if err := t.plot(&plot, data); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+".svg"), plot.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(file, out, 0o644)
}

// replace returns the page with the table of data.
func (t table) replace(page []byte, data figures) ([]byte, error) {
	head, rest, ok := bytes.Cut(page, []byte(t.begin))
	_, tail, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		return nil, fmt.Errorf("the marks %q and %q are not there", t.begin, end)
	}
	var out bytes.Buffer
	out.Write(head)
	out.WriteString(t.begin)
	t.write(&out, data)
	out.WriteString(end)
	out.Write(tail)
	return out.Bytes(), nil
}

// figures are the values of each metric, by benchmark and unit.
type figures map[string][]float64

var errEmpty = errors.New("no benchmark lines")

func readBench(in io.Reader) (figures, error) {
	f := figures{}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if at := strings.LastIndexByte(name, '-'); at > 0 && !strings.ContainsFunc(name[at+1:], notDigit) {
			name = name[:at] // the number of processors
		}
		for k := 2; k+1 < len(fields); k += 2 {
			v, err := strconv.ParseFloat(fields[k], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is no number", fields[0], fields[k])
			}
			f[name+" "+fields[k+1]] = append(f[name+" "+fields[k+1]], v)
		}
	}
	if len(f) == 0 {
		return nil, errors.Join(errEmpty, lines.Err())
	}
	return f, lines.Err()
}

func (f figures) median(key string) float64 { return middle(f[key]) }

// middle is the median; 0 when there is none.
func middle(values []float64) float64 {
	v := slices.Clone(values)
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func notDigit(r rune) bool { return r < '0' || r > '9' }
