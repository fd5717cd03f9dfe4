package twin

import (
	"regexp"
	"slices"

	"github.com/kilonova-cloud/kilonova/placement"
)

var suffixPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// checkRequest refuses what the query parser refuses at 1.39, as far as
// values go, with an InputError.
//
// Source: placement, lib.py, RequestGroup.dict_from_request and
// RequestWideParams.from_request; schemas/common.py, GROUP_PAT_1_33.
func checkRequest(req placement.CandidateRequest) error {
	suffixes, withResources := map[string]bool{}, 0
	inSubtree := map[string]bool{}
	for _, list := range req.SameSubtree {
		for _, s := range list {
			inSubtree[s] = true
		}
	}
	for _, g := range req.Groups {
		if suffixes[g.Suffix] || g.Suffix != "" && !suffixPattern.MatchString(g.Suffix) {
			return badInput("suffix", g.Suffix, "1 to 64 of A-Z, a-z, 0-9, _ and -, or nothing; each at most once")
		}
		suffixes[g.Suffix] = true
		if len(g.Resources) > 0 {
			withResources++
		} else if g.Suffix == "" || !inSubtree[g.Suffix] {
			return badInput("resources"+g.Suffix, "", "at least one class unless same_subtree names the group")
		}
		if err := checkGroup(g); err != nil {
			return err
		}
	}
	if withResources == 0 {
		return badInput("resources", "", "at least one group with resources")
	}
	for s := range inSubtree {
		if s == "" || !suffixes[s] {
			return badInput("same_subtree", s, "suffixes of the groups of the request")
		}
	}
	for _, t := range req.RootRequired {
		if slices.Contains(req.RootForbidden, t) {
			return badInput("root_required", t, "not required and forbidden at once")
		}
	}
	return nil
}

// checkGroup wants each class once with an amount, and for each list of
// required traits at least one that is not forbidden.
//
// Source: placement, lib.py, _check_forbidden; util.py,
// normalize_resources_qs_param.
func checkGroup(g placement.RequestGroup) error {
	if err := checkResources("resources"+g.Suffix, g.Resources); err != nil {
		return err
	}
	for _, list := range g.Required {
		possible := false
		for _, t := range list {
			possible = possible || !slices.Contains(g.Forbidden, t)
		}
		if !possible {
			return badInput("required"+g.Suffix, list, "not required and forbidden at once")
		}
	}
	return nil
}

func checkResources(field string, resources []placement.Resource) error {
	classes := map[string]bool{}
	for _, r := range resources {
		if classes[r.Class] || r.Amount < 1 {
			return badInput(field, r, "a class at most once, amounts of 1 and more")
		}
		classes[r.Class] = true
	}
	return nil
}

// checkRequestNames refuses an unknown class or trait anywhere
// in the request. (The source finds them group by group, and not at all when
// an earlier group has no candidates.)
func (w *World) checkRequestNames(req placement.CandidateRequest) error {
	for _, g := range req.Groups {
		if err := w.checkNames(g.Resources, g.Required, g.Forbidden); err != nil {
			return err
		}
	}
	return w.checkNames(nil, [][]string{req.RootRequired}, req.RootForbidden)
}

func (w *World) checkNames(resources []placement.Resource, required [][]string, forbidden []string) error {
	for _, r := range resources {
		if !w.classes[r.Class] {
			return badInput("resource_class", r.Class, "an existing resource class")
		}
	}
	for _, list := range append(slices.Clone(required), forbidden) {
		for _, t := range list {
			if !w.traits[t] {
				return badInput("trait", t, "an existing trait")
			}
		}
	}
	return nil
}
