// Package policy decides who may do what by rules in the language of
// oslo.policy: role:, rule:, and, or, not, @, !, %(project_id)s.
//
// A [Default] is a rule as the code has it, an [Enforcer] is the defaults with
// what an operator's file overrides. Rules are compiled once.
//
//	e, err := policy.New(policy.Config{Defaults: defaults, EnforceScope: true})
//	if e.Allows("placement:usages", &who, policy.Target{"project_id": project}) {
//		...
//	}
//
// An Enforcer is safe for concurrent use.
package policy
