package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// parseCPUs reads a set of CPUs such as "0-3,^2,8" and returns it ascending.
//
// Source: nova, virt/hardware.py, parse_cpu_spec.
func parseCPUs(field, text string) ([]int, error) {
	in, out := map[int]bool{}, map[int]bool{}
	for rule := range strings.SplitSeq(text, ",") {
		rule = pyvalue.Strip(rule)
		if rule == "" {
			continue
		}
		to := in
		ids, reject := strings.CutPrefix(rule, "^")
		if reject {
			to = out
		}
		first, last, isRange := strings.Cut(ids, "-")
		if !isRange {
			last = first
		}
		a, okFirst := pyvalue.ParseInt(first)
		b, okLast := pyvalue.ParseInt(last)
		if !okFirst || !okLast || a < 0 || a > b || b > maxCPU {
			return nil, &FieldError{field, text, fmt.Sprintf("CPUs from 0 to %d such as 0-3,^2,8", maxCPU)}
		}
		for cpu := a; cpu <= b; cpu++ {
			to[int(cpu)] = true
		}
	}
	var cpus []int
	for cpu := range in {
		if !out[cpu] {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return cpus, nil
}

func upTo(n int) []int {
	cpus := make([]int, n)
	for i := range cpus {
		cpus[i] = i
	}
	return cpus
}

// both returns what is in a and in b, which are ascending.
func both(a, b []int) []int { return choose(a, b, true) }

// without returns what is in a but not in b, which are ascending.
func without(a, b []int) []int { return choose(a, b, false) }

func choose(a, b []int, in bool) []int {
	var c []int
	for _, n := range a {
		if _, has := slices.BinarySearch(b, n); has == in {
			c = append(c, n)
		}
	}
	return c
}
