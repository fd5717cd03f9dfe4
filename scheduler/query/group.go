package query

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
	"github.com/kilonova-cloud/kilonova/placement"
	"github.com/kilonova-cloud/kilonova/scheduler"
)

// group is a request group that grows.
type group struct {
	resources map[string]int64
	required  map[string]struct{}
	anyOf     [][]string // of groups from outside
	forbidden map[string]struct{}
	memberOf  [][]placement.UUID
	notIn     []placement.UUID
	inTree    placement.UUID
}

// group returns the group of a suffix, and makes it if it is new.
func (b *build) group(suffix string) *group {
	g, ok := b.groups[suffix]
	if !ok {
		g = &group{resources: map[string]int64{}, required: map[string]struct{}{}, forbidden: map[string]struct{}{}}
		b.groups[suffix] = g
	}
	return g
}

func (g *group) empty() bool {
	return len(g.resources)+len(g.required)+len(g.anyOf)+len(g.forbidden)+len(g.memberOf)+len(g.notIn) == 0
}

func (g *group) request(suffix string) placement.RequestGroup {
	r := placement.RequestGroup{
		Suffix: suffix, Required: g.anyOf, Forbidden: slices.Sorted(maps.Keys(g.forbidden)),
		MemberOf: g.memberOf, ForbiddenAggregates: g.notIn, InTree: g.inTree,
	}
	for _, class := range slices.Sorted(maps.Keys(g.resources)) {
		r.Resources = append(r.Resources, placement.Resource{Class: class, Amount: g.resources[class]})
	}
	for _, trait := range slices.Sorted(maps.Keys(g.required)) {
		r.Required = append(r.Required, []string{trait})
	}
	return r
}

// require asks the group without a suffix for a trait.
func (b *build) require(trait string) { b.group("").required[trait] = struct{}{} }

// extraSpecs reads resources, traits and the group policy.
//
// Source: nova, scheduler/utils.py, _process_extra_specs, and
// objects/request_spec.py, add_resource and add_trait.
func (b *build) extraSpecs() {
	b.fromFlavor = map[string]struct{}{}
	for key, value := range b.flavor.ExtraSpecs {
		if key == "group_policy" && (value == "none" || value == "isolate") {
			b.policy = value
		}
		m := groupKey.FindStringSubmatch(key)
		if m == nil {
			continue
		}
		g := b.group(m[2])
		if m[2] != "" {
			b.fromFlavor[m[2]] = struct{}{}
		}
		switch {
		case m[1] == "resources":
			b.addResource(g, m[3], value)
		case value == "required":
			g.required[m[3]] = struct{}{}
		case value == "forbidden":
			g.forbidden[m[3]] = struct{}{}
		}
	}
}

var groupKey = regexp.MustCompile(`^(resources|trait)([a-zA-Z0-9_-]{1,64})?:(.*)$`)

// addResource leaves out classes and amounts that there cannot be.
func (b *build) addResource(g *group, class, value string) {
	_, standard := b.classes[class]
	amount, ok := pyvalue.ParseInt(value)
	if (standard || strings.HasPrefix(class, "CUSTOM_")) && ok && amount >= 0 {
		g.resources[class] = amount
	}
}

// outside takes over the groups that did not come from flavor or image.
//
// Source: nova, scheduler/utils.py, _add_request_group.
func (b *build) outside(groups []placement.RequestGroup) error {
	for i := range groups {
		from := &groups[i]
		g := &group{
			resources: map[string]int64{}, required: map[string]struct{}{}, forbidden: set(from.Forbidden),
			memberOf: from.MemberOf, notIn: from.ForbiddenAggregates, inTree: from.InTree,
		}
		for _, r := range from.Resources {
			g.resources[r.Class] = r.Amount
		}
		for _, list := range from.Required {
			if len(list) == 1 {
				g.required[list[0]] = struct{}{}
			} else {
				g.anyOf = append(g.anyOf, list)
			}
		}
		_, taken := b.groups[from.Suffix]
		if from.Suffix == "" || taken || g.empty() {
			return fmt.Errorf("group %q of the request: allowed are groups that ask for something, with a suffix of their own: %w",
				from.Suffix, scheduler.ErrCannotEvaluate)
		}
		b.groups[from.Suffix] = g
	}
	return nil
}

// strip removes amounts of zero, and groups that ask for nothing.
func (b *build) strip() {
	for suffix, g := range b.groups {
		maps.DeleteFunc(g.resources, func(_ string, amount int64) bool { return amount == 0 })
		if g.empty() {
			delete(b.groups, suffix)
		}
	}
}
