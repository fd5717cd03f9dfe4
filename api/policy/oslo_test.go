package policy

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/kilonova-cloud/kilonova/api"
)

// TestOslo compares decisions with those of oslo.policy, which
// testdata/compute.py has computed. A malformed rule, which oslo.policy takes
// for one that never holds, is refused here, and counts as that.
func TestOslo(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/oslo.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		File       json.RawMessage   `json:"file"`
		Rule       *string           `json:"rule"`
		Deprecated string            `json:"deprecated"`
		Scopes     []string          `json:"scope_types"`
		Scope      bool              `json:"enforce_scope"`
		NewOnes    bool              `json:"enforce_new_defaults"`
		Target     map[string]string `json:"target"`
		Want       bool              `json:"want"`
		Who        struct {
			User    string   `json:"user_id"`
			Project string   `json:"project_id"`
			Domain  string   `json:"domain_id"`
			System  string   `json:"system_scope"`
			Roles   []string `json:"roles"`
		} `json:"who"`
	}
	if err := json.Unmarshal(text, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) < 180 {
		t.Fatalf("%d cases", len(cases))
	}
	for i := range cases {
		c := &cases[i]
		cfg := Config{EnforceScope: c.Scope, EnforceNewDefaults: c.NewOnes}
		if c.Rule != nil {
			cfg.Defaults = []Default{{Name: "r", Rule: *c.Rule, Deprecated: c.Deprecated, ProjectOnly: len(c.Scopes) > 0}}
		}
		who := api.Identity{User: c.Who.User, Project: c.Who.Project, Domain: c.Who.Domain, SystemScope: c.Who.System, Roles: c.Who.Roles}
		got := false
		if cfg.Overrides, err = ParseFile(c.File); err == nil {
			if e, malformed := New(cfg); malformed == nil {
				got = e.Allows("r", &who, c.Target)
			}
		}
		if got != c.Want {
			t.Errorf("file %s, case %d, who %+v: %v, oslo.policy says %v", c.File, i, who, got, c.Want)
		}
	}
}
