package policy

import (
	"strings"
	"testing"

	"github.com/kilonova-cloud/kilonova/api"
)

func TestRules(t *testing.T) {
	t.Parallel()
	who := &api.Identity{User: "u", Project: "p", Roles: []string{"Reader", "member"}}
	for rule, want := range map[string]bool{
		"":                                      true,
		"@":                                     true,
		"!":                                     false,
		"role:reader":                           true,
		"role:admin":                            false,
		"role:admin or role:member":             true,
		"role:admin or role:member and !":       false,
		"(role:admin or role:member) and not !": true,
		"not role:member":                       false,
		"not not role:member":                   true,
		"project_id:%(project_id)s":             true,
		"project_id:%(other)s":                  false,
		"user_id:u and project_id:p":            true,
		"user_id:%(user_id)s":                   false,
		"rule:base":                             true,
		"rule:missing":                          false,
		"rule:loop":                             false,
		"role:reader and (project_id:%(project_id)s or role:admin)": true,
		"'x':x":            true,
		"system_scope:all": false,
	} {
		e, err := New(Config{
			Defaults:  []Default{{Name: "r", Rule: rule}, {Name: "loop", Rule: "rule:loop"}},
			Overrides: map[string]string{"base": "role:reader"},
		})
		if err != nil {
			t.Errorf("%q: %v", rule, err)
			continue
		}
		if got := e.Allows("r", who, Target{"project_id": "p", "user_id": "v"}); got != want {
			t.Errorf("%q: %v, want %v", rule, got, want)
		}
	}
	for rule, want := range map[string]string{
		"role":             "or KIND:MATCH",
		"role:a or":        "ends too early",
		"(role:a":          "closing parenthesis",
		"role:a role:b":    `unexpected "role:b"`,
		"http://server/x":  "not supported",
		"role:a and (@":    "closing parenthesis",
		"role:a or role:)": "or KIND:MATCH",
	} {
		if _, err := New(Config{Defaults: []Default{{Name: "r", Rule: rule}}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", rule, err, want)
		}
		if _, err := New(Config{Overrides: map[string]string{"r": rule}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("override %q: %v, want %q", rule, err, want)
		}
	}
}

func TestScopeAndDeprecation(t *testing.T) {
	t.Parallel()
	defaults := []Default{{Name: "r", Rule: "role:service", Deprecated: "role:admin", ProjectOnly: true}}
	admin := &api.Identity{Roles: []string{"admin"}, Project: "p"}
	system := &api.Identity{Roles: []string{"admin"}, SystemScope: "all"}
	for _, c := range []struct {
		name  string
		scope bool
		fresh bool
		over  map[string]string
		who   *api.Identity
		want  bool
	}{
		{"deprecated grants", true, false, nil, admin, true},
		{"new defaults", true, true, nil, admin, false},
		{"system token", true, false, nil, system, false},
		{"scope not enforced", false, false, nil, system, true},
		{"override", true, true, map[string]string{"r": "role:admin"}, admin, true},
		{"override replaces the deprecated rule too", true, false, map[string]string{"r": "role:x"}, admin, false},
	} {
		e, err := New(Config{Defaults: defaults, Overrides: c.over, EnforceScope: c.scope, EnforceNewDefaults: c.fresh})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Allows("r", c.who, nil); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if e.Allows("unknown", c.who, nil) {
			t.Errorf("%s: an unknown rule allows", c.name)
		}
	}
}
