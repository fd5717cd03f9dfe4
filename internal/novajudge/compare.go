package novajudge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// answer is an output document.
type answer struct {
	Excuse   string      `json:"excuse,omitempty"`
	Selected []selection `json:"selected"`
	Filters  []stage     `json:"filters"`
	Weights  []weight    `json:"weights"`
	Error    *failure    `json:"error"`
}

type selection struct {
	Instance   string   `json:"instance"`
	Host       string   `json:"host"`
	Alternates []string `json:"alternates"`
}

type stage struct {
	Name     string `json:"name"`
	Before   int    `json:"before"`
	After    int    `json:"after"`
	Rejected hosts  `json:"rejected"`
}

// hosts are names; the reasons that kilonova adds are not compared.
type hosts []string

// UnmarshalJSON takes a list of names, or an object that they are keys of.
func (h *hosts) UnmarshalJSON(text []byte) error {
	var reasons map[string]json.RawMessage
	if json.Unmarshal(text, &reasons) == nil {
		*h = slices.Sorted(maps.Keys(reasons))
		return nil
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return err
	}
	slices.Sort(list)
	*h = list
	return nil
}

type weight struct {
	Host     string           `json:"host"`
	Total    float64          `json:"total"`
	Weighers map[string]parts `json:"weighers"`
}

type parts struct {
	Raw        float64 `json:"raw"`
	Normalized float64 `json:"normalized"`
	Weighted   float64 `json:"weighted"`
}

type failure struct {
	Code    string `json:"code"`
	Message string `json:"message,omitempty"`
}

func (a *answer) code() string {
	if a.Error == nil {
		return ""
	}
	return a.Error.Code
}

// Compare lists what differs between two output documents, Nova's and
// kilonova's, in words; nil if nothing does. It returns an error for what is
// no output document.
func Compare(want, got []byte) ([]string, error) {
	nova, err := readAnswer(want)
	if err != nil {
		return nil, err
	}
	ours, err := readAnswer(got)
	if err != nil {
		return nil, err
	}
	return differences(nova, ours), nil
}

// differences lists what differs, in words; nil if nothing does. Numbers are
// compared exactly; zero has no sign. After an error in a filter or a weigher
// only the error is compared: how far the others came is nobody's business.
func differences(want, got *answer) []string {
	var d []string
	add := func(what string, want, got any) {
		d = append(d, fmt.Sprintf("%s: Nova %v, kilonova %v", what, want, got))
	}
	if want.code() != got.code() {
		add(fmt.Sprintf("error %s/%s", want.code(), got.code()), describe(want.Error), describe(got.Error))
		return d
	}
	if len(want.Selected) != len(got.Selected) {
		add("selected", want.Selected, got.Selected)
	} else {
		for i, w := range want.Selected {
			g := got.Selected[i]
			if w.Instance != g.Instance || w.Host != g.Host || !slices.Equal(w.Alternates, g.Alternates) {
				add(fmt.Sprintf("selected[%d]", i), w, g)
			}
		}
	}
	if want.code() == "SchedulerError" {
		return d
	}
	d = append(d, filterDifferences(want.Filters, got.Filters)...)
	return append(d, weightDifferences(want.Weights, got.Weights)...)
}

func describe(f *failure) string {
	if f == nil {
		return "none"
	}
	return strings.TrimSpace(f.Code + " " + f.Message)
}

func filterDifferences(want, got []stage) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("filters: Nova %+v, kilonova %+v", want, got)}
	}
	var d []string
	for i, w := range want {
		g := got[i]
		if w.Name != g.Name || w.Before != g.Before || w.After != g.After || !slices.Equal(w.Rejected, g.Rejected) {
			d = append(d, fmt.Sprintf("filters[%d]: Nova %+v, kilonova %+v", i, w, g))
		}
	}
	return d
}

func weightDifferences(want, got []weight) []string {
	if len(want) != len(got) {
		return []string{fmt.Sprintf("weights: Nova has %d hosts, kilonova %d", len(want), len(got))}
	}
	var d []string
	for i, w := range want {
		g := got[i]
		if w.Host != g.Host || w.Total != g.Total {
			d = append(d, fmt.Sprintf("weights[%d]: Nova %s %v, kilonova %s %v", i, w.Host, w.Total, g.Host, g.Total))
		}
		if w.Host != g.Host {
			continue
		}
		names := slices.Collect(maps.Keys(w.Weighers))
		for name := range g.Weighers {
			if _, both := w.Weighers[name]; !both {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			nova, has := w.Weighers[name]
			ours, have := g.Weighers[name]
			if nova != ours || has != have {
				d = append(d, fmt.Sprintf("weights[%d] of %s, %s: Nova %+v, kilonova %+v", i, w.Host, name, nova, ours))
			}
		}
	}
	return d
}
