package placementapi

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// candidateRequest reads the query string of GET /allocation_candidates.
//
// Source: placement, lib.py, RequestWideParams and RequestGroup.
func (c *call) candidateRequest() (placement.CandidateRequest, error) {
	req := placement.CandidateRequest{SingleProvider: !c.at(29)}
	if err := c.requestWide(&req); err != nil {
		return req, err
	}
	if err := c.requestGroups(&req); err != nil {
		return req, err
	}
	if err := c.checkGroups(&req); err != nil {
		return req, err
	}
	suffixed := 0
	for i := range req.Groups {
		if req.Groups[i].Suffix != "" {
			suffixed++
		}
	}
	if suffixed > 1 && !c.query.Has("group_policy") {
		return req, bad(`The "group_policy" parameter is required when specifying more than one "resources{N}" parameter.`)
	}
	return req, nil
}

// requestWide reads the parameters that are not about one group. Of a
// repeated limit or group_policy the first value counts.
func (c *call) requestWide(req *placement.CandidateRequest) error {
	if limits := c.query.All("limit"); len(limits) > 0 {
		n, err := strconv.Atoi(limits[0])
		if !isNumber(limits[0]) {
			return bad("Invalid query string parameters: limit is " + jsonschema.ReprString(limits[0]) + ", not a number of 1 or more")
		}
		if err == nil { // out of range means all
			req.Limit = n
		}
	}
	if policies := c.query.All("group_policy"); len(policies) > 0 && policies[0] == "isolate" {
		req.Policy = placement.PolicyIsolate
	}
	if err := c.rootTraits(req); err != nil {
		return err
	}
	for _, value := range c.query.All("same_subtree") {
		var suffixes []string
		for suffix := range strings.SplitSeq(value, ",") {
			if suffix = strings.TrimSpace(suffix); suffix == "" {
				return badCode(codeBadValue, "Empty string (unsuffixed group) can not be specified in `same_subtree` ")
			}
			if !slices.Contains(suffixes, suffix) {
				suffixes = append(suffixes, suffix)
			}
		}
		req.SameSubtree = append(req.SameSubtree, suffixes)
	}
	return nil
}

func (c *call) rootTraits(req *placement.CandidateRequest) error {
	values := c.query.All("root_required")
	if len(values) == 0 {
		return nil
	}
	if len(values) > 1 {
		return badCode(codeDuplicateKey, "Query parameter 'root_required' may be specified only once.")
	}
	if strings.HasPrefix(values[0], "in:") {
		return bad(textAnyTraits + "only supported since microversion 1.39. Got: " + values[0])
	}
	required, forbidden, err := parseTraits(values[0], true)
	if err != nil {
		return err
	}
	var both []string
	for _, one := range required {
		req.RootRequired = append(req.RootRequired, one[0])
		if slices.Contains(forbidden, one[0]) {
			both = append(both, one[0])
		}
	}
	if req.RootForbidden = forbidden; len(both) > 0 {
		return badCode(codeBadValue, "Conflicting required and forbidden traits found in root_required: "+strings.Join(both, ", "))
	}
	return nil
}

// groupKeys are the parameters that belong to a group.
var groupKeys = []string{"resources", "required", "member_of", "in_tree"}

// groupKey splits a parameter's name into what it is and the group's suffix.
func (c *call) groupKey(name string) (key, suffix string, ok bool) {
	for _, key := range groupKeys {
		suffix, has := strings.CutPrefix(name, key)
		if !has {
			continue
		}
		valid := isNumber
		if c.at(33) {
			valid = isSuffix
		}
		return key, suffix, suffix == "" || valid(suffix)
	}
	return "", "", false
}

// requestGroups reads the groups in the order of the query string.
//
// Source: placement, lib.py, _parse_request_items.
func (c *call) requestGroups(req *placement.CandidateRequest) error {
	at := map[string]int{}
	done := map[string]bool{}
	for _, p := range c.query {
		key, suffix, ok := c.groupKey(p.Key)
		if !ok {
			continue
		}
		k, known := at[suffix]
		if !known {
			k = len(req.Groups)
			at[suffix] = k
			req.Groups = append(req.Groups, placement.RequestGroup{Suffix: suffix})
		}
		if (key == "required" || key == "member_of") && done[p.Key] {
			continue // read with the first one
		}
		done[p.Key] = true
		if err := c.readGroup(&req.Groups[k], key, p.Value); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) readGroup(g *placement.RequestGroup, key, value string) (err error) {
	switch key {
	case "resources":
		g.Resources, err = parseResources(value)
	case "required":
		g.Required, g.Forbidden, err = c.traits(g.Suffix)
	case "member_of":
		g.MemberOf, g.ForbiddenAggregates, err = c.memberOf(g.Suffix)
	case "in_tree":
		g.InTree, err = placement.ParseUUID(strings.TrimSpace(value))
		if err != nil {
			err = bad("Invalid query string parameters: Expected 'in_tree' parameter to be a format of uuid. Got: " + value)
		}
	}
	return err
}

// checkGroups refuses groups that do not go together.
func (c *call) checkGroups(req *placement.CandidateRequest) error {
	var err error
	if c.at(36) {
		err = checkSubtrees(req)
	} else {
		err = checkOrphans(req)
	}
	if err != nil || !c.at(22) {
		return err
	}
	var conflicts []string
	for i := range req.Groups {
		g := &req.Groups[i]
		for _, list := range g.Required {
			if !slices.ContainsFunc(list, func(t string) bool { return !slices.Contains(g.Forbidden, t) }) {
				names := slices.Clone(list)
				slices.Sort(names)
				conflicts = append(conflicts, "required"+g.Suffix+": ("+strings.Join(names, ", ")+")")
			}
		}
	}
	if len(conflicts) == 0 {
		return nil
	}
	slices.Sort(conflicts)
	return bad("Conflicting required and forbidden traits found in the following traits keys: " + strings.Join(conflicts, ", "))
}

// checkSubtrees: groups without resources are only for same_subtree (1.36).
func checkSubtrees(req *placement.CandidateRequest) error {
	var without, suffixes []string
	for i := range req.Groups {
		suffixes = append(suffixes, req.Groups[i].Suffix)
		if len(req.Groups[i].Resources) == 0 {
			without = append(without, req.Groups[i].Suffix)
		}
	}
	if len(without) == len(req.Groups) {
		return badCode(codeMissingValue, "There must be at least one resources or resources[$S] parameter.")
	}
	named := slices.Concat(req.SameSubtree...)
	if alone := slices.DeleteFunc(without, func(s string) bool { return slices.Contains(named, s) }); len(alone) > 0 {
		return badCode(codeBadValue, "Resourceless suffixed group request should be specified in `same_subtree` query param: bad group(s) - "+quoted(alone)+".")
	}
	if unknown := slices.DeleteFunc(named, func(s string) bool { return slices.Contains(suffixes, s) }); len(unknown) > 0 {
		return badCode(codeBadValue, "Real suffixes should be specified in `same_subtree`: "+quoted(unknown)+" not found in "+quoted(suffixes)+".")
	}
	return nil
}

// checkOrphans: before 1.36 every group has resources.
func checkOrphans(req *placement.CandidateRequest) error {
	var traits, aggregates []string
	all := true
	for i := range req.Groups {
		g := &req.Groups[i]
		if len(g.Resources) > 0 {
			continue
		}
		all = false
		if len(g.Required) > 0 {
			traits = append(traits, "required"+g.Suffix)
		}
		if len(g.MemberOf)+len(g.ForbiddenAggregates) > 0 {
			aggregates = append(aggregates, "member_of"+g.Suffix)
		}
	}
	switch {
	case len(traits) > 0:
		return bad("All traits parameters must be associated with resources.  Found the following orphaned traits keys: " + strings.Join(traits, ", "))
	case len(aggregates) > 0:
		return bad("All member_of parameters must be associated with resources. Found the following orphaned member_of keys: " + strings.Join(aggregates, ", "))
	case !all:
		return bad("All request groups must specify resources.")
	case len(req.Groups) == 0:
		return bad("At least one request group (`resources` or `resources{$S}`) is required.")
	}
	return nil
}

func quoted(list []string) string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = jsonschema.ReprString(s)
	}
	return fmt.Sprintf("[%s]", strings.Join(names, ", "))
}
