package novajudge

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
)

// tally counts what Nova answered, so that a family that tests nothing shows.
type tally struct {
	families map[string]*counts
	filters  map[string]*counts
	excuses  map[string]int
}

// counts of documents, for a family or for a filter.
type counts struct {
	cases, excused, refused, raised, different int
	rejecting, passing                         int // documents in which the filter rejected, passed a host
}

func newTally() tally {
	return tally{map[string]*counts{}, map[string]*counts{}, map[string]int{}}
}

func of(m map[string]*counts, name string) *counts {
	if m[name] == nil {
		m[name] = &counts{}
	}
	return m[name]
}

func (t *tally) differ(family string) { of(t.families, family).different++ }

func (t *tally) add(family string, a *answer) {
	c := of(t.families, family)
	c.cases++
	if a.Excuse != "" {
		c.excused++
		t.excuses[fmt.Sprintf("%.70s", a.Excuse)]++
		return
	}
	switch a.code() {
	case "NoValidHost":
		c.refused++
	case "SchedulerError":
		c.raised++
		t.excuses[fmt.Sprintf("raises: %.90s", a.Error.Message)]++
	}
	for _, f := range a.Filters {
		c := of(t.filters, f.Name)
		c.cases++
		if f.After < f.Before {
			c.rejecting++
		}
		if f.After > 0 {
			c.passing++
		}
	}
}

func (t *tally) write(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	total := counts{}
	_, _ = fmt.Fprintln(w, "family\tcases\texcused\tNoValidHost\tSchedulerError\tdifferent")
	for _, name := range slices.Sorted(maps.Keys(t.families)) {
		c := t.families[name]
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", name, c.cases, c.excused, c.refused, c.raised, c.different)
		total.cases += c.cases
		total.excused += c.excused
		total.refused += c.refused
		total.raised += c.raised
		total.different += c.different
	}
	_, _ = fmt.Fprintf(w, "all\t%d\t%d\t%d\t%d\t%d\n", total.cases, total.excused, total.refused, total.raised, total.different)
	_, _ = fmt.Fprintln(w, "\nfilter\tcases\trejects a host\tpasses a host")
	for _, name := range slices.Sorted(maps.Keys(t.filters)) {
		c := t.filters[name]
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", name, c.cases, c.rejecting, c.passing)
	}
	_, _ = fmt.Fprintln(w, "\nexcuse or error\tcases")
	for _, name := range slices.Sorted(maps.Keys(t.excuses)) {
		_, _ = fmt.Fprintf(w, "%s\t%d\n", name, t.excuses[name])
	}
	_ = w.Flush() // a report that cannot be written has nowhere to say so
}
