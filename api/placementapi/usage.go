package placementapi

import (
	"net/http"

	"github.com/kilonova-cloud/kilonova/api/policy"
	"github.com/kilonova-cloud/kilonova/placement"
)

func (c *call) listUsages() error {
	p, err := c.providerHere(":")
	if err != nil {
		return err
	}
	used, p, err := c.s.engine.Usages(p.UUID)
	if err != nil {
		return err
	}
	c.out = append(c.out, `{"resource_provider_generation": `...)
	c.out = appendInt(c.out, p.Generation)
	c.out = append(c.out, `, "usages": `...)
	c.out = append(c.s.order.appendAmounts(c.out, used), '}')
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

// usagesTarget is the project that is asked about.
func usagesTarget(c *call) policy.Target {
	if !c.query.Has("project_id") {
		return policy.Target{}
	}
	return policy.Target{"project_id": c.query.Last("project_id")}
}

// listTotalUsages is GET /usages: the sums of a project, from 1.38 by type of
// consumer.
//
// Source: placement, handlers/usage.py, get_total_usages.
func (c *call) listTotalUsages() error {
	if err := c.checkQuery(pick(schemasUsages, c.version.Minor)); err != nil {
		return err
	}
	f := placement.UsageFilter{Project: c.query.Last("project_id"), User: c.query.Last("user_id")}
	kind := ""
	if c.at(38) {
		kind = c.query.Last("consumer_type")
	}
	switch kind {
	case "", kindAll:
	case kindUnknown:
		f.Type = new(string)
	default:
		f.Type = &kind
	}
	found := c.s.engine.ProjectUsages(f)
	if !c.at(38) || kind == kindAll {
		found = sumUsages(found)
	}
	c.out = append(c.out, `{"usages": `...)
	if c.at(38) {
		c.appendUsagesByType(found)
	} else if len(found) > 0 {
		c.out = c.s.order.appendAmounts(c.out, found[0].Used)
	} else {
		c.out = append(c.out, "{}"...)
	}
	c.out = append(c.out, '}')
	if c.at(15) {
		c.fresh(c.now)
	}
	return c.send(http.StatusOK)
}

const (
	kindAll     = "all"
	kindUnknown = "unknown"
)

// sumUsages adds all types up.
func sumUsages(list []placement.Usage) []placement.Usage {
	if len(list) == 0 {
		return nil
	}
	sum := placement.Usage{Type: kindAll, Used: map[string]int64{}}
	for _, u := range list {
		sum.Consumers += u.Consumers
		for class, n := range u.Used {
			sum.Used[class] += n
		}
	}
	return []placement.Usage{sum}
}

func (c *call) appendUsagesByType(list []placement.Usage) {
	c.out = append(c.out, '{')
	for i, u := range list {
		if u.Type == "" {
			u.Type = kindUnknown
		}
		c.out = appendString(separate(c.out, i), u.Type)
		c.out = append(c.out, `: {"consumer_count": `...)
		c.out = appendInt(c.out, u.Consumers)
		for _, class := range sorted(c.s.order, u.Used) {
			c.out = appendString(append(c.out, ", "...), class)
			c.out = append(c.out, ": "...)
			c.out = appendInt(c.out, u.Used[class])
		}
		c.out = append(c.out, '}')
	}
	c.out = append(c.out, '}')
}
