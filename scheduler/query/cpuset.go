package query

import (
	"fmt"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// dedicatedCPUs returns how many CPUs of a mixed instance are pinned: those of
// hw:cpu_dedicated_mask, else the realtime ones.
//
// Source: nova, virt/hardware.py, get_dedicated_cpu_constraint and
// get_realtime_cpu_constraint.
func (b *build) dedicatedCPUs() (int64, error) {
	pinned, err := b.masked("hw:cpu_dedicated_mask", b.flavor.ExtraSpecs["hw:cpu_dedicated_mask"])
	if err == nil && pinned != nil && (len(pinned) == 0 || int64(len(pinned)) == b.flavor.VCPUs) {
		err = refuse("extra spec hw:cpu_dedicated_mask is %q, allowed are: some CPUs and not all", b.flavor.ExtraSpecs["hw:cpu_dedicated_mask"])
	}
	if err != nil {
		return 0, err
	}
	realtime, err := b.realtimeCPUs()
	if len(pinned) > 0 {
		return int64(len(pinned)), err
	}
	return int64(len(realtime)), err
}

func (b *build) realtimeCPUs() (map[int64]struct{}, error) {
	if !pyvalue.Bool(b.flavor.ExtraSpecs["hw:cpu_realtime"]) {
		return nil, nil
	}
	mask, image := b.both("hw", "cpu_realtime_mask")
	if image != "" {
		mask = image
	}
	if mask == "" {
		mask = fmt.Sprintf("0-%d", b.flavor.VCPUs-1)
	}
	cpus, err := b.masked("hw:cpu_realtime_mask", mask)
	if err != nil {
		return nil, err
	}
	all := int64(len(cpus)) == b.flavor.VCPUs && b.flavor.ExtraSpecs["hw:emulator_threads_policy"] == ""
	if len(cpus) == 0 || all {
		return nil, refuse("hw:cpu_realtime_mask is %q, allowed are: some CPUs, and all only with hw:emulator_threads_policy", mask)
	}
	return cpus, nil
}

// masked reads a set of the flavor's CPUs, nil for no mask. One that begins
// with an exclusion begins with all CPUs.
func (b *build) masked(key, mask string) (map[int64]struct{}, error) {
	if mask == "" {
		return nil, nil
	}
	text := mask
	if strings.HasPrefix(pyvalue.Strip(mask), "^") {
		text = fmt.Sprintf("0-%d,%s", b.flavor.VCPUs-1, mask)
	}
	cpus, ok := parseCPUs(text, b.flavor.VCPUs)
	if !ok {
		return nil, refuse("%s is %q, allowed are: CPUs below %d, such as 0-3,^2", key, mask, b.flavor.VCPUs)
	}
	return cpus, nil
}

// parseCPUs reads a set of CPUs: numbers, ranges, and exclusions behind a
// caret, which count last. It reports false for anything else, and for a set
// with a CPU that is not below most. CPUs are below 65536.
//
// Source: nova, virt/hardware.py, parse_cpu_spec.
func parseCPUs(text string, most int64) (map[int64]struct{}, bool) {
	in, out, fits := map[int64]struct{}{}, map[int64]struct{}{}, true
	for rule := range strings.SplitSeq(text, ",") {
		rule = pyvalue.Strip(rule)
		if rule == "" {
			continue
		}
		rule, excluded := strings.CutPrefix(rule, "^")
		from, to, ok := cpuRange(rule)
		if !ok {
			return nil, false
		}
		for n := from; n <= to; n++ {
			if excluded {
				out[n] = struct{}{}
			} else {
				in[n] = struct{}{}
			}
		}
	}
	for n := range out {
		delete(in, n)
	}
	for n := range in {
		fits = fits && n < most
	}
	return in, fits
}

// maxCPUs bounds the work that a text can ask for. No host has so many.
const maxCPUs = 1 << 16

func cpuRange(rule string) (from, to int64, ok bool) {
	first, last, isRange := strings.Cut(rule, "-")
	from, ok = pyvalue.ParseInt(first)
	if !isRange || !ok {
		return from, from, ok && from < maxCPUs
	}
	to, ok = pyvalue.ParseInt(last)
	return from, to, ok && from <= to && to < maxCPUs
}
