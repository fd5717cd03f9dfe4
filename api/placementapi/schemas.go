package placementapi

import (
	"strings"

	"github.com/kilonova-cloud/kilonova/api/jsonschema"
	"github.com/kilonova-cloud/kilonova/placement"
)

// The forms of names.
//
// Source: placement, schemas/common.py.
var (
	uuidPattern       = &jsonschema.Pattern{Source: "^[0-9a-fA-F-]{36}$", Match: isUUIDKey}
	namePattern       = &jsonschema.Pattern{Source: "^[A-Z0-9_]+$", Match: isName}
	customPattern     = &jsonschema.Pattern{Source: "^CUSTOM_[A-Z0-9_]+$", Match: isCustomName}
	usageTypePattern  = &jsonschema.Pattern{Source: "^[A-Z0-9_]+$|^all|^unknown$", Match: isUsageType}
	suffixPattern     = &jsonschema.Pattern{Source: "[a-zA-Z0-9_-]{1,64}", Match: func(s string) bool { return strings.ContainsFunc(s, isSuffixRune) }}
	limitPattern      = &jsonschema.Pattern{Source: "^[1-9][0-9]*$", Match: isNumber}
	uuidFormat        = &jsonschema.Format{Name: "uuid", Match: isUUIDLike}
	queryUUID         = &jsonschema.Schema{Types: []string{"string"}, Format: &jsonschema.Format{Name: "uuid", Match: isPathUUID}}
	text              = &jsonschema.Schema{Types: []string{"string"}}
	uuidText          = &jsonschema.Schema{Types: []string{"string"}, Format: uuidFormat}
	integer           = &jsonschema.Schema{Types: []string{"integer"}}
	identifier        = &jsonschema.Schema{Types: []string{"string"}, MinChars: 1, MaxChars: 255}
	integerOrNull     = &jsonschema.Schema{Types: []string{"integer", "null"}}
	resourceAmounts   = openObject(1, namePattern, &jsonschema.Schema{Types: []string{"integer"}, Minimum: jsonschema.Bound(1)}, true)
	providerAmounts   = object([]string{"resources"}, prop("generation", integer), prop("resources", resourceAmounts))
	aggregateList     = &jsonschema.Schema{Types: []string{"array"}, Items: uuidText, Unique: true}
	schemaAggregates  = object([]string{"aggregates", "resource_provider_generation"}, prop("aggregates", aggregateList), prop("resource_provider_generation", integer))
	schemaClass       = object([]string{"name"}, prop("name", &jsonschema.Schema{Types: []string{"string"}, Pattern: customPattern, MaxChars: 255}))
	schemaTraits      = object([]string{"traits", "resource_provider_generation"}, prop("traits", &jsonschema.Schema{Types: []string{"array"}, Items: identifier}), prop("resource_provider_generation", integer))
	schemaInventories = object([]string{"resource_provider_generation", "inventories"}, prop("resource_provider_generation", integer), prop("inventories", openObject(0, namePattern, inventorySchema([]string{"total"}), false)))
	schemaInventory   = inventorySchema([]string{"total", "resource_provider_generation"})
	schemaNewInv      = inventorySchema([]string{"total", "resource_class"}, prop("resource_class", &jsonschema.Schema{Types: []string{"string"}, Pattern: namePattern}))
)

// The bodies of providers.
//
// Source: placement, schemas/resource_provider.py.
var (
	providerName   = prop("name", &jsonschema.Schema{Types: []string{"string"}, MaxChars: 200})
	providerParent = prop("parent_provider_uuid", &jsonschema.Schema{AnyOf: []*jsonschema.Schema{uuidText, {Types: []string{"null"}}}})

	schemaPostProvider   = object([]string{"name"}, providerName, prop("uuid", uuidText))
	schemaPostProvider14 = object([]string{"name"}, providerName, prop("uuid", uuidText), providerParent)
	schemaPutProvider    = object([]string{"name"}, providerName)
	schemaPutProvider14  = object([]string{"name"}, providerName, providerParent)
)

// The bodies of allocations.
//
// Source: placement, schemas/allocation.py and schemas/reshaper.py.
var (
	project      = prop("project_id", identifier)
	user         = prop("user_id", identifier)
	generation   = prop("consumer_generation", integerOrNull)
	consumerType = prop("consumer_type", &jsonschema.Schema{Types: []string{"string"}, Pattern: namePattern, MinChars: 1, MaxChars: 255})
	mappings     = prop("mappings", openObject(1, suffixPattern, &jsonschema.Schema{Types: []string{"array"}, MinItems: 1, Items: uuidText}, false))

	allocationList = prop("allocations", &jsonschema.Schema{Types: []string{"array"}, MinItems: 1, Items: object(
		[]string{"resource_provider", "resources"},
		prop("resource_provider", object([]string{"uuid"}, prop("uuid", uuidText))),
		prop("resources", resourceAmounts))})
	allocationsSome = prop("allocations", openObject(1, uuidPattern, providerAmounts, true))
	allocationsAny  = prop("allocations", openObject(0, uuidPattern, providerAmounts, true))

	schemaAllocs0  = object([]string{"allocations"}, allocationList)
	schemaAllocs8  = object([]string{"allocations", "project_id", "user_id"}, allocationList, project, user)
	schemaAllocs12 = object([]string{"allocations", "project_id", "user_id"}, allocationsSome, project, user)
	schemaAllocs13 = object([]string{"allocations", "project_id", "user_id"}, allocationsAny, project, user)
	schemaAllocs28 = object([]string{"allocations", "project_id", "user_id", "consumer_generation"}, allocationsAny, project, user, generation)
	schemaAllocs34 = object([]string{"allocations", "project_id", "user_id", "consumer_generation"}, allocationsAny, project, user, generation, mappings)
	schemaAllocs38 = object([]string{"allocations", "project_id", "user_id", "consumer_generation", "consumer_type"}, allocationsAny, project, user, generation, mappings, consumerType)

	// schemasPut, schemasPost and schemasReshape are by the version since when they hold.
	schemasPut     = []since{{38, schemaAllocs38}, {34, schemaAllocs34}, {28, schemaAllocs28}, {12, schemaAllocs12}, {8, schemaAllocs8}, {0, schemaAllocs0}}
	schemasPost    = []since{{38, manyAllocs(1, schemaAllocs38)}, {34, manyAllocs(1, schemaAllocs34)}, {28, manyAllocs(1, schemaAllocs28)}, {0, manyAllocs(1, schemaAllocs13)}}
	schemasReshape = []since{{38, reshapeOf(schemaAllocs38)}, {34, reshapeOf(schemaAllocs34)}, {0, reshapeOf(schemaAllocs28)}}
)

// The query strings.
var (
	schemasProviders = []since{
		{18, query(prop("name", text), prop("uuid", queryUUID), prop("member_of", text), prop("resources", text), prop("in_tree", queryUUID), prop("required", text))},
		{14, query(prop("name", text), prop("uuid", queryUUID), prop("member_of", text), prop("resources", text), prop("in_tree", queryUUID))},
		{4, query(prop("name", text), prop("uuid", queryUUID), prop("member_of", text), prop("resources", text))},
		{3, query(prop("name", text), prop("uuid", queryUUID), prop("member_of", text))},
		{0, query(prop("name", text), prop("uuid", queryUUID))},
	}
	schemasUsages = []since{
		{38, withRequired("project_id", query(project, user, prop("consumer_type", &jsonschema.Schema{Types: []string{"string"}, Pattern: usageTypePattern, MinChars: 1, MaxChars: 255})))},
		{0, withRequired("project_id", query(project, user))},
	}
	schemaListTraits = query(prop("name", text), prop("associated", text))
	schemasQuery     = candidateSchemas()
)

// since is a schema and the minor version from which on it holds.
type since struct {
	minor  int
	schema *jsonschema.Schema
}

// pick returns the newest schema that minor has.
func pick(list []since, minor int) *jsonschema.Schema {
	for _, s := range list[:len(list)-1] {
		if minor >= s.minor {
			return s.schema
		}
	}
	return list[len(list)-1].schema
}

func prop(name string, s *jsonschema.Schema) jsonschema.Property {
	return jsonschema.Property{Name: name, Schema: s}
}

func object(required []string, props ...jsonschema.Property) *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"object"}, Properties: props, Required: required, Closed: true}
}

func openObject(least int, keys *jsonschema.Pattern, values *jsonschema.Schema, closed bool) *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"object"}, MinMembers: least, Patterns: []jsonschema.PatternProperty{{Pattern: keys, Schema: values}}, Closed: closed}
}

func query(props ...jsonschema.Property) *jsonschema.Schema { return object(nil, props...) }

func withRequired(name string, s *jsonschema.Schema) *jsonschema.Schema {
	s.Required = []string{name}
	return s
}

// inventorySchema is the schema of one inventory.
//
// Source: placement, schemas/inventory.py.
func inventorySchema(required []string, more ...jsonschema.Property) *jsonschema.Schema {
	positive := &jsonschema.Schema{Types: []string{"integer"}, Minimum: jsonschema.Bound(1), Maximum: jsonschema.Bound(placement.MaxInt)}
	return object(required, append([]jsonschema.Property{
		prop("resource_provider_generation", integer),
		prop("total", positive),
		prop("reserved", &jsonschema.Schema{Types: []string{"integer"}, Minimum: jsonschema.Bound(0), Maximum: jsonschema.Bound(placement.MaxInt)}),
		prop("min_unit", positive), prop("max_unit", positive), prop("step_size", positive),
		prop("allocation_ratio", &jsonschema.Schema{Types: []string{"number"}, Maximum: jsonschema.Bound(placement.MaxRatio)}),
	}, more...)...)
}

func manyAllocs(least int, one *jsonschema.Schema) *jsonschema.Schema {
	return openObject(least, uuidPattern, one, true)
}

func reshapeOf(one *jsonschema.Schema) *jsonschema.Schema {
	return object([]string{"inventories", "allocations"},
		prop("inventories", openObject(1, uuidPattern, schemaInventories, true)), prop("allocations", manyAllocs(0, one)))
}

// candidateSchemas are the query strings of GET /allocation_candidates.
//
// Source: placement, schemas/allocation_candidate.py.
func candidateSchemas() []since {
	const digits, verbose = "[1-9][0-9]*", "[a-zA-Z0-9_-]{1,64}"
	limit := prop("limit", &jsonschema.Schema{Types: []string{"integer", "string"}, Pattern: limitPattern, MinChars: 1})
	policy := prop("group_policy", &jsonschema.Schema{Types: []string{"string"}, Enum: []string{"none", "isolate"}})
	root, subtree := prop("root_required", text), prop("same_subtree", text)
	groups := func(suffix string, isSuffix func(string) bool, s *jsonschema.Schema, keys ...string) *jsonschema.Schema {
		for _, key := range keys {
			s.Patterns = append(s.Patterns, jsonschema.PatternProperty{Schema: text, Pattern: &jsonschema.Pattern{
				Source: "^" + key + "(" + suffix + ")?$",
				Match: func(name string) bool {
					rest, has := strings.CutPrefix(name, key)
					return has && (rest == "" || isSuffix(rest))
				},
			}})
		}
		return s
	}
	return []since{
		{36, groups(verbose, isSuffix, query(limit, policy, root, subtree), "resources", "required", "member_of", "in_tree")},
		{35, groups(verbose, isSuffix, query(limit, policy, root), "resources", "required", "member_of", "in_tree")},
		{33, groups(verbose, isSuffix, query(limit, policy), "resources", "required", "member_of", "in_tree")},
		{31, groups(digits, isNumber, query(limit, policy), "resources", "required", "member_of", "in_tree")},
		{25, groups(digits, isNumber, query(limit, policy), "resources", "required", "member_of")},
		{21, withRequired("resources", query(prop("resources", text), limit, prop("required", text), prop("member_of", text)))},
		{17, withRequired("resources", query(prop("resources", text), limit, prop("required", text)))},
		{16, withRequired("resources", query(prop("resources", text), limit))},
		{0, withRequired("resources", query(prop("resources", text)))},
	}
}

func isUUIDKey(s string) bool {
	return len(s) == 36 && !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("0123456789abcdefABCDEF-", r)
	})
}

// isPathUUID accepts UUIDs with hyphens only, as query strings and paths
// have them.
func isPathUUID(s string) bool {
	return isUUIDLike(s) && len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-'
}

func isUUIDLike(s string) bool {
	_, err := placement.ParseUUID(s)
	return err == nil
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

func isCustomName(s string) bool {
	rest, custom := strings.CutPrefix(s, "CUSTOM_")
	return custom && isName(rest)
}

func isUsageType(s string) bool {
	return isName(s) || strings.HasPrefix(s, "all") || s == "unknown"
}

func isSuffixRune(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-'
}

func isSuffix(s string) bool {
	return s != "" && len(s) <= 64 && !strings.ContainsFunc(s, func(r rune) bool { return !isSuffixRune(r) })
}

func isNumber(s string) bool {
	return s != "" && s[0] != '0' && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}
