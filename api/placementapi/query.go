package placementapi

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// checkQuery validates the query string; of a repeated parameter only the
// last value is looked at.
//
// Source: placement, util.py, validate_query_params.
func (c *call) checkQuery(schema *jsonschema.Schema) error {
	if c.queryErr != nil {
		return bad("Invalid query string parameters: " + c.queryErr.Error())
	}
	v := jsonschema.Value{Kind: jsonschema.Object}
	var at map[string]int
	if len(c.query) > 1 {
		at = make(map[string]int, len(c.query))
	}
	for _, p := range c.query {
		value := jsonschema.Value{Kind: jsonschema.String, Text: p.Value}
		if i, again := at[p.Key]; again {
			v.Items[i] = value
			continue
		}
		if at != nil {
			at[p.Key] = len(v.Keys)
		}
		v.Keys, v.Items = append(v.Keys, p.Key), append(v.Items, value)
	}
	if violation := schema.Validate(&v); violation != nil {
		return bad("Invalid query string parameters: " + violation.String())
	}
	return nil
}

const (
	textResources = "Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: "
	textRequired  = "Invalid query string parameters: Expected 'required' parameter value of the form: "
	textAnyTraits = "Invalid query string parameters: The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' "
)

// parseResources reads CLASS:AMOUNT,CLASS:AMOUNT; of a repeated class the
// last amount counts.
//
// Source: placement, util.py, normalize_resources_qs_param.
func parseResources(s string) ([]placement.Resource, error) {
	if strings.TrimSpace(s) == "" {
		return nil, bad(textResources + "empty string.")
	}
	list := make([]placement.Resource, 0, strings.Count(s, ",")+1)
	for part := range strings.SplitSeq(s, ",") {
		class, digits, found := strings.Cut(part, ":")
		if !found || strings.Contains(digits, ":") {
			return nil, bad(textResources + part + ".")
		}
		amount, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if numErr := (*strconv.NumError)(nil); err != nil {
			if numErr, _ = err.(*strconv.NumError); numErr == nil || numErr.Err != strconv.ErrRange { //nolint:errorlint // ParseInt returns it as it is
				return nil, bad(fmt.Sprintf("Requested resource %s expected positive integer amount. Got: %s.", class, digits))
			}
		}
		if amount < 1 {
			return nil, bad(fmt.Sprintf("Requested resource %s requires amount >= 1. Got: %d.", class, amount))
		}
		list = setResource(list, class, min(amount, math.MaxInt64))
	}
	return list, nil
}

func setResource(list []placement.Resource, class string, amount int64) []placement.Resource {
	for i := range list {
		if list[i].Class == class {
			list[i].Amount = amount
			return list
		}
	}
	return append(list, placement.Resource{Class: class, Amount: amount})
}

// traits reads the parameters required<suffix>.
//
// Source: placement, util.py, normalize_traits_qs_params.
func (c *call) traits(suffix string) (required [][]string, forbidden []string, err error) {
	values := c.query.All("required" + suffix)
	if !c.at(39) {
		values = values[len(values)-1:] // the last one wins
	}
	for _, value := range values {
		var lists [][]string
		var not []string
		if list, given := strings.CutPrefix(value, "in:"); given {
			lists, err = c.anyTraits(value, list)
		} else {
			lists, not, err = parseTraits(value, c.at(22))
		}
		if err != nil {
			return nil, nil, err
		}
		required, forbidden = append(required, lists...), append(forbidden, not...)
	}
	return required, forbidden, nil
}

// anyTraits reads in:A,B: one of them.
func (c *call) anyTraits(value, list string) ([][]string, error) {
	if !c.at(39) {
		return nil, bad(textAnyTraits + "only supported since microversion 1.39. Got: " + value)
	}
	var names []string
	for name := range strings.SplitSeq(list, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	if slices.Contains(names, "") {
		return nil, bad(textRequired + "in:HW_CPU_X86_VMX,CUSTOM_MAGIC. Got an empty trait in: " + value)
	}
	for _, name := range names {
		if name[0] == '!' {
			return nil, bad(textAnyTraits + "does not support forbidden traits. Got: " + value)
		}
	}
	return [][]string{names}, nil
}

// parseTraits reads A,!B. However many exclamation marks mean one.
func parseTraits(value string, allowForbidden bool) (required [][]string, forbidden []string, err error) {
	form := "HW_CPU_X86_VMX,CUSTOM_MAGIC"
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		bare := strings.TrimLeft(name, "!")
		if bare == "" {
			if allowForbidden {
				form = "HW_CPU_X86_VMX,!CUSTOM_MAGIC"
			}
			return nil, nil, bad(textRequired + form + ". Got an empty trait in: " + value)
		}
		if bare != name {
			forbidden = append(forbidden, bare)
		} else {
			required = append(required, []string{name})
		}
	}
	if len(forbidden) > 0 && !allowForbidden {
		return nil, nil, bad(textRequired + form + ". Got: " + value)
	}
	return required, forbidden, nil
}

// memberOf reads the parameters member_of<suffix>.
//
// Source: placement, util.py, normalize_member_of_qs_params.
func (c *call) memberOf(suffix string) (required [][]placement.UUID, forbidden []placement.UUID, err error) {
	values := c.query.All("member_of" + suffix)
	if len(values) > 1 && !c.at(24) {
		return nil, nil, bad("Multiple member_of" + suffix + " parameters are not supported")
	}
	for _, value := range values {
		aggregates, not, err := parseMemberOf(value)
		if err != nil {
			return nil, nil, err
		}
		if !not {
			required = append(required, aggregates)
			continue
		}
		if !c.at(32) {
			return nil, nil, bad("Forbidden member_of" + suffix + " parameters are not supported in the specified microversion")
		}
		forbidden = append(forbidden, aggregates...)
	}
	return required, forbidden, nil
}

// parseMemberOf reads UUID, !UUID, in:UUID,UUID or !in:UUID,UUID.
//
// Source: placement, util.py, normalize_member_of_qs_param.
func parseMemberOf(value string) (list []placement.UUID, not bool, err error) {
	rest, not := strings.CutPrefix(value, "!")
	rest, several := strings.CutPrefix(rest, "in:")
	if strings.Contains(value, ",") && !several {
		return nil, false, bad("Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid microversion. Got: " + value)
	}
	for part := range strings.SplitSeq(rest, ",") {
		u, err := placement.ParseUUID(part)
		if err != nil {
			return nil, false, bad("Invalid query string parameters: Expected 'member_of' parameter to contain valid UUID(s). Got: " + part)
		}
		list = append(list, u)
	}
	return list, not, nil
}
