package placementapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/kilonova-cloud/kilonova/api"
	"github.com/kilonova-cloud/kilonova/api/policy"
)

// content says what a route demands of the headers before anything else.
type content uint8

const (
	anyContent content = iota
	sendsJSON          // the client accepts JSON
	takesJSON          // the body is JSON
)

// route is one method of one path.
type route struct {
	method, pattern string
	since           int // minor version
	before          int // status below that version; 0: 404
	content         content
	// contentFirst: the content is checked before the version.
	contentFirst bool
	// asIs: the handler looks at nothing before it asks the engine, or may
	// look at a state that others have changed since.
	asIs   bool
	rule   string
	target func(*call) policy.Target // of the rule; nil: the asker's own
	handle func(*call) error
}

// routes is every route of the API.
//
// Source: placement, handler.py, ROUTE_DECLARATIONS, and the decorators of
// the handlers.
func routes() []route {
	return []route{
		{method: "GET", pattern: "/{$}", handle: (*call).home},

		{method: "GET", pattern: "/resource_classes", since: 2, content: sendsJSON, rule: ruleClassesList, handle: (*call).listClasses},
		{method: "POST", pattern: "/resource_classes", since: 2, content: takesJSON, rule: ruleClassesCreate, handle: (*call).createClass},
		{method: "GET", pattern: "/resource_classes/{name}", since: 2, content: sendsJSON, rule: ruleClassesShow, handle: (*call).showClass},
		{method: "PUT", pattern: "/resource_classes/{name}", since: 2, rule: ruleClassesUpdate, handle: (*call).putClass},
		{method: "DELETE", pattern: "/resource_classes/{name}", since: 2, rule: ruleClassesDelete, handle: (*call).deleteClass},

		{method: "GET", pattern: "/resource_providers", content: sendsJSON, rule: ruleProvidersList, handle: (*call).listProviders},
		{method: "POST", pattern: "/resource_providers", content: takesJSON, rule: ruleProvidersCreate, handle: (*call).createProvider},
		{method: "GET", pattern: "/resource_providers/{uuid}", content: sendsJSON, rule: ruleProvidersShow, handle: (*call).showProvider},
		{method: "DELETE", pattern: "/resource_providers/{uuid}", rule: ruleProvidersDelete, handle: (*call).deleteProvider},
		{method: "PUT", pattern: "/resource_providers/{uuid}", content: takesJSON, rule: ruleProvidersUpdate, handle: (*call).updateProvider},

		{method: "GET", pattern: "/resource_providers/{uuid}/inventories", content: sendsJSON, rule: ruleInventoriesList, handle: (*call).listInventories},
		{method: "POST", pattern: "/resource_providers/{uuid}/inventories", content: takesJSON, rule: ruleInventoriesCreate, handle: (*call).createInventory},
		{method: "PUT", pattern: "/resource_providers/{uuid}/inventories", content: takesJSON, rule: ruleInventoriesUpdate, handle: (*call).setInventories},
		{method: "DELETE", pattern: "/resource_providers/{uuid}/inventories", since: 5, before: http.StatusMethodNotAllowed, rule: ruleInventoriesDelete, handle: (*call).deleteInventories},
		{method: "GET", pattern: "/resource_providers/{uuid}/inventories/{resource_class}", content: sendsJSON, rule: ruleInventoriesShow, handle: (*call).showInventory},
		{method: "PUT", pattern: "/resource_providers/{uuid}/inventories/{resource_class}", content: takesJSON, rule: ruleInventoriesUpdate, handle: (*call).updateInventory},
		{method: "DELETE", pattern: "/resource_providers/{uuid}/inventories/{resource_class}", rule: ruleInventoriesDelete, handle: (*call).deleteInventory},

		{method: "GET", pattern: "/resource_providers/{uuid}/usages", content: sendsJSON, rule: ruleProviderUsages, handle: (*call).listUsages},
		{method: "GET", pattern: "/resource_providers/{uuid}/aggregates", since: 1, content: sendsJSON, contentFirst: true, rule: ruleAggregatesList, handle: (*call).listAggregates},
		{method: "PUT", pattern: "/resource_providers/{uuid}/aggregates", since: 1, content: takesJSON, contentFirst: true, rule: ruleAggregatesUpdate, handle: (*call).setAggregates},
		{method: "GET", pattern: "/resource_providers/{uuid}/allocations", content: sendsJSON, rule: ruleProviderAllocs, handle: (*call).listProviderAllocations},
		{method: "GET", pattern: "/resource_providers/{uuid}/traits", since: 6, content: sendsJSON, rule: ruleProviderTraitsList, handle: (*call).listProviderTraits},
		{method: "PUT", pattern: "/resource_providers/{uuid}/traits", since: 6, content: takesJSON, rule: ruleProviderTraitsSet, handle: (*call).setProviderTraits},
		{method: "DELETE", pattern: "/resource_providers/{uuid}/traits", since: 6, rule: ruleProviderTraitsDrop, handle: (*call).deleteProviderTraits},

		{method: "POST", pattern: "/allocations", asIs: true, since: 13, content: takesJSON, rule: ruleAllocsManage, handle: (*call).setManyAllocations},
		{method: "GET", pattern: "/allocations/{consumer_uuid}", content: sendsJSON, rule: ruleAllocsList, handle: (*call).listAllocations},
		{method: "PUT", pattern: "/allocations/{consumer_uuid}", asIs: true, content: takesJSON, rule: ruleAllocsUpdate, handle: (*call).setAllocations},
		{method: "DELETE", pattern: "/allocations/{consumer_uuid}", asIs: true, rule: ruleAllocsDelete, handle: (*call).deleteAllocations},

		{method: "GET", pattern: "/allocation_candidates", asIs: true, since: 10, content: sendsJSON, rule: ruleCandidates, handle: (*call).listCandidates},
		{method: "GET", pattern: "/_explain/allocation_candidates", asIs: true, since: 10, content: sendsJSON, rule: ruleCandidates, handle: (*call).explainCandidates},

		{method: "GET", pattern: "/traits", since: 6, content: sendsJSON, rule: ruleTraitsList, handle: (*call).listTraits},
		{method: "GET", pattern: "/traits/{name}", since: 6, rule: ruleTraitsShow, handle: (*call).showTrait},
		{method: "PUT", pattern: "/traits/{name}", since: 6, rule: ruleTraitsUpdate, handle: (*call).putTrait},
		{method: "DELETE", pattern: "/traits/{name}", since: 6, rule: ruleTraitsDelete, handle: (*call).deleteTrait},

		{method: "GET", pattern: "/usages", since: 9, content: sendsJSON, rule: ruleUsages, target: usagesTarget, handle: (*call).listTotalUsages},
		{method: "POST", pattern: "/reshaper", since: 30, content: takesJSON, rule: ruleReshape, handle: (*call).reshape},
	}
}

// routesByPattern groups the routes for the router, with everything else
// below "/".
func routesByPattern() map[string][]route {
	byPattern := map[string][]route{"/": nil}
	for _, rt := range routes() {
		byPattern[rt.pattern] = append(byPattern[rt.pattern], rt)
	}
	return byPattern
}

func allowed(methods []route) string {
	names := make([]string, 0, len(methods))
	for i := range methods {
		names = append(names, methods[i].method)
	}
	return strings.Join(names, ", ")
}

// endpoint is one path with its methods.
type endpoint struct {
	pattern string
	methods []route
	allow   string
}

// ServeHTTP finds the method.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, ours := w.(*call)
	if !ours {
		return
	}
	c.r = r // has the parts of the path
	if len(e.methods) == 0 {
		c.refuse(noRoute())
		return
	}
	c.route = e.pattern
	for i := range e.methods {
		if e.methods[i].method == r.Method {
			if err := e.methods[i].serve(r.Context(), c); err != nil {
				c.fail(err)
			}
			return
		}
	}
	c.refuse(&api.Error{Status: http.StatusMethodNotAllowed, Detail: "The method specified is not allowed for this resource.", Allow: e.allow})
}

// serve checks what stands before the handler, and calls it.
func (rt *route) serve(ctx context.Context, c *call) error {
	if rt.contentFirst {
		if err := rt.checkContent(c); err != nil {
			return err
		}
	}
	if !c.at(rt.since) {
		if rt.before != 0 {
			return api.Errorf(rt.before, "")
		}
		return missing("")
	}
	if !rt.contentFirst {
		if err := rt.checkContent(c); err != nil {
			return err
		}
	}
	if c.r.URL.RawQuery != "" {
		c.query, c.queryErr = api.ParseQuery(c.r.URL.RawQuery)
	}
	if rt.rule == "" {
		return rt.handle(c)
	}
	var target policy.Target
	if rt.target != nil {
		target = rt.target(c)
	}
	if !c.s.cfg.Policy.Allows(rt.rule, &c.who, target) {
		return &api.Error{Status: http.StatusForbidden, Detail: "Policy does not allow " + rt.rule + " to be performed.", Outside: true}
	}
	if c.s.engine.Shared() {
		return rt.handleShared(ctx, c)
	}
	return rt.handle(c)
}

func (rt *route) checkContent(c *call) error {
	switch rt.content {
	case sendsJSON:
		return c.acceptJSON()
	case takesJSON:
		return c.requireJSON()
	case anyContent:
	}
	return nil
}
