package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/kilonova-cloud/kilonova/api"
)

// Default is one rule of the code.
type Default struct {
	Name string
	Rule string
	// Deprecated is the rule's former text. It grants too, unless new
	// defaults are enforced or a file overrides the rule.
	Deprecated string
	// ProjectOnly: the rule is for tokens of a project, not of the system or a
	// domain.
	ProjectOnly bool
}

// Config makes an enforcer.
type Config struct {
	Defaults           []Default
	Overrides          map[string]string // rules of the operator's file, by name
	Fallback           string            // the rule that rule: means when it names one that is not there; "": default
	EnforceScope       bool              // refuse tokens of the system or a domain where ProjectOnly is set
	EnforceNewDefaults bool              // deprecated rules grant nothing
}

// Enforcer decides.
type Enforcer struct {
	rules       map[string]check
	fallback    string
	projectOnly map[string]bool
	scope       bool
}

// New compiles every rule. A malformed one is an error that names it.
func New(cfg Config) (*Enforcer, error) {
	e := &Enforcer{rules: map[string]check{}, fallback: cmp.Or(cfg.Fallback, "default"), projectOnly: map[string]bool{}, scope: cfg.EnforceScope}
	for _, d := range cfg.Defaults {
		rule := d.Rule
		if d.Deprecated != "" && !cfg.EnforceNewDefaults {
			rule = "(" + rule + ") or (" + d.Deprecated + ")"
		}
		if over, given := cfg.Overrides[d.Name]; given {
			rule = over
		}
		c, err := compile(rule)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", d.Name, err)
		}
		e.rules[d.Name], e.projectOnly[d.Name] = c, d.ProjectOnly
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Overrides)) {
		if _, known := e.rules[name]; known {
			continue
		}
		c, err := compile(cfg.Overrides[name]) // a rule that others refer to
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", name, err)
		}
		e.rules[name] = c
	}
	return e, nil
}

// Allows reports whether who may do what the rule name guards. A rule that
// does not exist allows nothing.
func (e *Enforcer) Allows(name string, who *api.Identity, target Target) bool {
	c, known := e.rules[name]
	if !known || e.scope && e.projectOnly[name] && (who.SystemScope != "" || who.Domain != "") {
		return false
	}
	return c(&asker{rules: e.rules, fallback: e.fallback, who: who, target: target})
}
