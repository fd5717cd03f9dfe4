package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/kilonova-cloud/kilonova/bench/chart"
)

// packed is a task list of OpenB with its marks, in per cent of the GPUs.
type packed struct {
	variant     string
	at          int // per cent requested
	floor, goal float64
}

var packedVariants = []packed{
	{"default", 130, 95.4, 96.0},
	{"multigpu50", 130, 97.2, 97.5},
	{"gpushare40", 130, 94.2, 94.8},
	{"gpuspec33", 100, 87.8, 89},
}

// seeds returns what every seed of a policy measured.
func (f figures) seeds(variant, policy, unit string) []float64 {
	var all []float64
	for seed := 42; seed < 52; seed++ {
		all = append(all, f[fmt.Sprintf("Packing/openb-%s/%s/seed=%d %s", variant, policy, seed, unit)]...)
	}
	return all
}

// allocated is the median over the seeds; 0 when nothing was measured.
func (p *packed) allocated(f figures, policy string) float64 {
	return middle(f.seeds(p.variant, policy, p.unit()))
}

func (p *packed) unit() string { return fmt.Sprintf("gpu-%%-at-%d", p.at) }

func packingTable(out *bytes.Buffer, f figures) {
	policies := []string{"fgd", "fgd-paper", "best-fit", "first-fit", "worst-fit", "random"}
	head := "| OpenB, % of GPUs allocated, medians | " + strings.Join(policies, " | ") + " | floor | goal | fgd meets |\n"
	out.WriteString(head + strings.Repeat("|---", len(policies)+4) + "|\n")
	for _, p := range packedVariants {
		_, _ = fmt.Fprintf(out, "| %s, %d %% requested |", p.variant, p.at)
		for _, policy := range policies {
			cell := "-"
			if n := len(f.seeds(p.variant, policy, p.unit())); n > 0 {
				cell = fmt.Sprintf("%.2f (%d)", p.allocated(f, policy), n)
			}
			_, _ = fmt.Fprintf(out, " %s |", cell)
		}
		mark := tableRow{floor: p.floor, goal: p.goal}
		_, _ = fmt.Fprintf(out, " %.1f | %.1f | %s |\n", p.floor, p.goal, mark.met(p.allocated(f, "fgd")))
	}
	numaTable(out, f)
}

// numaTable says what was placed of 4,998 requests, and on how many hosts.
func numaTable(out *bytes.Buffer, f figures) {
	out.WriteString("\n| Huawei NUMA, placed / hosts used | fgd | best-fit | first-fit | most that can be placed |\n|---|---|---|---|---|\n")
	for _, sequence := range []string{"C1", "C2", "C3", "C4", "C5"} {
		_, _ = fmt.Fprintf(out, "| %s |", sequence)
		for _, policy := range []string{"fgd", "best-fit", "first-fit"} {
			name := "Packing/numa-" + sequence + "/" + policy
			_, _ = fmt.Fprintf(out, " %.0f / %.0f |", f.median(name+" placed"), f.median(name+" hosts"))
		}
		_, _ = fmt.Fprintf(out, " %.0f |\n", f.median("Packing/numa-"+sequence+"/fgd bound"))
	}
}

// packingPlot draws the GPUs that stay free.
func packingPlot(w io.Writer, f figures) error {
	var pairs []chart.Pair
	for _, p := range packedVariants {
		pairs = append(pairs, chart.Pair{
			Name: fmt.Sprintf("%s, %d %%", p.variant, p.at), A: 100 - p.allocated(f, "fgd"), B: 100 - p.allocated(f, "best-fit"),
		})
	}
	return chart.SideBySide(w, "svg", chart.Comparison{
		Title: "GPUs of OpenB that stay free, by task list and share requested", Unit: "% of all GPUs, logarithmic", A: "fgd", B: "best-fit", Pairs: pairs,
	})
}
