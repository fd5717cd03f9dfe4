package topology

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kilonova-cloud/kilonova/internal/pyvalue"
)

// Aliases are the PCI aliases of a configuration, by name.
type Aliases map[string]Alias

// Alias is a name for PCI devices.
type Alias struct {
	policy string
	types  []string // by spec, "": none
	specs  [][]attribute
	class  string   // placement's resource class, with devices in placement
	traits []string // that a provider must have
}

const (
	aliasField = "[pci] alias"
	aliasType  = "device_type"
)

// ParseAliases reads the values of [pci] alias, one JSON object each. Several
// of one name are alternatives, whose device type and NUMA policy agree.
//
// Source: nova, pci/request.py, get_alias_from_config.
func ParseAliases(values []string) (Aliases, error) { return parseAliases(values, false) }

// ParsePlacementAliases reads aliases of devices that placement allocates: a
// resource class does instead of vendor and product, and a name has no
// alternatives.
//
// Source: nova, pci/request.py, _validate_aliases.
func ParsePlacementAliases(values []string) (Aliases, error) { return parseAliases(values, true) }

func parseAliases(values []string, placed bool) (Aliases, error) {
	aliases := Aliases{}
	for i, value := range values {
		field := fmt.Sprintf("%s[%d]", aliasField, i)
		d, err := parseDocument(field, []byte(value))
		if err != nil {
			return nil, err
		}
		if err := aliases.add(d, placed); err != nil {
			return nil, err
		}
	}
	return aliases, nil
}

func (a Aliases) add(d document, placed bool) error {
	m, err := d.object("name", "capability_type", "product_id", "vendor_id", aliasType, "numa_policy", "resource_class", "traits", "live_migratable")
	if err != nil {
		return err
	}
	name, err := d.at("name").text()
	if err != nil {
		return err
	}
	if n := len([]rune(name)); n == 0 || n > 256 {
		return &FieldError{d.field + ".name", name, "1 to 256 characters"}
	}
	name = pyvalue.Strip(name)
	policy := PolicyLegacy
	if _, has := m["numa_policy"]; has {
		if policy, err = d.at("numa_policy").text(policies...); err != nil {
			return err
		}
	}
	spec, deviceType, err := parseSpec(d, m)
	if err != nil {
		return err
	}
	if _, has := m["resource_class"]; !has || !placed {
		if err := needIDs(d, m); err != nil {
			return err
		}
	}
	known, has := a[name]
	switch {
	case has && placed:
		return &FieldError{d.field + ".name", name, "another one than those before: with [filter_scheduler] pci_in_placement an alias has no alternatives"}
	case placed:
		known.policy, known.class, known.traits = policy, classOf(m), traitsOf(m)
	case !has:
		known.policy = policy
	case known.policy != policy:
		return &FieldError{d.field + ".numa_policy", policy, known.policy + ", like the alias of the same name before it"}
	case deviceType == "" || known.types[0] != deviceType:
		return &FieldError{d.field + "." + aliasType, deviceType, "the one that every alias of the same name has to tell"}
	}
	known.types = append(known.types, deviceType)
	known.specs = append(known.specs, spec)
	a[name] = known
	return nil
}

var policies = []string{PolicyRequired, PolicyLegacy, PolicyPreferred, PolicySocket}

// parseSpec returns what a device must have, by attribute.
func parseSpec(d document, m map[string]any) (spec []attribute, deviceType string, err error) {
	for name := range m {
		var value string
		switch at := d.at(name); name {
		case "name", "numa_policy":
			continue
		case "vendor_id", "product_id":
			if value, err = at.text(); err == nil && !isID(value) {
				err = &FieldError{at.field, value, "four hexadecimal digits"}
			}
		case aliasType:
			name = "dev_type"
			value, err = at.text("type-PCI", typePF, "type-VF")
			deviceType = value
		case "live_migratable":
			value, err = parseYes(at)
		case "capability_type":
			value, err = at.text("pci")
		default: // resource_class, traits: placement's affair
			if _, err = at.text(); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, "", err
		}
		spec = append(spec, attribute{name, strings.ToLower(value)})
	}
	slices.SortFunc(spec, func(a, b attribute) int { return cmp.Compare(a.name, b.name) })
	return spec, deviceType, nil
}

// needIDs says which of vendor and product is not told.
func needIDs(d document, m map[string]any) error {
	for _, name := range []string{"vendor_id", "product_id"} {
		if _, has := m[name]; !has {
			return &FieldError{d.field + "." + name, nil, "four hexadecimal digits"}
		}
	}
	return nil
}

func isID(s string) bool {
	const length = 4
	return len(s) == length && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// parseYes reads a text as oslo.utils' bool_from_string does when it is strict.
func parseYes(d document) (string, error) {
	s, err := d.text()
	if err != nil {
		return "", err
	}
	switch word := strings.ToLower(pyvalue.Strip(s)); {
	case pyvalue.Bool(word):
		return "true", nil
	case slices.Contains([]string{"0", "f", "false", "off", "n", "no"}, word):
		return "false", nil
	}
	return "", &FieldError{d.field, s, "1, t, true, on, y, yes, 0, f, false, off, n or no"}
}

const aliasSpec = "pci_passthrough:alias"

// requests reads the extra spec pci_passthrough:alias. A policy that is not
// "" overrides those of the aliases.
//
// Source: nova, pci/request.py, _translate_alias_to_requests.
func (a Aliases) requests(text, policy string) ([]Request, error) {
	var list []Request
	for part := range strings.SplitSeq(text, ",") {
		name, digits, found := strings.Cut(part, ":")
		count, ok := pyvalue.ParseInt(digits)
		name = pyvalue.Strip(name)
		if !found || !ok || count < 0 || count > maxCount {
			return nil, &FieldError{aliasSpec, text, fmt.Sprintf("name:count, separated by commas, a count from 0 to %d", maxCount)}
		}
		alias, has := a[name]
		if !has {
			return nil, &FieldError{aliasSpec, name, "the name of an alias of " + aliasField}
		}
		r := Request{Alias: name, Count: count, Policy: cmp.Or(policy, alias.policy), specs: alias.specs, live: alias.live()}
		r.pf = slices.Contains(alias.types, typePF)
		list = append(list, r)
	}
	return list, nil
}

// live returns live_migratable if all specs agree on it, and "" otherwise.
func (a Alias) live() string {
	common := ""
	for i, spec := range a.specs {
		value := ""
		for _, at := range spec {
			if at.name == "live_migratable" {
				value = at.value
			}
		}
		if i > 0 && value != common {
			return ""
		}
		common = value
	}
	return common
}
