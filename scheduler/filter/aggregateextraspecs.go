package filter

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// aggregateExtraSpecs compares the flavor's extra specs with the metadata of
// the host's aggregates.
//
// Source: nova, scheduler/filters/aggregate_instance_extra_specs.py,
// AggregateInstanceExtraSpecsFilter.
type aggregateExtraSpecs struct{ base }

func newAggregateExtraSpecs(*scheduler.Options) (scheduler.Filter, error) {
	return &aggregateExtraSpecs{base{
		"AggregateInstanceExtraSpecsFilter", scheduler.ReadsAggregates | scheduler.ReadsRequest,
	}}, nil
}

// Scope leaves out flavors without an extra spec that is looked at.
func (*aggregateExtraSpecs) Scope(s *scheduler.RequestSpec) scheduler.Scope {
	matters := false
	for key := range s.Flavor.ExtraSpecs {
		_, looked := aggregateKey(key)
		matters = matters || looked
	}
	return where(matters, scheduler.FirstInstance)
}

// aggregateKey returns the metadata key that an extra spec is about, and
// whether it is about one at all. Only the first colon ends a scope.
func aggregateKey(key string) (string, bool) {
	scope, name, scoped := strings.Cut(key, ":")
	if !scoped {
		return key, true
	}
	return name, scope == "aggregate_instance_extra_specs"
}

// Pass wants each extra spec to be met by a value of some aggregate. When
// several are not, the first in the order of the alphabet is the reason.
func (*aggregateExtraSpecs) Pass(r *scheduler.Request, h *scheduler.HostState) (scheduler.Reason, error) {
	var reason scheduler.Reason
	var failure error
	failed, found := "", false
	for key, requirement := range r.Spec.Flavor.ExtraSpecs {
		name, ok := aggregateKey(key)
		if !ok || found && key > failed {
			continue
		}
		if why, err := aggregateMeets(h, key, name, requirement); err != nil || !why.Passes() {
			reason, failure, failed, found = why, err, key, true
		}
	}
	return reason, failure
}

// aggregateMeets looks for one value that meets the requirement. In Nova it
// depends on the order of a set whether a value that cannot be compared is an
// error; here it is one when no other value will do.
func aggregateMeets(h *scheduler.HostState, key, name, requirement string) (scheduler.Reason, error) {
	last, has := "", false
	var failure error
	for value := range metadata(h, name) {
		last, has = value, true
		ok, err := match(pyvalue.OfText(value), requirement)
		if ok {
			return scheduler.Reason{}, nil
		}
		if err != nil && failure == nil {
			failure = err
		}
	}
	switch {
	case !has:
		return scheduler.Reason{Why: "extra spec %o asks for %a, no aggregate of the host has the key", Of: key, Asked: requirement}, nil
	case failure != nil:
		return scheduler.Reason{}, cannot("host %s, aggregates' metadata %s: %w", h.Host, name, failure)
	default:
		return scheduler.Reason{Why: "extra spec %o asks for %a, the host's aggregates have %t", Of: key, Asked: requirement, Text: last}, nil
	}
}
