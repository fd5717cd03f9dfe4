package policy

import (
	"fmt"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// ParseFile reads an operator's policy file, YAML or JSON: an object of rules
// by name. A rule is a text, or in the older form a list: one of its elements
// must hold, which are checks or lists of checks that must hold together.
//
// Source: oslo.policy, _parser.py, _parse_list_rule.
func ParseFile(text []byte) (map[string]string, error) {
	var file map[string]any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return nil, fmt.Errorf("policy file: %w", err)
	}
	rules := make(map[string]string, len(file))
	for name, rule := range file {
		switch rule := rule.(type) {
		case nil:
			rules[name] = ""
		case string:
			rules[name] = rule
		case []any:
			text, err := listRule(rule)
			if err != nil {
				return nil, fmt.Errorf("policy file: %s: %w", name, err)
			}
			rules[name] = text
		default:
			return nil, fmt.Errorf("policy file: %s is %v, allowed is: a text or a list", name, rule)
		}
	}
	return rules, nil
}

// listRule writes a list of lists as a text.
func listRule(list []any) (string, error) {
	if len(list) == 0 {
		return "@", nil
	}
	var either []string
	for _, element := range list {
		var all []string
		inner, isList := element.([]any)
		if !isList {
			inner = []any{element}
		}
		for _, check := range inner {
			text, isText := check.(string)
			if !isText || strings.ContainsFunc(text, unicode.IsSpace) {
				return "", fmt.Errorf("%v is not a single check", check)
			}
			if text != "" {
				all = append(all, text)
			}
		}
		if len(all) > 0 {
			either = append(either, "("+strings.Join(all, " and ")+")")
		}
	}
	if len(either) == 0 {
		return "!", nil
	}
	return strings.Join(either, " or "), nil
}
