package placementapi

import "github.com/kilonova-cloud/kilonova/api/policy"

// The rules that guard routes, by their names in policy files.
//
// Source: placement, policies/.
const (
	ruleProvidersList      = "placement:resource_providers:list"
	ruleProvidersCreate    = "placement:resource_providers:create"
	ruleProvidersShow      = "placement:resource_providers:show"
	ruleProvidersUpdate    = "placement:resource_providers:update"
	ruleProvidersDelete    = "placement:resource_providers:delete"
	ruleClassesList        = "placement:resource_classes:list"
	ruleClassesCreate      = "placement:resource_classes:create"
	ruleClassesShow        = "placement:resource_classes:show"
	ruleClassesUpdate      = "placement:resource_classes:update"
	ruleClassesDelete      = "placement:resource_classes:delete"
	ruleInventoriesList    = "placement:resource_providers:inventories:list"
	ruleInventoriesCreate  = "placement:resource_providers:inventories:create"
	ruleInventoriesShow    = "placement:resource_providers:inventories:show"
	ruleInventoriesUpdate  = "placement:resource_providers:inventories:update"
	ruleInventoriesDelete  = "placement:resource_providers:inventories:delete"
	ruleAggregatesList     = "placement:resource_providers:aggregates:list"
	ruleAggregatesUpdate   = "placement:resource_providers:aggregates:update"
	ruleProviderUsages     = "placement:resource_providers:usages"
	ruleUsages             = "placement:usages"
	ruleTraitsList         = "placement:traits:list"
	ruleTraitsShow         = "placement:traits:show"
	ruleTraitsUpdate       = "placement:traits:update"
	ruleTraitsDelete       = "placement:traits:delete"
	ruleProviderTraitsList = "placement:resource_providers:traits:list"
	ruleProviderTraitsSet  = "placement:resource_providers:traits:update"
	ruleProviderTraitsDrop = "placement:resource_providers:traits:delete"
	ruleProviderAllocs     = "placement:resource_providers:allocations:list"
	ruleAllocsManage       = "placement:allocations:manage"
	ruleAllocsList         = "placement:allocations:list"
	ruleAllocsUpdate       = "placement:allocations:update"
	ruleAllocsDelete       = "placement:allocations:delete"
	ruleCandidates         = "placement:allocation_candidates:list"
	ruleReshape            = "placement:reshaper:reshape"
)

// DefaultRules returns the rules as Placement has them: admin and service
// may do everything but reshape, which is for services; a reader sees the
// usages of its own project. The caller owns the slice.
//
// Source: placement, policies/.
func DefaultRules() []policy.Default {
	const formerly = "rule:admin_api"
	rules := []policy.Default{
		{Name: "admin_api", Rule: "role:admin", ProjectOnly: true},
		{Name: "service_api", Rule: "role:service", Deprecated: formerly, ProjectOnly: true},
		{Name: "admin_or_service_api", Rule: "role:admin or role:service", Deprecated: formerly, ProjectOnly: true},
		{Name: "project_reader_api", Rule: "role:reader and project_id:%(project_id)s", Deprecated: formerly},
		{Name: "admin_or_project_reader_or_service_api", Rule: "role:admin or rule:project_reader_api or role:service", Deprecated: formerly, ProjectOnly: true},
		{Name: ruleReshape, Rule: "rule:service_api", ProjectOnly: true},
		{Name: ruleUsages, Rule: "rule:admin_or_project_reader_or_service_api", ProjectOnly: true},
	}
	for _, name := range []string{
		ruleProvidersList, ruleProvidersCreate, ruleProvidersShow, ruleProvidersUpdate, ruleProvidersDelete,
		ruleClassesList, ruleClassesCreate, ruleClassesShow, ruleClassesUpdate, ruleClassesDelete,
		ruleInventoriesList, ruleInventoriesCreate, ruleInventoriesShow, ruleInventoriesUpdate, ruleInventoriesDelete,
		ruleAggregatesList, ruleAggregatesUpdate, ruleProviderUsages,
		ruleTraitsList, ruleTraitsShow, ruleTraitsUpdate, ruleTraitsDelete,
		ruleProviderTraitsList, ruleProviderTraitsSet, ruleProviderTraitsDrop,
		ruleProviderAllocs, ruleAllocsManage, ruleAllocsList, ruleAllocsUpdate, ruleAllocsDelete, ruleCandidates,
	} {
		rules = append(rules, policy.Default{Name: name, Rule: "rule:admin_or_service_api", ProjectOnly: true})
	}
	return rules
}
