package document

import (
	"errors"
	"math"
	"strconv"

	"github.com/kilonova-cloud/kilonova/scheduler"
)

// Answer is the document that says what was decided.
type Answer struct {
	Selected []Selected `json:"selected"`
	// Placement is what capacity, traits and aggregates left; nil: placement
	// was asked before.
	Placement *FilterResult `json:"placement,omitempty"`
	// Demands is what the request's own demands left; nil: it has none.
	Demands *FilterResult  `json:"demands,omitempty"`
	Filters []FilterResult `json:"filters"`
	Weights []HostWeight   `json:"weights"`
	Error   *Failure       `json:"error"`
}

// Selected is the host of an instance.
type Selected struct {
	Instance   string   `json:"instance"`
	Host       string   `json:"host"`
	Node       string   `json:"nodename"`
	Alternates []string `json:"alternates"` // hosts
}

// FilterResult is what a filter did.
type FilterResult struct {
	Name     string            `json:"name"`
	Before   int               `json:"before"`
	After    int               `json:"after"`
	Rejected map[string]string `json:"rejected"` // reason by host; of two nodes of a host the first counts
}

// HostWeight is the weight of a host.
type HostWeight struct {
	Host     string            `json:"host"`
	Node     string            `json:"nodename"`
	Total    Number            `json:"total"`
	Weighers map[string]Weight `json:"weighers"`
}

// Weight is what a weigher says of a host.
type Weight struct {
	Raw        Number `json:"raw"`
	Normalized Number `json:"normalized"`
	Multiplier Number `json:"multiplier"`
	Weighted   Number `json:"weighted"`
}

// Number is a number, which JSON has no way to write when it is not finite:
// it is a text then, as Python prints it.
type Number float64

// MarshalJSON returns the number.
func (n Number) MarshalJSON() ([]byte, error) {
	switch f := float64(n); {
	case math.IsNaN(f):
		return []byte(`"nan"`), nil
	case math.IsInf(f, 1):
		return []byte(`"inf"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-inf"`), nil
	default:
		return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
	}
}

// Failure says why there is no host.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Nearest []Near `json:"nearest"`
}

// Near is a host that nearly was one.
type Near struct {
	Host   string `json:"host"`
	Reason string `json:"reason"`
}

// The codes of failures.
const (
	NoValidHost    = "NoValidHost"    // all hosts were refused
	SchedulerError = "SchedulerError" // a filter or weigher cannot be evaluated
	InvalidInput   = "InvalidInput"   // the document cannot be read
)

// Of makes the answer of what [scheduler.Pipeline.Select] returned, its error
// included.
func Of(selected []scheduler.Selection, why *scheduler.Explanation, err error) *Answer {
	a := &Answer{Selected: []Selected{}, Filters: []FilterResult{}, Weights: []HostWeight{}}
	for _, s := range selected {
		alternates := make([]string, len(s.Alternates))
		for i, h := range s.Alternates {
			alternates[i] = h.Host
		}
		a.Selected = append(a.Selected, Selected{s.Instance, s.Host.Host, s.Host.Node, alternates})
	}
	a.Placement, a.Demands = perhaps(&why.Placement), perhaps(&why.Demands)
	for i := range why.Filters {
		a.Filters = append(a.Filters, filterResult(&why.Filters[i]))
	}
	for i := range why.Weights {
		a.Weights = append(a.Weights, hostWeight(&why.Weights[i]))
	}
	if err != nil {
		a.Error = failure(err)
	}
	return a
}

// Refused is the answer to a document that cannot be read, for which reason
// err tells.
func Refused(err error) *Answer {
	a := Of(nil, &scheduler.Explanation{}, nil)
	a.Error = &Failure{Code: InvalidInput, Message: err.Error(), Nearest: []Near{}}
	return a
}

// perhaps is nil when the step did not run.
func perhaps(r *scheduler.FilterResult) *FilterResult {
	if r.Name == "" {
		return nil
	}
	out := filterResult(r)
	return &out
}

func filterResult(r *scheduler.FilterResult) FilterResult {
	out := FilterResult{r.Name, r.Before, r.After, make(map[string]string, len(r.Rejected))}
	for i := range r.Rejected {
		host := r.Rejected[i].Host
		if _, has := out.Rejected[host]; !has {
			out.Rejected[host] = r.Rejected[i].Reason.String()
		}
	}
	return out
}

func hostWeight(w *scheduler.HostWeight) HostWeight {
	out := HostWeight{w.Host, w.Node, Number(w.Total), make(map[string]Weight, len(w.Weights))}
	for _, of := range w.Weights {
		out.Weighers[of.Weigher] = Weight{Number(of.Raw), Number(of.Normalized), Number(of.Multiplier), Number(of.Weighted)}
	}
	return out
}

func failure(err error) *Failure {
	f := &Failure{Code: SchedulerError, Message: err.Error(), Nearest: []Near{}}
	if none := (*scheduler.NoValidHostError)(nil); errors.As(err, &none) {
		f.Code = NoValidHost
		for _, r := range none.Nearest() {
			f.Nearest = append(f.Nearest, Near{r.Host, r.Reason.String()})
		}
	}
	return f
}
