package policy

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// ParseFile reads an operator's policy file, YAML or JSON: an object of rules
// by name.
func ParseFile(text []byte) (map[string]string, error) {
	rules := map[string]string{}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		return nil, fmt.Errorf("policy file: %w", err)
	}
	return rules, nil
}
